"""Mutual exclusion between drivers: no run is trained by two drivers at once.

While it trains, a driver keeps a lease: a small file in the storage that names its runs and is rewritten every BEAT
seconds. This needs neither locks nor renames, so it works on S3 as on a disk. A driver first writes its own lease and
then reads all others; of two drivers that start at once at least one sees the other's lease, and withdraws. All times
compared are the storage's timestamps, so the machines' clocks need not agree.

A killed driver leaves its lease behind. On its own machine the process is known to be dead, and the lease is removed.
The lease of another machine is watched: if it is rewritten, its driver is alive; if not, it expires after LASTS seconds
and the waiting driver goes on. So a retry on a new cluster needs no manual clean-up.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from crossarch.platform.errors import BadInputError
from crossarch.platform.store.storage import copy_of
from crossarch.trainables.files import write_atomically, writing
from crossarch.trainables.working_copy import WorkingCopy

LEASES = "leases/"
LASTS = 90
"""Seconds after which a lease that was not rewritten expires."""
BEAT = 20.0
"""Seconds between two rewrites of a lease."""
GLANCE = 2.0
"""Seconds between two readings of a lease that may expire."""
ATTEMPTS = 3
"""Attempts to take runs when several drivers start at once, with random pauses between."""


class Held(NamedTuple):
    """Another driver's lease."""

    name: str
    written: float
    """The storage's timestamp of its last rewrite, in seconds since 1970."""
    here: bool
    """Whether its driver is on this machine; then it is known to be alive."""
    study: str
    host: str
    process: int
    left: int
    """Seconds until it expires, if it is not rewritten."""
    shared: int
    """Number of runs that both drivers would train."""

    def lives(self, seen: float) -> bool:
        """Whether the driver is known to be alive: it is on this machine, or rewrote its lease after `seen`.

        `seen` is the lease's timestamp when it was first read.
        """
        return self.here or self.written > seen

    @property
    def doubt(self) -> str:
        """A sentence that says for which driver this one waits, and how long."""
        return (
            f"Waiting for at most {self.left} s to see whether process {self.process} on {self.host}, which has "
            f"{self.shared} of these runs in {self.study}, still lives."
        )

    def __str__(self) -> str:
        return (
            f"{self.shared} of these runs {'is' if self.shared == 1 else 'are'} already training in process "
            f"{self.process} on {self.host} (study {self.study!r}). Retry when it has finished."
        )


class Lease:
    """The lease of one driver on storage `root`. `release` ends it."""

    def __init__(
        self, root: Path, study: str, tell: Callable[[str], None], pause: Callable[[float], None] = time.sleep
    ) -> None:
        """`tell` is called with a sentence when a claim waits for another driver; `pause` sleeps for seconds."""
        self._tell, self._pause = tell, pause
        self._copy = copy_of(root)
        self._study = study
        self._name = f"{LEASES}{secrets.token_hex(8)}.json"
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._text = ""
        self._made: list[Path] | None = None

    def claim(self, what: Collection[str]) -> None:
        """Claims the runs or distilled sets `what`, by name, in place of those claimed before.

        Waits while a driver of another machine that has claimed one of them may be dead. Raises BadInputError if such a
        driver is alive, and OSError if the storage cannot be written.
        """
        wanted = set(what)
        if self._made is None:
            folders = (self._copy.root / LEASES, self._copy.root)
            self._made = [folder for folder in folders if not folder.exists()]
        try:
            self._watch(wanted)
            self._take(wanted)
        except BaseException:
            with suppress(OSError):
                self._copy.drop(self._name)
            raise
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
            self._thread.start()

    def _watch(self, wanted: set[str]) -> None:
        """Returns once no driver has claimed any of `wanted`. Raises BadInputError if one that has is alive."""
        self._text = self._saying(())
        seen: dict[str, float] = {}
        while held := list(others(self._copy, self._name, wanted, self._write())):
            for each in held:
                if each.name not in seen and not each.here:
                    self._tell(each.doubt)
                if each.lives(seen.setdefault(each.name, each.written)):
                    raise BadInputError(str(each))
            self._pause(GLANCE)

    def _take(self, wanted: set[str]) -> None:
        """Claims `wanted`. Of several drivers at once, at most one succeeds; BadInputError is raised in the others."""
        self._text = self._saying(wanted)
        for attempt in range(ATTEMPTS):
            now = self._write()
            held = next(others(self._copy, self._name, wanted, now), None)
            if held is None:
                return
            self._copy.drop(self._name)
            if attempt + 1 == ATTEMPTS:
                raise BadInputError(str(held))
            self._pause(0.1 + secrets.randbelow(400) / 1000)

    def _saying(self, takes: Collection[str]) -> str:
        who = {"host": machine(), "process": os.getpid(), "began": began(os.getpid())}
        return json.dumps({"study": self._study, **who, "takes": sorted(takes)})

    def release(self) -> None:
        """Removes the lease, and the folders that `claim` made if they are empty.

        If the storage does not answer, the lease stays there and expires.
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
            except OSError:  # the next may succeed; if the lease expires, a run may be trained twice: no harm
                continue

    def _write(self) -> float:
        """Writes the lease; the storage's timestamp of that, in seconds since 1970."""
        write = writing(self._text)
        if self._copy.origin is None:
            write_atomically(self._copy.root / self._name, write)
            return (self._copy.root / self._name).stat().st_mtime
        self._copy.write(self._name, write)
        return self._copy.origin.stamps(self._name)[self._name].second


@contextmanager
def leased(root: Path, study: str, tell: Callable[[str], None] = lambda sentence: None) -> Iterator[Lease]:
    """A lease, released when the context ends; nothing is claimed yet. `tell` is called as `Lease` describes."""
    lease = Lease(root, study, tell)
    try:
        yield lease
    finally:
        lease.release()


def others(copy: WorkingCopy, own: str, wanted: set[str], now: float) -> Iterator[Held]:
    """The valid leases of other drivers on any of `wanted`; expired ones and those of dead drivers are removed.

    `own` is the name of the caller's lease, `now` the storage's present timestamp.
    """
    copy.pull(LEASES)
    for path in sorted((copy.root / LEASES).glob("[0-9a-f]*.json")):
        name = copy.name(path)
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            written = path.stat().st_mtime
        except FileNotFoundError:
            continue
        if name == own:
            continue
        left, here = LASTS - round(now - written), found["host"] == machine()
        if left <= 0 or (here and not _lives(found["process"], found.get("began"))):
            copy.drop(name)
            continue
        shared = len(wanted & set(found["takes"]))
        if shared:
            host = found["host"].partition("/")[0]
            yield Held(name, written, here, found["study"], host, found["process"], left, shared)


def machine() -> str:
    """An identifier of host, boot and container: process ids are unique only within these."""
    parts = [socket.gethostname()]
    for path in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        try:
            parts.append(path.readlink().name if path.is_symlink() else path.read_text().strip())
        except OSError:
            continue
    return "/".join(parts)


def began(process: int) -> int | None:
    """Start time of a process, in clock ticks since boot; None where /proc does not have it."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


def _lives(process: int, since: int | None) -> bool:
    """Whether the process runs on this machine; its start time `since` excludes a later process with the same id."""
    with suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    now = began(process)
    return None in (now, since) or now == since
