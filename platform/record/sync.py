"""Brings MLflow level with the ledger, study by study."""

from pathlib import Path

from crossarch.platform.record.ledger import Ledger
from crossarch.platform.record.level import forget, is_level, mark_level, study_digest
from crossarch.platform.record.mlflow import View
from crossarch.platform.record.mlflow_report import note_name


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
