"""A PostgreSQL on the loopback interface, of Debian's binaries, with a folder and a port of its own; MLflow on it."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusters import free_ports
from processes import Command, alive, is_healthy, look_up, wait_for

PATIENCE = 120.0
"""Seconds."""

MLFLOW = "import sys; from mlflow.cli import cli; sys.argv[0] = 'mlflow'; cli()"

MLFLOW_PATIENCE = 300.0
"""Seconds: MLflow starts several processes, each of which imports all of it."""


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL's programs; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


def why_not() -> str | None:
    """What is missing here; None where nothing is."""
    if binaries() is None:
        return "needs PostgreSQL's programs, which are not installed"
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        return "needs psycopg2, of the extra `postgres`"
    return None


class Postgres:
    """A server for one test; root starts it as another user, as it refuses root."""

    def __init__(self) -> None:
        programs = binaries()
        assert programs is not None
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))  # not in pytest's, which others may not enter
        self._user = _unprivileged()
        if self._user:
            for place in (self.folder, *self.folder.parents):
                assert place.stat().st_mode & 0o001 or place == self.folder, f"{self._user} cannot enter {place}"
            shutil.chown(self.folder, self._user)
        (port,) = free_ports(1)
        self.password = secrets.token_hex(16)
        secret = self.folder / "password"
        secret.write_text(self.password)
        if self._user:
            shutil.chown(secret, self._user)
        self._address = f"crossarch:{self.password}@127.0.0.1:{port}/postgres"
        self.uri = f"postgresql+psycopg2://{self._address}"
        data = self.folder / "data"
        create = [programs / "initdb", "-D", data, "-U", "crossarch", "--auth=scram-sha-256", f"--pwfile={secret}"]
        subprocess.run([*create, "--no-sync"], **self._options(), check=True, capture_output=True)  # type: ignore[call-overload]
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", self.folder, "-F"],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._options(),  # type: ignore[arg-type]
            )
        try:
            wait_for(self._answers, PATIENCE, pause=0.2)
        except BaseException:
            self.end()
            raise

    def _options(self) -> dict[str, object]:
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"}
        return {"cwd": self.folder, "env": environment} | ({"user": self._user} if self._user else {})

    def _answers(self) -> bool:
        import psycopg2

        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            psycopg2.connect(f"postgresql://{self._address}").close()
        except psycopg2.OperationalError:
            return False
        return True

    def count(self, query: str) -> int:
        """The number that a query answers."""
        import psycopg2

        connection = psycopg2.connect(f"postgresql://{self._address}")
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return int(cursor.fetchone()[0])
        finally:
            connection.close()

    def log(self) -> str:
        """What the server has complained of."""
        return (self.folder / "log").read_text()

    def end(self) -> None:
        """A fast shutdown, by its process id."""
        server = look_up(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert server is None or not alive(server)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def mlflow_server(database: Postgres, folder: Path) -> Iterator[str]:
    """The address of `mlflow server --serve-artifacts` on this database, its artifacts below `folder`."""
    (port,) = free_ports(1)
    command = Command(
        *("server", "--host", "127.0.0.1", "--port", port, "--workers", 2, "--serve-artifacts"),
        *("--artifacts-destination", folder / "artifacts"),
        folder=folder,
        code=MLFLOW,
        environment={
            "MLFLOW_BACKEND_STORE_URI": database.uri,  # with a password, which is nothing for the arguments
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    )

    def answers() -> bool:
        assert command.process.poll() is None, command.err
        return is_healthy(port)

    try:
        wait_for(answers, MLFLOW_PATIENCE, pause=0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        command.end()


def _unprivileged() -> str | None:
    """The user to run the server as: PostgreSQL's own or nobody where we are root, else we ourselves."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
