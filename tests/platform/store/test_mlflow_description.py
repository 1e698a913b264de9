import dataclasses
import math
import subprocess
import sys

import pytest
from small import REAL

from crossarch.platform.store.invocations import begin
from crossarch.platform.store.level import default_tracking_uri, safe_text, sqlite_path
from crossarch.platform.store.tracking import (
    Measurement,
    artifact_location,
    describe,
    describe_invocation,
    describe_running,
    missing_metrics,
    owners,
    same_value,
)
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import flatten

EIGHT, STARTED = 1795248000123, 1795247400000
"""2026-11-21, 8:00:00.123 and 7:50, in milliseconds since 1970."""


@pytest.fixture
def full(configs, result_of, invocation_of):
    """The full method on ResNet18 with seed 2."""
    invocation = invocation_of()
    return describe(result_of(configs[-1]), list(invocation.cells)[-1], invocation)


def test_a_finished_run(full, configs, invocation_of):
    assert full.name == "Full · ResNet18 · seed 2"
    assert full.status == "FINISHED"
    assert (full.started, full.ended) == (STARTED, EIGHT)
    assert full.key == run_id(configs[-1])
    assert full.tags == {
        "crossarch.study": "quickstart",
        "crossarch.invocation": invocation_of().id,
        "crossarch.run_id": full.key,
        "crossarch.config_hash": full.key.removesuffix("-s2"),
        "crossarch.seed": "2",
        "crossarch.role": "cell",
        "crossarch.arm": "full",
        "crossarch.architecture": "resnet18",
        "crossarch.dataset": "digits",
        "crossarch.hardware": "Made-up 9000",
        "crossarch.commit": "0123456789ab",
        "crossarch.outcome": "finished",
    }


def test_params_are_the_settings_and_the_teacher(full, configs):
    names = [name for name, _ in flatten(configs[-1])]
    assert set(full.params) == {*names, "kd.teacher", "arm"}
    assert full.params["arm"] == "Full"
    assert full.params["keep_rate.minimum"] == "0.5"
    assert full.params["augmentation.pool"] == "color, crop, cutout, scale, rotate"
    assert full.params["kd.teacher"] == run_id(configs[-1].kd.teacher)


def test_metrics_are_the_curve_and_the_last_numbers(full, configs, result_of):
    result = result_of(configs[-1])
    epochs = configs[-1].epochs
    by_name = {}
    for metric in full.metrics:
        by_name.setdefault(metric.name, []).append(metric)
    assert [(m.step, m.value) for m in by_name["train_loss"]] == [(p.epoch, p.train_loss) for p in result.curve]
    assert len(by_name["keep_rate.observed"]) == 3, "points without a value have none"
    assert [(m.step, m.value) for m in by_name["validation_accuracy.sample"]] == [(epochs, 100 / 3)]
    last = {
        name: by_name[name]
        for name in ("test_accuracy", "test_loss", "validation_accuracy", "training_seconds", "device_seconds")
    }
    assert all([m.step for m in metrics] == [epochs] for metrics in last.values())
    assert last["test_accuracy"][0] == Measurement("test_accuracy", result.test_accuracy, epochs, EIGHT)
    times = [m.timestamp for m in by_name["learning_rate"]]
    assert times == sorted(times)
    assert STARTED < times[0] < times[-1] == EIGHT


def test_of_a_run_that_was_stopped_early_the_cost_is_told_where_it_ended(configs, result_of, invocation_of):
    whole = result_of(configs[0])
    result = dataclasses.replace(whole, outcome="stopped", error="after epoch", curve=whole.curve[:2])
    description = describe(result, result.run_id, invocation_of())
    end = result.curve[-1].epoch
    told = {m.name: (m.step, m.timestamp) for m in description.metrics if m.name.endswith("_seconds")}
    assert told == dict.fromkeys(("training_seconds", "device_seconds"), (end, EIGHT))
    assert not {"test_accuracy", "test_loss", "validation_accuracy", "best_test_accuracy"} & {
        m.name for m in description.metrics
    }
    assert max(m.step for m in description.metrics) == end < result.config.epochs


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("diverged", "FAILED"), ("failed", "FAILED"), ("blocked", "KILLED"), ("stopped", "KILLED")],
)
def test_a_run_that_did_not_finish(configs, result_of, invocation_of, outcome, status):
    result = result_of(configs[0], outcome=outcome, error="why " * 5000)
    description = describe(result, result.run_id, invocation_of())
    assert description.status == status
    assert description.tags["crossarch.outcome"] == outcome
    assert description.tags["crossarch.error"].startswith("why why")
    assert len(description.tags["crossarch.error"]) <= 5000
    assert ("test_accuracy" in {m.name for m in description.metrics}) == (outcome == "diverged")


def test_a_running_run_and_a_teacher(configs, invocation_of):
    name = run_id(configs[0])
    coordinates = {"arm": "full", "architecture": "ConvNet"}
    invocation = dataclasses.replace(invocation_of(), cells={}, teachers={name: coordinates})
    description = describe_running(configs[0], {"device": "H100"}, name, invocation, started=5)
    assert description.name == "teacher · ConvNet · seed 0"
    assert (description.tags["crossarch.role"], description.tags["crossarch.arm"]) == ("teacher", "full")
    assert description.params["arm"] == "teacher"
    assert description.status == "RUNNING"
    assert description.tags["crossarch.hardware"] == "H100"
    assert (description.ended, description.metrics) == (None, ())
    assert "crossarch.outcome" not in description.tags


def test_equal_digests_are_equal_descriptions(full):
    assert dataclasses.replace(full).digest == full.digest
    assert dataclasses.replace(full, metrics=full.metrics[1:]).digest != full.digest
    assert dataclasses.replace(full, status="FAILED").digest != full.digest


def test_a_run_belongs_to_the_first_invocation_and_to_a_cell_rather_than_a_teacher(invocation_of):
    first, second = invocation_of(7, runs=slice(4)), invocation_of(9)
    shown = owners([second, first])
    assert [shown[name].id for name in second.runs] == [first.id] * 4 + [second.id] * 5
    planned = [run for run in REAL.expand((0,)) if run.arm in ("without_dp_kd", "full")]
    both = begin(REAL, [*(run for run in planned if run.teacher), *planned], "crossarch run")
    (cell,) = {run.teacher.run_id for run in planned if run.teacher}
    assert (cell in both.cells, both.teachers) == (True, {})
    description = describe_running(planned[0].config, {}, cell, owners([both])[cell], started=5)
    assert description.tags["crossarch.role"] == "cell"
    assert description.name == "w/o DP & KD · ConvNet · seed 0"


def test_an_invocation_counts_its_runs(configs, result_of, invocation_of, by_id):
    first, second = invocation_of(7, runs=slice(4)), invocation_of(9)
    results = by_id(*(result_of(config) for config in configs[:5]), result_of(configs[5], outcome="failed", error="?"))
    shown = owners([first, second])
    done = describe_invocation(first, results, shown)
    assert (done.name, done.status) == ("2026-11-21 07:00:00 UTC", "FINISHED")
    assert done.key == first.id
    assert done.ended == EIGHT
    part = describe_invocation(second, results, shown)
    assert part.status == "KILLED"
    assert {name.removeprefix("crossarch."): value for name, value in part.tags.items() if value.isdigit()} == {
        "runs": "9",
        "runs_under_earlier_invocations": "4",
        "finished": "5",
        "diverged": "0",
        "failed": "1",
        "blocked": "0",
        "stopped": "0",
        "missing": "3",
    }
    rest = by_id(*(result_of(config) for config in configs[6:]))
    assert describe_invocation(second, {**results, **rest}, shown).status == "FAILED"
    stopped = by_id(*(result_of(config, outcome="stopped", error="low") for config in configs[5:]))
    assert describe_invocation(second, {**results, **stopped}, shown).status == "KILLED"
    assert describe_invocation(second, {}, shown, running=True).status == "RUNNING"


def test_only_new_steps_are_missing():
    points = [Measurement("a", 1.0, 1, 0), Measurement("a", 2.0, 2, 0), Measurement("b", 1.0, 1, 0)]
    assert missing_metrics(points, {("a", 1)}) == points[1:]


@pytest.mark.parametrize(
    ("stored", "wanted", "same"),
    [
        (0.1, 0.1, True),
        (0.1, 0.1 + 1e-15, False),
        (math.nan, math.nan, True),
        (math.nan, 0.0, False),
        (0.0, math.nan, False),
        (1.7976931348623157e308, math.inf, True),
        (-1.7976931348623157e308, math.inf, False),
        (None, 0.1, False),
    ],
)
def test_values_are_the_same_as_far_as_a_database_can_hold_them(stored, wanted, same):
    assert same_value(stored, wanted) == same


def test_addresses_lose_their_credentials():
    assert safe_text("no https://a:b%40c@host:1/p?q, sqlite:////x") == "no https://host:1/p?q, sqlite:////x"
    assert safe_text("postgresql://u:p@ss@db/mlflow") == "postgresql://db/mlflow"


def test_the_embedded_store_lies_below_the_root(tmp_path):
    uri = default_tracking_uri(tmp_path)
    assert sqlite_path(uri) == tmp_path / "mlflow.db"
    assert artifact_location(uri, "quickstart") == (tmp_path / "mlflow-artifacts" / "quickstart").as_uri()
    assert sqlite_path("http://host") is artifact_location("http://host", "x") is None


def test_the_ledger_imports_neither_mlflow_nor_torch_and_the_view_no_torch():
    code = (
        "import sys; import crossarch.platform.store.ledger; "
        "assert not {'mlflow', 'torch', 'ray', 'pandas'} & set(sys.modules); "
        "import crossarch.platform.store.tracking; assert not {'torch', 'ray'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
