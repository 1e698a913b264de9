"""What a run leaves behind survives JSON unchanged."""

import dataclasses
import json

import pytest

from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import FULL
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point, RunResult, result_from_dict

CONFIG = QUICKSTART.config(FULL, ("ResNet18",), 2)

RESULT = RunResult(
    config=CONFIG,
    outcome="finished",
    test_accuracy=61.25,
    test_loss=1.5,
    validation_accuracy=60.0,
    best_test_accuracy=62.5,
    curve=(
        Point(epoch=1, train_loss=2.3, learning_rate=0.0, keep_rate=1.0),
        Point(
            epoch=200,
            train_loss=0.1,
            learning_rate=1e-5,
            keep_rate=0.8,
            keep_rate_observed=0.79,
            validation_accuracy=60,
        ),
    ),
    parameters=177_000,
    steps=200,
    training_seconds=12.5,
    device_seconds=14.0,
    environment={"device": "cpu", "cores": "2"},
    teacher_sha256="ab",
    weights_sha256="cd",
    former_run_id="0123456789abcdef-s2",
    started_at="2026-11-21T07:00:00+00:00",
    finished_at="2026-11-21T07:00:14+00:00",
)


def test_a_dictionary_and_back_is_the_same_result():
    assert result_from_dict(RESULT.to_dict()) == RESULT
    assert result_from_dict(json.loads(json.dumps(RESULT.to_dict()))) == RESULT


def test_the_round_trip_above_covers_every_field():
    for whole in (RESULT, RESULT.curve[1]):
        for field in dataclasses.fields(whole):
            if field.default is not dataclasses.MISSING and field.name != "error":
                assert getattr(whole, field.name) != field.default


def test_a_result_of_nothing_but_an_outcome_survives():
    blocked = RunResult(config=CONFIG, outcome="blocked", error="its teacher failed")
    assert result_from_dict(json.loads(json.dumps(blocked.to_dict()))) == blocked
    assert (blocked.test_accuracy, blocked.curve) == (None, ())


def test_a_result_is_known_by_its_run():
    assert RESULT.run_id == run_id(CONFIG)
    assert RESULT.run_id.endswith("-s2")


@pytest.mark.parametrize(
    ("outcome", "final"), [("finished", True), ("diverged", True), ("failed", False), ("blocked", False)]
)
def test_only_what_training_again_would_not_change_is_a_result(outcome, final):
    assert RunResult(config=CONFIG, outcome=outcome).is_result is final


def test_unknown_names_and_bad_configurations_are_refused():
    with pytest.raises(TypeError, match="accuracy"):
        result_from_dict(RESULT.to_dict() | {"accuracy": 61.25})
    values = RESULT.to_dict()
    values["config"]["epochs"] = 0
    with pytest.raises(ValueError, match=r"^epochs = 0"):
        result_from_dict(values)


def test_results_and_points_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RESULT.outcome = "failed"
    with pytest.raises(dataclasses.FrozenInstanceError):
        RESULT.curve[0].epoch = 2
