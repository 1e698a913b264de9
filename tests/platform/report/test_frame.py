"""A study as a DataFrame: a row a run, with labels and every column of the ledger."""

import dataclasses
import subprocess
import sys

import pytest
from plans import needed_by

import crossarch
from crossarch.platform.scheduling.sampling import growth_of
from crossarch.platform.store.invocations import begin
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.schema import SCHEMA
from crossarch.search_spaces.catalog import STUDIES, find
from crossarch.search_spaces.robustness import robustness
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult


@pytest.fixture
def storage(results, tmp_path):
    ledger = Ledger(tmp_path)
    for result in results.values():
        ledger.write(result)
    return tmp_path


def test_a_row_a_run_with_labels_and_all_columns(study, results, storage):
    frame = crossarch.load_results(study, storage)
    assert list(frame.columns) == ["role", "arm", "network", *SCHEMA.names]
    assert len(frame) == len(results) == frame["run_id"].nunique()
    teachers = frame[frame["role"] == "teacher"]
    assert set(teachers["arm"]) == {"w/o DP & KD"}
    means = frame[frame["outcome"] == "finished"].groupby(["arm", "network"])["test_accuracy"].mean()
    assert means["Baseline", "ConvNet"] == 82
    assert means["Full", "ResNet18"] == 85.5


def test_a_study_is_found_by_its_name(study, storage, monkeypatch):
    monkeypatch.setitem(STUDIES, study.name, study)
    assert crossarch.load_results("small", str(storage)).equals(crossarch.load_results(study, storage))


def test_runs_of_seeds_beyond_the_studys_own_are_there_and_others_are_not(study, storage):
    (more,) = [plan for plan in study.expand((7,)) if plan.arm == "baseline" and plan.cell == ("ConvNet",)]
    foreign = more.config.replace({"batch_size": 7})
    for config in (more.config, foreign):
        Ledger(storage).write(RunResult(config=config, outcome="finished", test_accuracy=1.0))
    found = set(crossarch.load_results(study, storage)["run_id"])
    assert run_id(more.config) in found
    assert run_id(foreign) not in found


def test_other_axes_are_columns_by_their_names(wide_study, make_results, tmp_path):
    study = wide_study(2)
    for result in make_results(study, {("baseline", "ResNet0"): [1.0, 2.0, 3.0]}).values():
        Ledger(tmp_path).write(result)
    frame = crossarch.load_results(study, tmp_path)
    assert list(frame.columns[:4]) == ["role", "arm", "network", "IPC"]
    assert list(frame["IPC"]) == ["1 a class"] * 3 + ["10 a class"] * 3
    clash = dataclasses.replace(study.axes[0], name="seed")
    renamed = dataclasses.replace(study, axes=(clash, study.axes[1]))
    assert {"seed", "seed.label"} <= set(crossarch.load_results(renamed, tmp_path).columns)


def test_a_sampled_study_has_every_run_of_every_start(tmp_path):
    """What TPE chose with one seed is no longer what it would choose with two: both were the study's."""
    sweep = dataclasses.replace(robustness("tpe", 10, ["alpha"]), only={"architecture": ("VGG11",)}, distils={})
    ledger, trained = Ledger(tmp_path), set()
    for seeds in ((0,), (0, 1)):
        growth = growth_of(sweep, seeds)
        while not growth.is_complete:
            trained |= record(growth.advance(ledger.read()), seeds, ledger)
            growth.advance(ledger.read())
        trained |= record(growth.sweep, seeds, ledger)
        ledger.write_invocation(begin(growth.sweep, growth.sweep.expand(seeds), "crossarch run"))
    frame = crossarch.load_results(sweep, tmp_path)
    assert set(frame["run_id"]) == trained
    last = set(needed_by(growth.sweep.expand((0, 1))))
    assert trained - last, "both starts chose the same points, and nothing is shown"


def record(sweep, seeds, ledger):
    """Records every run of the sweep as finished, the better the higher alpha and the odder the seed; their ids."""
    runs = needed_by(sweep.expand(seeds))
    for config in (run.config for run in runs.values()):
        value = 50.0 + (30 * config.kd.alpha * (-1) ** config.seed if config.kd else 0.0)
        ledger.write(RunResult(config=config, outcome="finished", test_accuracy=1.0, validation_accuracy=value))
    return set(runs)


def test_a_study_is_found_by_its_file(study, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import dataclasses\nfrom crossarch.search_spaces.quickstart import BASE, QUICKSTART\n")
    with file.open("a") as more:
        more.write('STUDY = dataclasses.replace(QUICKSTART, name="mine", base=BASE, distils={}, budget=0.02)\n')
    plan = next(find(str(file)).expand())
    Ledger(tmp_path).write(RunResult(config=plan.config, outcome="finished", test_accuracy=1.0))
    assert list(crossarch.load_results(str(file), tmp_path)["run_id"]) == [run_id(plan.config)]


@pytest.mark.parametrize("name", ["quickstart", "quickstart-smoke"])
def test_an_empty_ledger_is_refused_in_a_sentence(name, tmp_path):
    with pytest.raises(ValueError, match=f"^study = '{name}' has no runs in '.*': `crossarch run` trains them$"):
        crossarch.load_results(name, tmp_path)


def test_an_unknown_study_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=f"^study = 'none' is unknown; known: {', '.join(STUDIES)}"):
        crossarch.load_results("none", tmp_path)


def test_a_smoke_form_has_its_own_runs(tmp_path):
    plan = next(find("quickstart").smoke().expand())
    Ledger(tmp_path).write(RunResult(config=plan.config, outcome="finished", test_accuracy=1.0))
    assert len(crossarch.load_results("quickstart-smoke", tmp_path)) == 1


def test_to_name_it_imports_nothing_slow(tmp_path):
    slow = ("torch", "ray", "mlflow", "matplotlib")
    code = f"import sys, crossarch; crossarch.load_results; print(*[name for name in {slow!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == ""
