"""One command distils and runs a study through Ray Tune, Parquet and MLflow, ends in a table, does nothing twice."""

import contextlib
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from plans import needed_by
from processes import Command
from shown import assert_level, runs, steps

from crossarch.platform.scheduling.data import bound, is_made_by
from crossarch.platform.scheduling.prepare import store
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import connect
from crossarch.search_spaces.catalog import find
from crossarch.search_spaces.quickstart import DISTILS, SMOKE_SET
from crossarch.trainables.config.identity import run_id

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

LONGEST = 300
"""Seconds. It takes 30 on two quiet cores, most of them to start Ray and to import torch."""

AGAIN = 6
"""Seconds. The promise is 3 on a quiet machine, of which starting Python and reading Parquet is most: under load
everything takes twice as long."""

SMOKE = ("run", "quickstart", "--smoke")

RUNS = 12


def run_again(folder):
    """The same command once more, which has nothing to train, and the seconds it took."""
    begun = time.monotonic()
    command = Command(*SMOKE, folder=folder)
    assert command.wait(LONGEST) == 0, command.err
    return command, time.monotonic() - begun


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    command = Command(*SMOKE, folder=tmp_path_factory.mktemp("study"))
    try:
        assert command.wait(LONGEST) == 0, command.err
        yield command
    finally:
        command.end()


@pytest.fixture(scope="module")
def storage(first):
    return first.folder / "crossarch-results"


@pytest.fixture(scope="module")
def planned(storage):
    """The runs by id, on the set that the command has distilled."""
    return needed_by(bound(find("quickstart").smoke(), storage).expand())


@pytest.fixture(scope="module")
def recorded(storage):
    return Ledger(storage).read()


@pytest.fixture
def shown(storage):
    """What MLflow shows of the study: children by run id, and parents."""
    return runs(storage, "quickstart-smoke")


@pytest.fixture(scope="module")
def full(planned):
    """ResNet18 in the arm `full`."""
    (run,) = (run for run in planned.values() if (run.arm, run.cell) == ("full", ("ResNet18",)))
    return run.run_id


@pytest.fixture(scope="module")
def teacher(planned):
    """The ConvNet without DropPath and distillation, a cell of the table itself."""
    (run,) = (run for run in planned.values() if (run.arm, run.cell) == ("without_dp_kd", ("ConvNet",)))
    return run.run_id


def test_it_says_what_it_does_and_ends_in_a_table(first):
    assert first.err == ""
    for number in range(1, 13):
        assert f"  {number:>2}/12  finished  " in first.out
    assert re.search(r"\nArm +ConvNet +ResNet18 +VGG11 ", first.out)
    for label in ("Baseline", "w/o DP & KD", "w/o DP", "w/o KD", "Full"):
        assert f"\n{label}  " in first.out
    assert "Teachers" not in first.out
    assert "12 planned: 12 finished" in first.out
    assert first.out.count("too few seeds") == 8, "a claim needs two"
    assert "\x1b" not in first.out


def test_the_set_is_distilled_first_and_every_run_is_trained_on_it(first, storage, recorded):
    assert first.out.index(f"{SMOKE_SET}: in the store") < first.out.index("1/12  finished")
    (manifest,) = store(storage).manifests().values()
    assert manifest.name == SMOKE_SET
    assert is_made_by(DISTILS[SMOKE_SET], manifest)
    assert {result.config.data.sha256 for result in recorded.values()} == {manifest.sha256}


def test_the_distillation_is_shown_in_mlflow(first, storage):
    client = connect(default_tracking_uri(storage))
    (run,) = client.search_runs([client.get_experiment_by_name("distill").experiment_id])
    assert (run.info.status, run.info.run_name, run.data.params["steps"]) == ("FINISHED", SMOKE_SET, "4")


def test_the_ledger_has_every_run_once(storage, recorded, planned):
    assert set(recorded) == set(planned)
    assert len(list((storage / "ledger" / "runs").glob("*.parquet"))) == len(recorded) == RUNS
    for name, result in recorded.items():
        assert result.outcome == "finished"
        assert result.config == planned[name].config
        assert 0 <= result.test_accuracy <= 100
        assert [point.epoch for point in result.curve] == list(range(1, result.config.epochs + 1))
        assert result.environment["torch"]
        assert result.environment["ray"]
        assert 0 < result.training_seconds <= result.device_seconds


def test_students_learned_from_the_cell_that_taught_and_was_kept(storage, recorded, teacher):
    students = [result for result in recorded.values() if result.config.kd]
    assert len(students) == 4
    for student in students:
        assert run_id(student.config.kd.teacher) == teacher
        assert student.teacher_sha256 == recorded[teacher].weights_sha256 is not None
        assert student.started_at >= recorded[teacher].finished_at
    assert [path.stem for path in (storage / "weights").iterdir()] == [teacher]


def test_the_invocation_has_its_runs_with_ids_and_labels(storage, planned):
    (invocation,) = Ledger(storage).invocations()
    assert invocation.study == "quickstart-smoke"
    assert list(invocation.cells.items()) == [(name, run.coordinates) for name, run in planned.items()]
    assert (len(invocation.cells), invocation.teachers) == (RUNS, {})
    assert invocation.labels["arm"]["without_dp_kd"] == "w/o DP & KD"


def test_mlflow_has_every_run_once_below_its_invocation(shown, recorded, storage):
    children, (parent,) = shown
    assert set(children) == set(recorded)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["crossarch.invocation"] == Ledger(storage).invocations()[0].id
    for run in children.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == "FINISHED"


def test_the_final_metric_is_on_every_child(shown, recorded):
    children, _ = shown
    for name, run in children.items():
        assert run.data.metrics["test_accuracy"] == recorded[name].test_accuracy


def test_parameters_that_vary_are_there_under_flat_dotted_names(shown, full, teacher):
    children, _ = shown
    params = {name: run.data.params for name, run in children.items()}
    names = set().union(*params.values())
    assert names >= {"model.architecture", "optimizer.name", "augmentation.folds", "learning_rate.schedule"}
    assert not {name for name in names if "/" in name or "[" in name or "{" in name}
    assert {values["model.architecture"] for values in params.values()} == {"convnet", "resnet18", "vgg11"}
    assert {values["optimizer.name"] for values in params.values()} == {"adamw", "lion"}
    assert {values["learning_rate.schedule"] for values in params.values()} == {"cosine", "periodic"}
    assert {"keep_rate.minimum", "kd.alpha", "kd.temperature", "kd.teacher"} <= set(params[full])
    assert params[full]["kd.teacher"] == teacher
    assert params[full]["model.shortcut"] == "improved"


def test_tags_tell_where_a_run_belongs(shown, full):
    children, _ = shown
    tags = children[full].data.tags
    assert tags["crossarch.arm"] == "full"
    assert children[full].data.params["arm"] == "Full"
    assert children[full].info.run_name == "Full · ResNet18 · seed 0"
    assert tags["crossarch.architecture"] == "resnet18"
    assert tags["crossarch.dataset"] == "digits"
    assert tags["crossarch.seed"] == "0"
    assert full == f"{tags['crossarch.config_hash']}-s{tags['crossarch.seed']}"
    assert tags["crossarch.hardware"]


def test_curves_have_each_epoch_once(shown, recorded, storage):
    children, _ = shown
    for name, run in children.items():
        for metric in ("train_loss", "learning_rate", "keep_rate"):
            assert steps(storage, run, metric) == [point.epoch for point in recorded[name].curve], metric
    assert_level(storage, "quickstart-smoke")


def test_what_drop_path_kept_is_shown_of_networks_that_drop(shown, storage, recorded, full):
    children, _ = shown
    for run in children.values():
        residual = run.data.params["model.architecture"] == "resnet18"  # VGG11's shortcuts are virtual: DropPath's own
        assert ("keep_rate.observed" in run.data.metrics) == (residual or "keep_rate.minimum" in run.data.params)
    assert steps(storage, children[full], "keep_rate.observed")
    assert any(0 < point.keep_rate_observed < 1 for point in recorded[full].curve)


def test_the_page_is_written_and_the_invocation_has_it_in_mlflow(first, shown, storage):
    page = storage / "reports" / "quickstart-smoke" / "index.html"
    assert first.out.rstrip().endswith(f"Report: {page}")
    (parent,) = shown[1]
    artifact = storage / "mlflow-artifacts" / "quickstart-smoke" / parent.info.run_id / "artifacts/report/index.html"
    assert artifact.read_text() == page.read_text()


def test_nothing_is_left_over(first, storage):
    assert first.leftovers() == []
    files = Counter(path.relative_to(storage).parts[0] for path in storage.rglob("*") if path.is_file())
    assert set(files) == {"data", "ledger", "mlflow-artifacts", "mlflow.db", "mlflow.db.lock", "reports", "weights"}
    assert not list(storage.rglob("*.partial"))
    assert {path.name for path in first.folder.iterdir()} == {"0.out", "0.err", "crossarch-results"}


def test_a_second_run_trains_nothing_and_answers_at_once(first, storage, listing):
    before = listing(storage)
    again, seconds = run_again(first.folder)
    assert seconds < AGAIN
    assert again.err == ""
    assert again.out.strip() == table(first)
    assert listing(storage) == before


def test_a_second_run_imports_nothing_that_trains(first):
    """Which takes seconds."""
    slow = ("torch", "ray", "mlflow", "matplotlib")
    code = (
        "import sys\nfrom crossarch.platform.cli.main import main\n"
        f"sys.argv = ['crossarch', *{SMOKE!r}]\n"
        f"try:\n    main()\nfinally:\n    sys.stderr.write(' '.join(name for name in {slow!r} if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=first.folder, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert "12 planned: 12 finished" in done.stdout


def test_a_run_rebuilds_mlflow_where_it_was_deleted(first, storage):
    (storage / "mlflow.db").unlink()
    again, _ = run_again(first.folder)
    assert again.err == ""
    assert again.out.strip() == table(first)
    with contextlib.closing(sqlite3.connect(storage / "mlflow.db")) as database:  # MLflow still has the old one open
        statuses = database.execute("SELECT status FROM runs").fetchall()
    assert statuses == [("FINISHED",)] * (1 + RUNS)


def table(command):
    return command.out[command.out.index("quickstart-smoke\n") :].strip()
