"""A cheap memory of what MLflow last showed, so that a finished study need not even import it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from crossarch.platform.record.invocations import Invocation
from crossarch.platform.record.mlflow_store import safe_text, sqlite_path
from crossarch.trainables.files import write_atomically, writing
from crossarch.trainables.result import RunResult

_VIEW_VERSION = 2
"""Raised when the view shows the same ledger in another way: then everything is to be levelled anew."""


def study_digest(invocations: Iterable[Invocation], results: Mapping[str, RunResult]) -> str:
    """What a level view of a study depends on."""
    runs = sorted(f"{name} {result.outcome} {result.finished_at}" for name, result in results.items())
    lines = [str(_VIEW_VERSION), *sorted(invocation.id for invocation in invocations), *runs]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_level(root: Path, tracking_uri: str, study: str, digest: str) -> bool:
    """Whether the study was levelled at this server with this digest; never where a SQLite file is gone."""
    database = sqlite_path(tracking_uri)
    if database is not None and not database.exists():
        return False
    note = _note(root, tracking_uri, study)
    return note.exists() and note.read_text() == digest


def mark_level(root: Path, tracking_uri: str, study: str, digest: str) -> None:
    """Remembers that the study is level. Raises OSError where the disk refuses."""
    write_atomically(_note(root, tracking_uri, study), writing(digest))


def forget(root: Path, tracking_uri: str, study: str) -> None:
    """The opposite of `mark_level`."""
    _note(root, tracking_uri, study).unlink(missing_ok=True)


def _note(root: Path, tracking_uri: str, study: str) -> Path:
    key = hashlib.sha256(f"{safe_text(tracking_uri)}\n{study}".encode()).hexdigest()[:16]
    return root / "ledger" / "level" / key
