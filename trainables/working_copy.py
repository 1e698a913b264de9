"""A storage folder on this machine, and where it is a copy of one elsewhere, what passes between the two."""

import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from crossarch.trainables.files import write_atomically

_SECOND = 10**9
_TRANSFERS = 8
"""At a time: small files wait for the network most of all."""


class StorageUnreachableError(OSError):
    """Storage elsewhere does not answer, or refuses; one sentence without credentials."""


class Stamp(NamedTuple):
    """What tells one version of a file from the next."""

    size: int
    """Bytes."""
    second: int
    """Of its last change, by the clock of the storage, in seconds since 1970."""


class Files(Protocol):
    """Files elsewhere, by names of parts with `/` between; each is there whole or not at all, and none is renamed.

    All raise StorageUnreachableError where the storage does not answer or refuses.
    """

    def stamps(self, name: str) -> Mapping[str, Stamp]:
        """Of the file `name`, or of all below it where it ends in `/`; what is not there is not among them."""

    def fetch(self, name: str, path: Path) -> None:
        """Writes the file to `path`. Raises FileNotFoundError where it is not there."""

    def send(self, path: Path, name: str) -> None:
        """Makes the file what `path` holds."""

    def remove(self, name: str) -> None:
        """Removes the file; one that is not there is no error."""


@dataclass(frozen=True)
class WorkingCopy:
    """A folder that is the storage itself, or with an `origin`, this machine's copy of it.

    A file that is as the origin has it bears the origin's whole second as its time of change. One that was written
    here does not, and is left alone until it has been sent. Without an origin nothing passes.
    """

    root: Path
    origin: Files | None = None

    def name(self, path: Path) -> str:
        """The name of a file below the root; that of a folder lacks the `/` at its end."""
        return path.relative_to(self.root).as_posix()

    def pull(self, name: str) -> None:
        """Makes the file, or all below a name that ends in `/`, what the origin has. Raises OSError."""
        origin = self.origin
        if origin is None:
            return
        there = origin.stamps(name)
        here = {self.name(path): _stamp(path) for path in self._paths(name)}
        for lost in here.keys() - there.keys():
            if here[lost]:
                (self.root / lost).unlink(missing_ok=True)
        stale = [each for each, stamp in there.items() if each not in here or here[each] not in (None, stamp)]
        with ThreadPoolExecutor(_TRANSFERS) as transfers:
            list(transfers.map(lambda each: self._fetch(origin, each, there[each]), stale))

    def push(self, name: str) -> None:
        """Sends the file, or all below a name that ends in `/`, where it has been written here. Raises OSError."""
        origin = self.origin
        if origin is None:
            return
        changed = [path for path in self._paths(name) if _stamp(path) is None]
        with ThreadPoolExecutor(_TRANSFERS) as transfers:
            list(transfers.map(lambda path: self._send(origin, path), changed))

    def write(self, name: str, write: Callable[[Path], None]) -> None:
        """`write_atomically`, and to the origin first: what is here is there. Raises OSError where either refuses."""

        def both(temporary: Path) -> None:
            write(temporary)
            if self.origin is not None:
                self.origin.send(temporary, name)
                _mark(temporary, _kept(self.origin, temporary, name))

        write_atomically(self.root / name, both)

    def drop(self, name: str) -> None:
        """Removes the file, or all below a name that ends in `/`, at the origin and here. Raises OSError."""
        if self.origin is not None:
            for each in self.origin.stamps(name):
                self.origin.remove(each)
        self.forget(name)

    def forget(self, name: str) -> None:
        """Removes what is here of a name, and leaves the origin alone."""
        if name.endswith("/"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        else:
            (self.root / name).unlink(missing_ok=True)

    def names(self, name: str) -> frozenset[str]:
        """What the storage has below a name that ends in `/`, whether it is here or not. Raises OSError."""
        if self.origin is not None:
            return frozenset(self.origin.stamps(name))
        return frozenset(self.name(path) for path in self._paths(name))

    def _paths(self, name: str) -> list[Path]:
        """The files here, hidden ones aside: locks and what is half written."""
        paths = (self.root / name).rglob("*") if name.endswith("/") else (self.root / name,)
        return [path for path in paths if path.is_file() and not path.name.startswith(".")]

    def _fetch(self, origin: Files, name: str, stamp: Stamp) -> None:
        def write(temporary: Path) -> None:
            origin.fetch(name, temporary)
            _mark(temporary, stamp)

        try:
            write_atomically(self.root / name, write)
        except FileNotFoundError:  # removed since it was listed
            (self.root / name).unlink(missing_ok=True)

    def _send(self, origin: Files, path: Path) -> None:
        name, before = self.name(path), path.stat().st_mtime_ns
        origin.send(path, name)
        stamp = _kept(origin, path, name)
        if path.stat().st_mtime_ns == before:
            _mark(path, stamp)


def _kept(origin: Files, path: Path, name: str) -> Stamp:
    """The origin's stamp of what has just been sent. Raises StorageUnreachableError where it is not all there."""
    stamp = origin.stamps(name).get(name)
    if stamp is None or stamp.size != path.stat().st_size:
        raise StorageUnreachableError(f"{name} was sent to the storage, which does not have it whole")
    return stamp


def _mark(path: Path, stamp: Stamp) -> None:
    os.utime(path, ns=(stamp.second * _SECOND,) * 2)


def _stamp(path: Path) -> Stamp | None:
    """That of the origin; None where the file was written here."""
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns // _SECOND) if found.st_mtime_ns % _SECOND == 0 else None
