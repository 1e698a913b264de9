"""Runs go to a machine without Ray, and their results come back: complete, or not at all."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from small import MAIN, SMALL

from crossarch.platform.errors import BadInputError
from crossarch.platform.store.exchange import import_results
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.catalog import STUDIES
from crossarch.trainables.config.identity import METHOD_VERSION
from crossarch.trainables.training.execute import Workplace, execute

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")

torch.set_num_threads(1)  # as the batch does

SMOKE = ("small", "--smoke")


def batch(file, folder):
    command = [
        sys.executable,
        "-m",
        "crossarch.trainables.training.batch",
        str(file),
        "--out",
        str(folder),
        "--device",
        "cpu",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What the batch makes of the small study's smoke form, exported from an empty ledger."""
    root = tmp_path_factory.mktemp("exchange")
    command = [sys.executable, "-c", MAIN, "ledger", "export", *SMOKE, str(root / "runs.json")]
    subprocess.run([*command, "--storage", str(root / "nowhere")], check=True, timeout=60, capture_output=True)
    done = batch(root / "runs.json", root / "out")
    assert done.returncode == 0, done.stderr
    assert not (root / "nowhere").exists()
    return root / "out"


@pytest.fixture
def returned(trained, tmp_path):
    """A copy of it to spoil, and an empty storage."""
    return shutil.copytree(trained, tmp_path / "out"), tmp_path / "storage"


def results(folder):
    return sorted((folder / "results").glob("*.json"))


def the_teacher(folder):
    (path,) = (folder / "weights").glob("*.pt")
    return path


def spoil(file, **changes):
    """Changes values by dotted name, `config__epochs` for `config.epochs`; `...` removes one."""
    values = json.loads(file.read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        here = values
        for parent in parents:
            here = here[parent]
        if value is ...:
            del here[last]
        else:
            here[last] = value
    file.write_text(json.dumps(values))


def test_what_came_back_is_not_trained_again(returned, crossarch, monkeypatch):
    folder, storage = returned

    def no_cluster(address):
        raise AssertionError("something is to be trained")

    monkeypatch.setattr("crossarch.platform.scheduling.cluster.connected", no_cluster)
    monkeypatch.setitem(STUDIES, SMALL.name, SMALL)
    assert crossarch("ledger", "import", folder, "--storage", storage) == (0, "4 runs admitted, 0 known already\n", "")
    told = crossarch("run", *SMOKE, "--storage", storage)
    assert (told.status, told.err) == (0, "")
    assert "4 planned: 4 finished" in told.out
    assert crossarch("ledger", "import", folder, "--storage", storage).out == "0 runs admitted, 4 known already\n"
    assert crossarch("ledger", "export", *SMOKE, storage / "rest.json", "--storage", storage).out.startswith("0 runs")


def test_the_ledger_has_what_the_batch_wrote(returned):
    folder, storage = returned
    import_results(folder, storage)
    recorded = Ledger(storage).read()
    assert set(recorded) == {file.stem for file in results(folder)}
    for file in results(folder):
        expected = json.loads(file.read_text()) | {"method_version": METHOD_VERSION}
        assert json.loads(json.dumps(recorded[file.stem].to_dict() | {"method_version": METHOD_VERSION})) == expected


def test_the_teachers_weights_come_along_and_teach(returned):
    folder, storage = returned
    import_results(folder, storage)
    teacher = the_teacher(folder)
    assert (storage / "weights" / teacher.name).read_bytes() == teacher.read_bytes()
    recorded = Ledger(storage).read()
    (student,) = (result for result in recorded.values() if result.config.kd)
    again = execute(student.config, Workplace(root=storage))
    assert again.teacher_sha256 == recorded[teacher.stem].weights_sha256
    assert (again.curve, again.test_accuracy) == (student.curve, student.test_accuracy)


def test_a_failure_is_admitted_and_a_later_result_replaces_it(returned):
    folder, storage = returned
    first = results(folder)[0]
    text = first.read_text()
    spoil(first, outcome="failed", error="no memory", test_accuracy=None)
    assert import_results(folder, storage) == (4, 0)
    assert Ledger(storage).read()[first.stem].outcome == "failed"
    first.write_text(text)
    assert import_results(folder, storage) == (1, 3)
    assert Ledger(storage).read()[first.stem].outcome == "finished"


SPOILT = {
    "another recipe": {"config__epochs": 9999},
    "another seed": {"config__seed": 5},
    "a recipe that is not allowed": {"config__epochs": 0},
    "an unknown setting": {"config__tempo": 3},
    "no recipe": {"config": ...},
    "another method": {"method_version": METHOD_VERSION + 1},
    "no method": {"method_version": ...},
    "an unknown outcome": {"outcome": "wonderful"},
    "finished without an accuracy": {"test_accuracy": None},
    "an accuracy in words": {"test_accuracy": "high"},
    "a curve of something else": {"curve": [{"step": 1}]},
    "a curve in words": {"curve": [{"epoch": "one", "train_loss": 1.0, "learning_rate": 1.0, "keep_rate": 1.0}]},
    "an unknown value": {"mood": "good"},
}


@pytest.fixture
def refused(returned, crossarch):
    """The sentence with which an import is refused; nothing is admitted, good files neither."""
    folder, storage = returned

    def call():
        answer = crossarch("ledger", "import", folder, "--storage", storage)
        assert (answer.status, answer.out) == (2, "")
        assert not storage.exists()
        (line,) = answer.err.splitlines()
        return line.removeprefix("crossarch: ")

    return call


@pytest.mark.parametrize("what", SPOILT)
def test_a_result_that_was_changed_is_refused_with_all_others(returned, refused, what):
    file = results(returned[0])[-1]
    spoil(file, **SPOILT[what])
    assert refused().startswith(file.name)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "{}", '{"config": 3, "method_version": 1}', "\x00"])
def test_a_file_that_is_no_result_is_refused(returned, refused, text):
    file = results(returned[0])[-1]
    file.write_text(text)
    assert refused().startswith(f"{file.name} is not a result of crossarch.trainables.training.batch: ")


def test_a_truncated_result_is_refused(returned, refused):
    file = results(returned[0])[-1]
    file.write_bytes(file.read_bytes()[:-100])
    assert refused().startswith(f"{file.name} is not a result of crossarch.trainables.training.batch: ")


def test_a_misnamed_result_is_refused(returned, refused):
    first, *_, last = results(returned[0])
    shutil.copy(first, last)
    assert refused() == f"{last.name} holds the run {first.stem}: its configuration or name was changed"


def test_truncated_weights_are_refused(returned, refused):
    path = the_teacher(returned[0])
    path.write_bytes(path.read_bytes()[:-1000])
    assert refused().startswith(f"{path.name} holds no weights: ")


def test_weights_of_another_training_are_refused(returned, refused):
    path = the_teacher(returned[0])
    spoil(returned[0] / "results" / f"{path.stem}.json", weights_sha256="0" * 64)
    assert refused() == f"{path.name} does not hold the weights that results/{path.stem}.json names"


def test_weights_of_no_result_stay_where_they_are(returned):
    folder, storage = returned
    (folder / "weights" / "stranger.pt").write_bytes(b"")
    import_results(folder, storage)
    assert not (storage / "weights" / "stranger.pt").exists()


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(BadInputError, match=r"has no results/\*\.json"):
        import_results(tmp_path, tmp_path / "storage")
