"""MLflow brought level with the ledger, and a cheap memory of that: a finished study need not even import it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from crossarch.platform.record.invocations import Invocation
from crossarch.platform.record.ledger import Ledger
from crossarch.platform.record.mlflow import View
from crossarch.platform.record.mlflow_store import safe_text, sqlite_path
from crossarch.trainables.files import write_atomically, writing
from crossarch.trainables.result import RunResult

_VIEW_VERSION = 2
"""Raised when the view shows the same ledger in another way: then everything is to be levelled anew."""


def sync_study(ledger: Ledger, root: Path, study: str, tracking: str, *, anyway: bool = False) -> int:
    """As `View.level`, but does nothing where the experiment was level when last looked at, unless `anyway`."""
    invocations = ledger.invocations(study)
    if not invocations:
        return 0
    members = {member.run_id for invocation in invocations for member in invocation.members}
    results = ledger.read(members)
    digest = study_digest(invocations, results)
    if is_level(root, tracking, study, digest) and not anyway:
        return 0
    changed = View(tracking).level(study, invocations[-1].question, invocations, results)
    if changed:
        forget(root, tracking, note_name(study))  # the run that had the report may be a new one
    mark_level(root, tracking, study, digest)
    return changed


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


def note_name(study: str) -> str:
    """The name under which `level` remembers what was attached."""
    return f"{study}\nreport"


def _note(root: Path, tracking_uri: str, study: str) -> Path:
    key = hashlib.sha256(f"{safe_text(tracking_uri)}\n{study}".encode()).hexdigest()[:16]
    return root / "ledger" / "level" / key
