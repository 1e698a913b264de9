import math
import struct

import pytest

from crossarch.platform.store.schema import SCHEMA, from_row, to_row
from crossarch.trainables import environment
from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import flatten, setting_fields


def test_every_run_comes_back_exactly(configs, result_of):
    for config in configs:
        result = result_of(config)
        assert from_row(to_row(result)) == result


def test_failed_run_without_numbers_comes_back_exactly(configs, result_of):
    result = result_of(
        configs[-1],
        outcome="failed",
        error="lost its worker",
        test_accuracy=None,
        test_loss=None,
        curve=(),
        environment={"device": "cpu", "anything": [1, {"else": None}]},
    )
    assert from_row(to_row(result)) == result


def test_floats_outside_the_numbers_survive(configs, result_of):
    point = Point(epoch=1, train_loss=math.nan, learning_rate=math.inf, keep_rate=-0.0)
    back = from_row(to_row(result_of(configs[0], curve=(point,)))).curve[0]
    assert math.isnan(back.train_loss)
    assert back.learning_rate == math.inf
    assert struct.pack("d", back.keep_rate) == struct.pack("d", -0.0)


def test_columns_are_the_settings_by_their_dotted_names(configs):
    columns = {name for name, _ in setting_fields()}
    for config in configs:
        assert {name for name, _ in flatten(config)} <= columns
    for name, kind in {
        "keep_rate.minimum": "double",
        "kd.alpha": "double",
        "augmentation.folds": "int64",
        "augmentation.pool": "list<item: string>",
        "model.channels": "list<item: int64>",
        "learning_rate.warmup": "int64",
        "model.norm.kind": "string",
        "model.norm.groups": "int64",
        "precision": "string",
    }.items():
        assert str(SCHEMA.field(name).type) == kind
    assert not any(name.startswith("kd.teacher.") for name in columns)
    assert len(set(SCHEMA.names)) == len(SCHEMA.names)


def test_absent_parts_are_null_and_present_ones_are_not(configs, result_of):
    baseline, full = to_row(result_of(configs[0])), to_row(result_of(configs[-1]))
    assert baseline["keep_rate.minimum"] is None
    assert baseline["teacher_run_id"] is None
    assert full["keep_rate.minimum"] == 0.5
    assert full["kd.temperature"] == 1.5
    assert full["teacher_run_id"].endswith(f"-s{full['seed']}")
    assert full["environment.cpu"] == "Made-up 9000"


def test_identity_columns_agree_with_the_run(configs, result_of):
    row = to_row(result_of(configs[4]))
    assert row["run_id"] == f"{row['config_hash']}-s{row['seed']}"
    assert row["seed"] == configs[4].seed


def test_every_fact_of_the_environment_has_a_column():
    columns = {name.removeprefix("environment.") for name in SCHEMA.names if name.startswith("environment.")}
    assert columns == set(environment.KEYS)


def test_configuration_of_the_future_is_refused(configs, result_of):
    row = to_row(result_of(configs[0]))
    row["config"] = row["config"].replace('"epochs"', '"aeons"')
    with pytest.raises(ValueError, match="aeons is unknown"):
        from_row(row)
