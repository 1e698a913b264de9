"""Who trains what: so that of two drivers that would train the same run, the second is told.

A driver keeps a small file in the storage, a lease, and writes it anew while it lives. That needs neither lock nor
rename, so it holds on S3 as on a disk: a driver first writes its lease and then looks at the others'. Of two that start
at once, at least one sees the other, and who sees another withdraws. All times are the storage's own, so that clocks
need not agree.

A driver that is killed leaves its lease, which on its own machine counts for nothing. Elsewhere nobody knows, so who
finds the lease of another machine watches it. Where it is written again, its driver lives, which is known within one
beat; where it is not, it runs out, and the watcher goes on: a retry on a new cluster needs nobody's help.
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
"""Seconds after it was last written that a lease counts."""
BEAT = 20.0
"""Seconds between two writings."""
GLANCE = 2.0
"""Seconds between two looks at a lease that may run out."""
ATTEMPTS = 3
"""Of drivers that start at once; each waits for a random time in between."""


class Held(NamedTuple):
    """Another driver's lease."""

    name: str
    written: float
    """The storage's instant."""
    here: bool
    """Whether its driver is on this machine, where it lives."""
    study: str
    host: str
    process: int
    left: int
    """Seconds until it runs out, if it is not written again."""
    shared: int
    """Runs that both would train."""

    def lives(self, seen: float) -> bool:
        """Whether the driver is known to live, where its lease was written at `seen` when it was first looked at."""
        return self.here or self.written > seen

    @property
    def doubt(self) -> str:
        """What is waited for, as a sentence."""
        return (
            f"Waiting for at most {self.left} s to see whether process {self.process} on {self.host}, which has "
            f"{self.shared} of these runs in {self.study}, still lives."
        )

    def __str__(self) -> str:
        return (
            f"study = {self.study!r} is being trained by process {self.process} on {self.host}, {self.shared} of these "
            "runs among its own: wait for it"
        )


class Lease:
    """The lease of one driver on storage `root`. `release` ends it."""

    def __init__(
        self, root: Path, study: str, tell: Callable[[str], None], pause: Callable[[float], None] = time.sleep
    ) -> None:
        """`tell` hears whom it waits for, and `pause` lets seconds pass."""
        self._tell, self._pause = tell, pause
        self._copy = copy_of(root)
        self._study = study
        self._name = f"{LEASES}{secrets.token_hex(8)}.json"
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._text = ""
        self._made: list[Path] | None = None

    def claim(self, what: Collection[str]) -> None:
        """Takes the runs or sets of these names, in place of those taken before.

        Waits while another machine's driver that has one of them may be dead. Raises BadInputError where one lives, and
        OSError where the storage refuses.
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
        """Returns once nobody has any of `wanted`. Raises BadInputError where one who has lives."""
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
        """Of several that come at once, one at most succeeds. Raises BadInputError where it is another."""
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
        """The storage's instant of writing."""
        write = writing(self._text)
        if self._copy.origin is None:
            write_atomically(self._copy.root / self._name, write)
            return (self._copy.root / self._name).stat().st_mtime
        self._copy.write(self._name, write)
        return self._copy.origin.stamps(self._name)[self._name].second


@contextmanager
def leased(root: Path, study: str, tell: Callable[[str], None] = lambda sentence: None) -> Iterator[Lease]:
    """A lease for as long as the context lasts; nothing is taken yet. `tell` hears whom it waits for."""
    lease = Lease(root, study, tell)
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
    """The machine, its start and its container: process numbers are of one of each."""
    parts = [socket.gethostname()]
    for path in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        try:
            parts.append(path.readlink().name if path.is_symlink() else path.read_text().strip())
        except OSError:
            continue
    return "/".join(parts)


def began(process: int) -> int | None:
    """When the process began, in ticks since the machine did; None where /proc does not tell."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


def _lives(process: int, since: int | None) -> bool:
    """Whether this machine has the process, and not another of its number: a container that restarts has the same."""
    with suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    now = began(process)
    return None in (now, since) or now == since
