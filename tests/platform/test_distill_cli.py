"""`crossarch distill` ends in the store and in MLflow, goes on, and does nothing twice."""

import json
from pathlib import Path

import pytest
from processes import Command

from crossarch.platform.scheduling.prepare import store
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import connect

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

LONGEST = 300
DISTIL = ("distill", "frepo", "width=0.03125", "batch_size=32", "--dataset", "digits", "--ipc", 1, "--steps", 4)


def artifacts(client, run, folder=None):
    for each in client.list_artifacts(run.info.run_id, folder):
        yield from artifacts(client, run, each.path) if each.is_dir else [each.path]


def test_a_set_is_distilled_stored_shown_and_not_distilled_again(tmp_path):
    command = Command(*DISTIL, folder=tmp_path)
    try:
        assert command.wait(LONGEST) == 0, command.err + command.out
        again = Command(*DISTIL, folder=tmp_path)
        assert again.wait(LONGEST) == 0, again.err
    finally:
        command.end()
    root = tmp_path / "crossarch-results"
    manifest = store(root).manifests()["digits-frepo-ipc1"]
    facts = json.loads(manifest.facts)
    assert "digits-frepo-ipc1: in the store" in command.out
    assert "digits-frepo-ipc1: already in the store" in again.out
    assert not list((root / "checkpoints").glob("*"))
    assert not list((root / "ray").glob("*"))
    client = connect(default_tracking_uri(root))
    (run,) = client.search_runs([client.get_experiment_by_name("distill").experiment_id])
    assert run.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in run.data.tags
    assert (run.data.params["steps"], run.data.params["distiller"]) == ("4", "frepo")
    losses = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in losses] == [(each["step"], each["loss"]) for each in facts["curve"]]
    assert run.data.metrics["validation_accuracy"] == facts["curve"][-1]["validation_accuracy"]
    pictures = {f"{name}-{kind}.png" for name in ["digits-frepo-ipc1"] for kind in ("images", "labels")}
    assert set(artifacts(client, run)) == {f"{at}/{name}" for at in ("set", "step-00000004") for name in pictures}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mtt"], "distiller = 'mtt' is not one of frepo"),
        (["frepo", "--dataset", "mnist"], "dataset = 'mnist' is not one of digits"),
        (["frepo", "--ipc", 0], "images_per_class = 0 is outside [1, inf)"),
        (["frepo", "--name", "A/B"], "name = 'A/B' is not 1 to 64 of"),
        (["frepo", "seed=3"], "seed = 3: give it as an option"),
        (["frepo", "pool=3"], "pool is unknown; known here: batch_size, dataset, "),
        (["frepo", "--data-root", "nowhere"], "data_root = 'nowhere' is not a folder"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(crossarch, tmp_path, arguments, message):
    answer = crossarch("distill", *arguments, "--storage", tmp_path / "storage")

    assert (answer.status, answer.out) == (2, "")
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "storage").exists()
