"""The report's page in MLflow: an artifact of the study's latest parent run, sent again only where it has changed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from crossarch.platform.record.invocations import Invocation
from crossarch.platform.record.level import is_level, mark_level, note_name
from crossarch.platform.record.mlflow_description import INVOCATION
from crossarch.platform.record.mlflow_store import (
    TrackingError,
    artifact_location,
    connect,
    safe_text,
    sqlite_path,
    tracked,
)

FOLDER = "report"
"""Of the artifact, which keeps the page's file name: `report/index.html`."""

TAG = "report.sha256"
"""Of the parent run; without our prefix, as levelling removes what it does not know under that."""


def attach(invocations: Sequence[Invocation], root: Path, tracking_uri: str, page: Path) -> bool:
    """Attaches `page` to the run of the last of `invocations`, if it has one; whether it had to be sent.

    Raises TrackingError where MLflow fails.
    """
    database = sqlite_path(tracking_uri)
    if not invocations or (database is not None and not database.exists()):
        return False
    last = invocations[-1]
    digest = hashlib.sha256(page.read_bytes()).hexdigest()
    note = f"{digest} {last.id}"
    if is_level(root, tracking_uri, note_name(last.study), note):
        return False
    with tracked(tracking_uri):
        sent = _send(last, tracking_uri, page, digest)
    if sent is not None:
        mark_level(root, tracking_uri, note_name(last.study), note)
    return bool(sent)


def _send(invocation: Invocation, tracking_uri: str, page: Path, digest: str) -> bool | None:
    """As `attach`; None where there is no such run."""
    client = connect(tracking_uri)
    experiment = client.get_experiment_by_name(invocation.study)
    if experiment is None:
        return None
    if experiment.artifact_location != (
        artifact_location(tracking_uri, invocation.study) or experiment.artifact_location
    ):
        raise TrackingError(
            f"MLflow at {safe_text(tracking_uri)} keeps files in {experiment.artifact_location!r}, as the results lay "
            "elsewhere when it was made: remove this mlflow.db and `crossarch sync` makes it anew."
        )
    found = client.search_runs([experiment.experiment_id], f"tags.`{INVOCATION}` = '{invocation.id}'")
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    if not parents:
        return None
    run = parents[0]
    if run.data.tags.get(TAG) == digest:
        return False
    client.log_artifact(run.info.run_id, str(page), FOLDER)
    client.set_tag(run.info.run_id, TAG, digest)
    return True
