"""Who trains what: so that of two drivers that would train the same run, the second is told.

A driver keeps a small file in the storage, a lease, and writes it anew while it lives. That needs neither lock nor
rename, so it holds on S3 as on a disk: a driver first writes its lease and then looks at the others'. Of two that start
at once, at least one sees the other, and who sees another withdraws. All times are the storage's own, so that clocks
need not agree. A driver that is killed keeps its lease until it runs out; on its own machine, no longer than it lives.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from crossarch.platform.record.storage import copy_of
from crossarch.platform.validation import BadInputError
from crossarch.trainables.files import write_atomically
from crossarch.trainables.working_copy import WorkingCopy

LEASES = "leases/"
LASTS = 90
"""Seconds after it was last written that a lease counts."""
BEAT = 20.0
"""Seconds between two writings."""
ATTEMPTS = 3
"""Of drivers that start at once; each waits for a random time in between."""


class Held(NamedTuple):
    """Another driver's lease."""

    study: str
    host: str
    process: int
    left: int
    """Seconds until it runs out, if it is not written again."""
    shared: int
    """Runs that both would train."""

    def __str__(self) -> str:
        return (
            f"study = {self.study!r} is being trained by process {self.process} on {self.host}, {self.shared} of these "
            f"runs among its own: wait for it, or if it was killed, {self.left} s until its lease runs out"
        )


class Lease:
    """The lease of one driver on storage `root`. `release` ends it."""

    def __init__(self, root: Path, study: str) -> None:
        self._copy = copy_of(root)
        self._study = study
        self._name = f"{LEASES}{secrets.token_hex(8)}.json"
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._text = ""
        self._made: list[Path] | None = None

    def claim(self, what: Collection[str]) -> None:
        """Takes the runs or sets of these names, in place of those taken before.

        Raises BadInputError where another driver has one of them, and OSError where the storage refuses.
        """
        mine = {"study": self._study, "host": machine(), "process": os.getpid(), "takes": sorted(what)}
        self._text = json.dumps(mine)
        if self._made is None:
            folders = (self._copy.root / LEASES, self._copy.root)
            self._made = [folder for folder in folders if not folder.exists()]
        for attempt in range(ATTEMPTS):
            now = self._write()
            held = next(others(self._copy, self._name, set(what), now), None)
            if held is None:
                break
            self._copy.drop(self._name)
            if attempt + 1 == ATTEMPTS:
                raise BadInputError(str(held))
            time.sleep(0.1 + secrets.randbelow(400) / 1000)
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
            self._thread.start()

    def release(self) -> None:
        """Gives all back, and leaves no folder empty that was not there.

        A storage that does not answer is left with a lease that runs out.
        """
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            try:
                self._copy.drop(self._name)
            except OSError:
                return
            for folder in self._made or ():
                with suppress(OSError):  # it is not empty
                    folder.rmdir()

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                self._write()
            except OSError:  # the next may pass; else the lease runs out, and a run may be trained twice: no harm
                continue

    def _write(self) -> float:
        """The instant of the storage's clock at which it was written."""
        write = partial(_write_text, text=self._text)
        if self._copy.origin is None:
            write_atomically(self._copy.root / self._name, write)
            return (self._copy.root / self._name).stat().st_mtime
        self._copy.write(self._name, write)
        return self._copy.origin.stamps(self._name)[self._name].second


@contextmanager
def leased(root: Path, study: str) -> Iterator[Lease]:
    """A lease for as long as the context lasts; nothing is taken yet."""
    lease = Lease(root, study)
    try:
        yield lease
    finally:
        lease.release()


def others(copy: WorkingCopy, own: str, wanted: set[str], now: float) -> Iterator[Held]:
    """The living leases on any of `wanted`; those of dead drivers are removed. `now` is the storage's instant."""
    copy.pull(LEASES)
    for path in sorted((copy.root / LEASES).glob("[0-9a-f]*.json")):
        name = copy.name(path)
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            left = LASTS - round(now - path.stat().st_mtime)
        except FileNotFoundError:
            continue
        if name == own:
            continue
        if left <= 0 or not _may_live(found):
            copy.drop(name)
            continue
        shared = len(wanted & set(found["takes"]))
        if shared:
            yield Held(found["study"], found["host"].partition("/")[0], found["process"], left, shared)


def machine() -> str:
    """The machine, its start and its container: process numbers are of one of each."""
    parts = [socket.gethostname()]
    for path in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        try:
            parts.append(path.readlink().name if path.is_symlink() else path.read_text().strip())
        except OSError:
            continue
    return "/".join(parts)


def _may_live(found: dict[str, Any]) -> bool:
    """Whether the driver may still run: on another machine nobody knows."""
    if found["host"] != machine():
        return True
    try:
        os.kill(found["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
