"""A run's identity: it changes with all that can change the result, and with nothing else."""

import copy
import dataclasses
import json
import os
import re
import subprocess
import sys

import pytest

from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import BASELINE, FULL
from crossarch.trainables.config import identity
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.identity import config_hash, run_id
from crossarch.trainables.config.run import PARTS, RunConfig, from_dict


def full(seed=0):
    """A student with every part there is."""
    return QUICKSTART.config(FULL, ("ResNet18",), seed)


def leaves(config, prefix=""):
    """Dotted names and values of every setting, absent ones and the teacher's included, but for the seeds."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        elif field.name != "seed" and not (field.name in PARTS and value is None):
            yield f"{prefix}{field.name}", value


def forced(config, name, value):
    """`config` with one setting changed and nothing checked, so that no other setting has to change with it."""
    changed = part = copy.deepcopy(config)
    *parents, last = name.split(".")
    for parent in parents:
        part = getattr(part, parent)
    object.__setattr__(part, last, value)
    return changed


def another(value):
    """A value of the same type that is not `value`."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return value[::-1]
    return f"{value}2" if isinstance(value, str) else 7 if value is None else value * 1.5 + 1


LEAVES = list(leaves(full()))


@pytest.fixture
def second_dataset(monkeypatch):
    """A data set of another name and the same bytes."""
    monkeypatch.setitem(DATASETS, "digits2", DATASETS["digits"])


def test_leaves_are_all_there_are():
    own = {name for name, _ in LEAVES if not name.startswith("kd.teacher.")}
    declared = {
        f"{part}.{field.name}"
        for part in PARTS
        for field in dataclasses.fields(PARTS[part])
        if part != "teacher" and field.name != "teacher"
    } | {field.name for field in dataclasses.fields(RunConfig) if field.name not in {*PARTS, "seed"}}
    assert own == declared
    added = {"model.first_norm", "model.conv_bias", "keep_rate.blocks", "learning_rate.granularity", "test_evaluations"}
    assert added | {"kd.teacher_weights", "learning_rate.milestone"} < own
    assert {"kd.teacher.epochs", "kd.teacher.phases.period", "kd.teacher.model.width"} < {name for name, _ in LEAVES}


@pytest.mark.parametrize(("name", "value"), LEAVES, ids=[name for name, _ in LEAVES])
@pytest.mark.usefixtures("second_dataset")
def test_every_setting_changes_the_hash(name, value):
    changed = forced(full(), name, another(value))
    assert changed != full()
    assert config_hash(changed) != config_hash(full())


def test_different_settings_give_different_hashes():
    hashes = {config_hash(forced(full(), name, another(value))) for name, value in LEAVES if "dataset" not in name}
    assert len(hashes) == len([name for name, _ in LEAVES if "dataset" not in name])


@pytest.mark.parametrize("part", ["keep_rate", "kd"])
def test_a_part_taken_away_changes_the_hash(part):
    assert config_hash(full().replace({part: None})) != config_hash(full())


def test_the_seed_changes_the_run_and_not_the_hash():
    assert config_hash(full(0)) == config_hash(full(1))
    assert run_id(full(0)) != run_id(full(1))
    assert run_id(full(17)) == f"{config_hash(full())}-s17"
    assert re.fullmatch(r"[0-9a-f]{16}", config_hash(full()))


def test_a_new_method_version_changes_every_hash(monkeypatch):
    before = config_hash(full())
    monkeypatch.setattr(identity, "METHOD_VERSION", identity.METHOD_VERSION + 1)
    assert config_hash(full()) != before


def test_other_data_under_the_same_name_change_the_hash(monkeypatch):
    before = config_hash(full())
    monkeypatch.setitem(DATASETS, "digits", dataclasses.replace(DATASETS["digits"], digest="sha256:" + "0" * 64))
    assert config_hash(full()) != before


def test_a_number_is_the_same_however_it_is_spelt():
    for name, value in LEAVES:
        if isinstance(value, int):
            assert config_hash(forced(full(), name, float(value))) == config_hash(full())
    assert config_hash(full().replace({"kd.temperature": 2})) == config_hash(full().replace({"kd.temperature": 2.0}))
    convnet = QUICKSTART.config(BASELINE, ("ConvNet",), 0).replace({"model.channels": [8, 16]})
    assert config_hash(forced(convnet, "model.channels", (8.0, 16.0))) == config_hash(convnet)


def test_neither_the_order_of_writing_nor_that_of_declaring_matters(monkeypatch):
    def backwards(values):
        return (
            {name: backwards(value) for name, value in reversed(values.items())} if isinstance(values, dict) else values
        )

    before, forwards = config_hash(full()), RunConfig.to_dict
    assert config_hash(from_dict(json.loads(json.dumps(backwards(full().to_dict()))))) == before
    monkeypatch.setattr(RunConfig, "to_dict", lambda config: backwards(forwards(config)))
    assert config_hash(full()) == before


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_every_process_knows_a_run_by_the_same_name(hash_seed):
    code = (
        "import json, sys; from crossarch.trainables.config.run import from_dict; "
        "from crossarch.trainables.config.identity import run_id; print(run_id(from_dict(json.load(sys.stdin))))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(full().to_dict()),
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == run_id(full())
