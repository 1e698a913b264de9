"""Digests of what was last synced to MLflow, stored beside the ledger. Does not import MLflow."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from crossarch.platform.store.invocations import Invocation, runs_of
from crossarch.platform.store.ledger import Ledger
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.files import write_atomically, writing

_SQLITE = "sqlite:///"


def default_tracking_uri(root: Path) -> str:
    """Tracking URI of the embedded store: the SQLite file `mlflow.db` in `root`."""
    return f"{_SQLITE}{root.resolve() / 'mlflow.db'}"


def sqlite_path(tracking_uri: str) -> Path | None:
    """File of a SQLite tracking store; None for other stores."""
    return Path(tracking_uri.removeprefix(_SQLITE).partition("?")[0]) if tracking_uri.startswith(_SQLITE) else None


def safe_text(text: str) -> str:
    """Removes user names and passwords from URLs in `text`."""
    return re.sub(r"://[^/\s'\"]*@", "://", text)


_VIEW_VERSION = 3
"""Incremented when the view of an unchanged ledger changes, so that everything is synced again."""


def study_digest(invocations: Iterable[Invocation], results: Mapping[str, RunResult]) -> str:
    """Digest of everything a study's view in MLflow depends on: invocations, and outcomes and end times of runs."""
    runs = sorted(f"{name} {result.outcome} {result.finished_at}" for name, result in results.items())
    lines = [str(_VIEW_VERSION), *sorted(invocation.id for invocation in invocations), *runs]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_level(root: Path, tracking_uri: str, study: str, digest: str) -> bool:
    """Whether `digest` was recorded at the study's last sync; False if the store's SQLite file is gone."""
    database = sqlite_path(tracking_uri)
    if database is not None and not database.exists():
        return False
    note = _note(root, tracking_uri, study)
    return note.exists() and note.read_text() == digest


def mark_level(root: Path, tracking_uri: str, study: str, digest: str) -> None:
    """Records the digest of the study's last sync. Raises OSError if it cannot be written."""
    write_atomically(_note(root, tracking_uri, study), writing(digest))


def forget(root: Path, tracking_uri: str, study: str) -> None:
    """Deletes the digest that `mark_level` has recorded."""
    _note(root, tracking_uri, study).unlink(missing_ok=True)


def note_name(study: str) -> str:
    """Key of `mark_level` and `is_level` for the report attached to the study."""
    return f"{study}\nreport"


def _note(root: Path, tracking_uri: str, study: str) -> Path:
    key = hashlib.sha256(f"{safe_text(tracking_uri)}\n{study}".encode()).hexdigest()[:16]
    return root / "ledger" / "level" / key


def is_synced(ledger: Ledger, root: Path, study: str, tracking_uri: str) -> bool:
    """Whether the study's last sync had the ledger's present contents, or the study has no invocation."""
    invocations = ledger.invocations(study)
    digest = study_digest(invocations, ledger.read(runs_of(invocations)))
    return not invocations or is_level(root, tracking_uri, study, digest)


def page_digest(page: Path) -> str:
    """SHA-256 of a report's page."""
    return hashlib.sha256(page.read_bytes()).hexdigest()


def attachment(invocation: Invocation, digest: str) -> str:
    """Value recorded by `mark_level` when a page with `digest` is attached to the invocation's run."""
    return f"{digest} {invocation.id}"


def is_attached(invocations: Sequence[Invocation], root: Path, tracking_uri: str, page: Path) -> bool:
    """Whether `page` is attached to the run of the last invocation.

    True if there is nothing to attach it to: no invocation, or the SQLite file is gone.
    """
    database = sqlite_path(tracking_uri)
    if not invocations or (database is not None and not database.exists()):
        return True
    last = invocations[-1]
    return is_level(root, tracking_uri, note_name(last.study), attachment(last, page_digest(page)))
