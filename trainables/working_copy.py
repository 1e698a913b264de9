"""A local storage folder, and its synchronisation with remote storage if it is a working copy of one."""

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
"""Concurrent transfers: small files mostly wait for the network."""


class StorageUnreachableError(OSError):
    """Remote storage does not answer, or denies access; one sentence without credentials."""


class Stamp(NamedTuple):
    """Identifies a version of a remote file."""

    size: int
    """In bytes."""
    second: int
    """Time of its last change, by the storage's clock, in whole seconds since 1970."""


class Files(Protocol):
    """Files in remote storage, by names with `/` between their parts. Files are written atomically and never renamed.

    All methods raise StorageUnreachableError if the storage does not answer or denies access.
    """

    def stamps(self, name: str) -> Mapping[str, Stamp]:
        """The stamps of the file `name`, or of all files below a name that ends in `/`; missing files are left out."""

    def fetch(self, name: str, path: Path) -> None:
        """Downloads the file to `path`. Raises FileNotFoundError if it is missing."""

    def send(self, path: Path, name: str) -> None:
        """Uploads the contents of `path` as the file `name`."""

    def remove(self, name: str) -> None:
        """Removes the file, if it exists."""


@dataclass(frozen=True)
class WorkingCopy:
    """A folder that is the storage itself or, with an `origin`, a local copy of remote storage.

    A file that equals the origin's has the origin's time of change, in whole seconds, as its own. A file with any other
    time was written here; it is not overwritten before it has been sent. Without an origin, pull and push do nothing.
    """

    root: Path
    origin: Files | None = None

    def name(self, path: Path) -> str:
        """The name of a path below the root; for a folder without the `/` at its end."""
        return path.relative_to(self.root).as_posix()

    def pull(self, name: str) -> None:
        """Updates the file, or all files below a name that ends in `/`, from the origin. Raises OSError."""
        origin = self.origin
        if origin is None:
            return
        remote = origin.stamps(name)
        local = {self.name(path): _stamp(path) for path in self._paths(name)}
        for lost in local.keys() - remote.keys():
            if local[lost]:
                (self.root / lost).unlink(missing_ok=True)
        stale = [file for file, stamp in remote.items() if file not in local or local[file] not in (None, stamp)]
        with ThreadPoolExecutor(_TRANSFERS) as transfers:
            list(transfers.map(lambda file: self._fetch(origin, file, remote[file]), stale))

    def push(self, name: str) -> None:
        """Sends the file, or all files below a name that ends in `/`, if they were written here. Raises OSError."""
        origin = self.origin
        if origin is None:
            return
        changed = [path for path in self._paths(name) if _stamp(path) is None]
        with ThreadPoolExecutor(_TRANSFERS) as transfers:
            list(transfers.map(lambda path: self._send(origin, path), changed))

    def write(self, name: str, write: Callable[[Path], None]) -> None:
        """Writes a file atomically, first to the origin, so that the copy is never ahead. Raises OSError."""

        def both(temporary: Path) -> None:
            write(temporary)
            if self.origin is not None:
                self.origin.send(temporary, name)
                _mark(temporary, _kept(self.origin, temporary, name))

        write_atomically(self.root / name, both)

    def drop(self, name: str) -> None:
        """Removes the file, or all files below a name that ends in `/`, at the origin and here. Raises OSError."""
        if self.origin is not None:
            for file in self.origin.stamps(name):
                self.origin.remove(file)
        self.forget(name)

    def forget(self, name: str) -> None:
        """Removes the file, or all files below a name that ends in `/`, here but not at the origin."""
        if name.endswith("/"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        else:
            (self.root / name).unlink(missing_ok=True)

    def names(self, name: str) -> frozenset[str]:
        """The names of all files of the storage below a name that ends in `/`, fetched or not. Raises OSError."""
        if self.origin is not None:
            return frozenset(self.origin.stamps(name))
        return frozenset(self.name(path) for path in self._paths(name))

    def _paths(self, name: str) -> list[Path]:
        """The local files of a name, without hidden ones, which are locks and temporary files."""
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
    """The origin's stamp of a file just sent. Raises StorageUnreachableError if the origin lacks a part of it."""
    stamp = origin.stamps(name).get(name)
    if stamp is None or stamp.size != path.stat().st_size:
        raise StorageUnreachableError(f"{name} was sent to the storage, which does not have it whole")
    return stamp


def _mark(path: Path, stamp: Stamp) -> None:
    os.utime(path, ns=(stamp.second * _SECOND,) * 2)


def _stamp(path: Path) -> Stamp | None:
    """The origin's stamp of a local file; None if the file was written here."""
    status = path.stat()
    if status.st_mtime_ns % _SECOND != 0:
        return None
    return Stamp(status.st_size, status.st_mtime_ns // _SECOND)
