"""A sweep with early stopping, by the command line and Ray: what is stopped is no result, until trained in full."""

import re
from pathlib import Path

import pytest
from processes import Command
from shown import assert_level, runs

from crossarch.platform.report.tables import build_table
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.from_file import load
from crossarch.trainables.config.identity import run_id

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

LONGEST = 300
"""Seconds. It takes 40 on two quiet cores."""

FILE = '''
"""Points that learn, and a last one that cannot."""

import dataclasses
from crossarch import Axis
from crossarch.search_spaces.quickstart import BASE, QUICKSTART
from crossarch.search_spaces.robustness import robustness
from crossarch.trainables.config.layers import merge_layers

NETWORKS = QUICKSTART.axes[0].choices
SWEEP = robustness("slices", vary=["alpha"])
STUDY = dataclasses.replace(
    SWEEP,
    name="poor",
    base=merge_layers(BASE, {"model.width": 1 / 32, "data.images_per_class": 4}),
    budget=0.02,
    seeds=(0,),
    distils={},
    axes=(Axis(name="architecture", choices={name: NETWORKS[name] for name in ("ConvNet", "VGG11")}),),
    arms=tuple(arm.changed({"learning_rate.maximum": 1e-9}) if arm.name == "alpha=1" else arm for arm in SWEEP.arms),
)
'''
POOR = "alpha=1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("study")
    (made / "poor.py").write_text(FILE)
    return made


def run(folder, *options):
    command = Command("run", "poor.py", *options, folder=folder)
    try:
        assert command.wait(LONGEST) == 0, command.out + command.err
    finally:
        command.end()
    return command


@pytest.fixture(scope="module")
def first(folder):
    return run(folder, "--stop-early", "0.3")


@pytest.fixture(scope="module")
def study(folder):
    return load(folder / "poor.py", ())


@pytest.fixture(scope="module")
def poor(study):
    (plan,) = (plan for plan in study.expand() if plan.arm == POOR)
    return run_id(plan.config)


@pytest.fixture(scope="module")
def storage(folder):
    return folder / "crossarch-results"


@pytest.fixture(scope="module")
def recorded(first, storage):
    """The ledger after the first command."""
    return Ledger(storage).read()


@pytest.fixture(scope="module")
def shown(first, storage, recorded, poor):
    """What MLflow shows of the poor run after the first command."""
    assert_level(storage, "poor")
    return runs(storage, "poor")[0][poor]


def test_a_run_that_cannot_learn_is_stopped_with_its_curve_and_cost(recorded, poor):
    result = recorded[poor]
    assert result.outcome == "stopped"
    epochs = result.config.epochs
    assert result.curve[-1].epoch == 30, "its first validation after 0.3 of 80 epochs"
    assert re.fullmatch(
        rf"after epoch 30 of {epochs}: validation accuracy [\d.]+ % at best, below the others' median, [\d.]+ %",
        result.error,
    )
    assert 0 < result.training_seconds < result.device_seconds
    assert (result.test_accuracy, result.validation_accuracy) == (None, None)


def test_baselines_default_and_teacher_are_finished(recorded, study):
    whole = [plan.config for plan in study.expand() if plan.arm in ("baseline", "full")]
    whole += [plan.teacher.config for plan in study.expand() if plan.teacher]
    assert {recorded[run_id(config)].outcome for config in whole} == {"finished"}


def test_the_command_counts_it_and_gives_it_no_accuracy(first, study, recorded):
    assert re.search(r"/9  stopped   α = 1 · VGG11 · seed 0  .* after epoch 30 of 80: ", first.out)
    assert re.search(r"9 planned: \d finished, \d stopped", first.out)
    (row,) = (row for row in build_table(study, study.seeds, recorded).rows if row.arm == "α = 1")
    assert [(cell.accuracy, cell.counts["stopped"]) for cell in row.cells if cell] == [(None, 1)]


def test_mlflow_shows_it_as_killed_with_its_curve(shown, recorded, poor):
    assert shown.info.status == "KILLED"
    assert shown.data.tags["crossarch.outcome"] == "stopped"
    assert "test_accuracy" not in shown.data.metrics
    assert shown.data.metrics["device_seconds"] == recorded[poor].device_seconds


def test_while_runs_are_stopped_early_it_stays_so_and_without_it_is_trained_in_full(
    first, folder, storage, recorded, shown, poor
):
    run(folder, "--stop-early", "0.3")
    assert Ledger(storage).read() == recorded
    assert not list(storage.glob("checkpoints/*")), "nothing that the stopped run left"
    again = run(folder)
    results = Ledger(storage).read()
    assert {result.outcome for result in results.values()} == {"finished"}
    assert results[poor].curve[-1].epoch == results[poor].config.epochs
    assert {name: each for name, each in results.items() if recorded[name].outcome == "finished"} == {
        name: each for name, each in recorded.items() if each.outcome == "finished"
    }, "nothing else is trained again"
    assert "9 planned: 9 finished" in again.out
    assert_level(storage, "poor")
    assert not list(storage.glob("ray/*/stops/*"))
