"""Commands of ours as processes of their own, with all that they start; none of it outlives its test."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

MAIN = "from crossarch.platform.cli.main import main; main()"

OURS = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_AUTH_MODE", "OMP_NUM_THREADS")
"""What the caller's environment may say of these is not for the commands under test."""

Found = TypeVar("Found")


class Process(NamedTuple):
    """A process, told apart from a later one of the same number by the instant it was started."""

    pid: int
    parent: int
    state: str
    started: int
    name: str


def look_up(pid: int) -> Process | None:
    """The process of that number, if there is one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        title = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return None
    state, parent, *rest = stat.rpartition(")")[2].split()
    return Process(pid=pid, parent=int(parent), state=state, started=int(rest[17]), name=title)


def descendants(pid: int) -> list[Process]:
    """All processes below `pid`, each after its parent."""
    everyone = [process for path in Path("/proc").glob("[0-9]*") if (process := look_up(int(path.name)))]
    found: list[Process] = []
    parents = [pid]
    for parent in parents:
        children = [process for process in everyone if process.parent == parent]
        found += children
        parents += [child.pid for child in children]
    return found


def in_training(processes: Iterable[Process]) -> list[Process]:
    """Those that train a run at this instant: not between two of its reports, nor between two runs."""
    return [process for process in processes if process.name.startswith("ray::ImplicitFunc.train")]


def alive(process: Process) -> bool:
    """Whether that very process still runs."""
    now = look_up(process.pid)
    return now is not None and now.started == process.started and now.state != "Z"


def wait_for(what: Callable[[], Found | None], seconds: float, pause: float = 0.05) -> Found:
    """The first answer of `what` that is not empty. Raises TimeoutError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not seen within {seconds:g} s: {what.__name__}")
        time.sleep(pause)
    return found


def is_healthy(port: int) -> bool:
    """Whether an MLflow server answers at that port of the loopback interface."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Command:
    """`crossarch` with some arguments, in a folder and a session of its own, as in a terminal of its own."""

    def __init__(
        self, *arguments: object, folder: Path, code: str = MAIN, environment: Mapping[str, str] | None = None
    ) -> None:
        """`code` is what Python runs instead, to change something before `main()`; `environment` is added to ours."""
        self.folder = folder
        self.family: list[Process] = []
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.out")))
        self._out, self._err = folder / f"{number}.out", folder / f"{number}.err"
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        with self._out.open("w") as out, self._err.open("w") as err:  # a pipe would stay open in what it leaves behind
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *map(str, arguments)],
                cwd=folder,
                env=inherited | {"COLUMNS": "120"} | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        """What it has written to its standard output."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has written to its standard error."""
        return self._err.read_text()

    def wait(self, seconds: float) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""
        return self.process.wait(seconds)

    def workers(self) -> list[Process]:
        """The processes of Tune's trials that live now."""
        return [process for process in self.leftovers() if process.name.startswith("ray::ImplicitFunc")]

    def halt(self) -> list[Process]:
        """Stops its trials where they are; it lives on without them. SIGCONT wakes them."""
        halted = self.workers()
        for worker in halted:
            os.kill(worker.pid, signal.SIGSTOP)
        return halted

    def interrupt(self) -> None:
        """Ctrl-C: a SIGINT for it and all in its process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def terminate(self) -> None:
        """A SIGTERM for it alone, as a service manager sends."""
        self.process.terminate()

    def kill(self) -> None:
        """A SIGKILL for it; what it started is left to itself."""
        self.family = descendants(self.process.pid)
        self.process.kill()
        self.process.wait()

    def leftovers(self) -> list[Process]:
        """What it started and still runs."""
        if self.process.poll() is None:
            self.family = descendants(self.process.pid)
        return [process for process in self.family if alive(process)]

    def end(self, seconds: float = 5) -> None:
        """Sees to it that neither it nor anything it started is left: by itself within so many seconds, or killed.

        After a SIGKILL of the driver, Ray's agents notice within a minute only.
        """
        if self.process.poll() is None:
            self.kill()
        try:
            wait_for(lambda: not self.leftovers(), seconds)
        except TimeoutError:
            for process in self.leftovers():
                os.kill(process.pid, signal.SIGKILL)


def commands(folder: Path) -> Iterator[Callable[..., Command]]:
    """For a fixture: starts commands in `folder`, and ends whatever is left of them when the test is over."""
    started: list[Command] = []

    def start(*arguments: object, code: str = MAIN) -> Command:
        started.append(Command(*arguments, folder=folder, code=code))
        return started[-1]

    yield start
    for command in started:
        command.end()
