"""Where MLflow keeps its runs, and how we get there: quietly, explicitly, and with one error for all that fails.

Nothing here imports mlflow before `connect` is called, as that takes a second.
"""

import functools
import logging
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossarch.platform.validation import FailedError
from crossarch.trainables.files import locked

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"

_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow reads these whenever it needs them. Its own are 120 s and 7 retries over 4 minutes, a line for each run on
the terminal, and reports of use to its makers. What the user has set stays."""


class TrackingError(FailedError):
    """MLflow could not be reached, or refused; one sentence without credentials."""


def default_tracking_uri(root: Path) -> str:
    """The embedded store: a SQLite file `mlflow.db` in `root`."""
    return f"{_SQLITE}{root.resolve() / 'mlflow.db'}"


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite store; None for every other store."""
    return Path(tracking_uri.removeprefix(_SQLITE).partition("?")[0]) if tracking_uri.startswith(_SQLITE) else None


def artifact_location(tracking_uri: str, study: str) -> str | None:
    """Where an embedded store keeps a study's artifacts, beside its database; None where the server decides."""
    database = sqlite_path(tracking_uri)
    return None if database is None else (database.resolve().parent / "mlflow-artifacts" / study).as_uri()


def safe_text(text: str) -> str:
    """`text` without the user names and passwords of the addresses in it."""
    return re.sub(r"://[^/\s'\"]*@", "://", text)


def connect(tracking_uri: str) -> "MlflowClient":
    """A client apart from MLflow's global state. A new SQLite store is initialised, one process at a time.

    Call it inside `tracked`.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    database = sqlite_path(tracking_uri)
    if database is None:
        return MlflowClient(tracking_uri=tracking_uri)
    _spare_sqlite()
    with locked(database.with_name(f"{database.name}.lock")):
        return MlflowClient(tracking_uri=tracking_uri)


@functools.cache
def _spare_sqlite() -> None:
    """Spares SQLite, in this process, what a run would cost it a dozen times.

    It leaves it to the system when commits reach the disk. A killed process costs nothing that way. Power that fails
    may cost the file, which is a view of the ledger. And a connection is told its settings once: MLflow repeats them
    before every transaction, after which SQLite compiles all statements anew.
    """
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def relax(connection: Any, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            with suppress(sqlite3.DatabaseError):  # not a database: told when it is used; MLflow tries here for 100 s
                connection.execute("PRAGMA synchronous = OFF")

    @event.listens_for(Engine, "do_execute")
    def set_once(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        name, _, value = statement.partition("=")
        if not (name.startswith("PRAGMA ") and value and isinstance(cursor, sqlite3.Cursor)):
            return False
        known = context.root_connection.info  # as long as the connection lives
        if known.get(name) != value:
            cursor.execute(statement, parameters)
            if not cursor.connection.in_transaction:  # in one, SQLite passes some over
                known[name] = value
        return True


@contextmanager
def tracked(tracking_uri: str) -> Iterator[None]:
    """Turns everything that fails inside into a TrackingError."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        raise TrackingError(f"MLflow at {safe_text(tracking_uri)} {_complaint(error)}.") from error


def _complaint(error: BaseException) -> str:
    """What happened, to end a sentence: silence of the network apart from all else."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, ConnectionError | TimeoutError | socket.gaierror):
            return f"does not answer ({link.strerror or type(link).__name__})"
        link = link.__cause__ or link.__context__
    reason = safe_text(str(error)).partition("\n")[0].rstrip(". ")
    return f"failed: {reason or type(error).__name__}"
