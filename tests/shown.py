"""What MLflow shows of a study in a storage folder, held against the ledger."""

from pathlib import Path
from typing import TYPE_CHECKING

from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import View, connect

if TYPE_CHECKING:
    from mlflow.entities import Run

STATUS = {"finished": "FINISHED", "diverged": "FAILED", "failed": "FAILED", "blocked": "KILLED", "stopped": "KILLED"}


def runs(storage: Path, study: str, tracking: str | None = None) -> tuple[dict[str, "Run"], list["Run"]]:
    """The children by run id, each of them once, and the parents, in the storage's own MLflow or at `tracking`."""
    client = connect(tracking or default_tracking_uri(storage))
    experiment = client.get_experiment_by_name(study)
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    children = [run for run in found if "crossarch.run_id" in run.data.tags]
    by_id = {run.data.tags["crossarch.run_id"]: run for run in children}
    assert len(by_id) == len(children), "a child is doubled"
    return by_id, [run for run in found if run not in children]


def steps(storage: Path, run: "Run", metric: str = "train_loss", tracking: str | None = None) -> list[int]:
    """The epochs of one curve, as often as they are there."""
    client = connect(tracking or default_tracking_uri(storage))
    return [point.step for point in client.get_metric_history(run.info.run_id, metric)]


def assert_level(storage: Path, study: str, tracking: str | None = None) -> None:
    """All that the ledger has is shown, each run and each epoch once, and nothing else as if it still ran."""
    ledger = Ledger(storage)
    invocations, known = ledger.invocations(study), ledger.read()
    assert View(tracking or default_tracking_uri(storage)).sync(study, "", invocations, known) == 0
    children, parents = runs(storage, study, tracking)
    assert {run.data.tags["crossarch.invocation"] for run in parents} == {each.id for each in invocations}
    assert not [run for run in (*children.values(), *parents) if run.info.status == "RUNNING"]
    assert set(known) <= set(children)
    for name, result in known.items():
        assert children[name].info.status == STATUS[result.outcome]
        assert children[name].data.metrics.get("test_accuracy") == result.test_accuracy
        assert steps(storage, children[name], tracking=tracking) == [point.epoch for point in result.curve]
    for name in set(children) - set(known):  # interrupted
        assert children[name].info.status == "KILLED"
        shown = steps(storage, children[name], tracking=tracking)
        assert len(set(shown)) == len(shown)
