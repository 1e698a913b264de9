"""A run's identity: it changes with all that can change the result, and with nothing else."""

import dataclasses
import json
import os
import re
import subprocess
import sys

import pytest
from every_part import DISTILLED, RUNS, declared, places
from settings import PLAIN

from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import FULL
from crossarch.trainables.config import identity
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.identity import config_hash, run_id
from crossarch.trainables.config.part import Part
from crossarch.trainables.config.run import RunConfig, from_dict


def full(seed=0):
    """A student with every part there is."""
    return QUICKSTART.config(FULL, ("ResNet18",), seed)


RUNS_WITH_ALL = RUNS | {"full": full()}


def leaves(config, prefix=""):
    """Dotted names and values of every setting, absent ones and the teacher's included, but for the seeds."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Part):
            yield from leaves(value, f"{prefix}{name}.")
        elif name != "seed" and not (value is None and name in OPTIONAL):
            yield f"{prefix}{name}", value


OPTIONAL = ("phases", "keep_rate", "kd", "first_norm")
"""Parts that may be absent."""


def forced(part, name, value):
    """`part` with one setting changed and nothing checked, so that no other setting has to change with it."""
    name, _, rest = name.partition(".")
    return part.model_copy(update={name: forced(getattr(part, name), rest, value) if rest else value})


def another(value):
    """A value of the same type that is not `value`."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return value[:-1] if value else ("more",)
    return f"{value}2" if isinstance(value, str) else 7 if value is None else value * 1.5 + 1


LEAVES = [(run, name, value) for run, config in RUNS_WITH_ALL.items() for name, value in leaves(config)]

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of values that are forced

each_leaf = pytest.mark.parametrize(("run", "name", "value"), LEAVES, ids=[f"{run}-{name}" for run, name, _ in LEAVES])


@pytest.fixture(autouse=True)
def computed_anew():
    """Every hash, as equal configurations, 1 and 1.0 among them, are looked up."""
    identity._config_hash.cache_clear()
    yield
    identity._config_hash.cache_clear()


@pytest.fixture
def second_dataset(monkeypatch):
    """A data set of another name and the same bytes."""
    monkeypatch.setitem(DATASETS, "digits2", DATASETS["digits"])


def test_leaves_are_all_there_are():
    met = {
        (type(part), name)
        for config in RUNS_WITH_ALL.values()
        for _, part in places(config)
        for name, value in part
        if not isinstance(value, Part)
    }
    plain = {
        (part, name)
        for _, part in declared()
        for name in part.model_fields
        if name not in (*OPTIONAL, "data", "model", "norm", "learning_rate", "optimizer", "augmentation", "teacher")
    }
    assert plain <= met
    names = {name for _, name, _ in LEAVES}
    assert {
        "kd.teacher.epochs",
        "kd.teacher.phases.period",
        "kd.teacher.model.width",
        "model.first_norm.groups",
    } < names


@each_leaf
@pytest.mark.usefixtures("second_dataset")
def test_every_setting_changes_the_hash(run, name, value):
    config = RUNS_WITH_ALL[run]
    changed = forced(config, name, another(value))
    assert changed != config
    known = run == "distilled" and name == "data.distilled_set"  # by its contents, whatever its name
    assert (config_hash(changed) != config_hash(config)) is not known


@pytest.mark.parametrize("run", RUNS_WITH_ALL)
def test_different_settings_give_different_hashes(run):
    config = RUNS_WITH_ALL[run]
    names = {name: value for name, value in leaves(config) if "dataset" not in name and "distilled_set" not in name}
    hashes = {config_hash(forced(config, name, another(value))) for name, value in names.items()}
    assert len(hashes) == len(names)


def test_every_run_and_every_form_has_a_hash_of_its_own():
    assert len({config_hash(config) for config in RUNS_WITH_ALL.values()}) == len(RUNS_WITH_ALL)


def test_a_distilled_set_is_known_by_its_contents_or_by_its_name_where_they_are_not_known():
    known = PLAIN.replace({"data": DISTILLED})
    renamed = known.replace({"data.distilled_set": "other"})
    assert known != renamed
    assert config_hash(known) == config_hash(renamed)
    unknown, other = (config.replace({"data.sha256": None}) for config in (known, renamed))
    assert len({config_hash(config) for config in (known, unknown, other)}) == 3
    assert config_hash(known.replace({"data.sha256": "f" * 64})) != config_hash(known)


@pytest.mark.parametrize("part", ["keep_rate", "kd", "model.first_norm"])
def test_a_part_taken_away_changes_the_hash(part):
    config = full().replace({"model.first_norm": "batch", "model.norm": "instance"})
    assert config_hash(config.replace({part: None})) != config_hash(config)


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


@each_leaf
def test_a_number_is_the_same_however_it_is_spelt(run, name, value):
    if isinstance(value, int) and not isinstance(value, bool):
        spelt = float(value)
    elif isinstance(value, tuple) and value and isinstance(value[0], int):
        spelt = tuple(float(entry) for entry in value)
    else:
        return
    changed = forced(RUNS_WITH_ALL[run], name, spelt)
    assert repr(changed) != repr(RUNS_WITH_ALL[run])
    before = config_hash(RUNS_WITH_ALL[run])
    identity._config_hash.cache_clear()
    assert config_hash(changed) == before


def test_a_whole_number_may_stand_for_a_real_one():
    before = config_hash(full().replace({"kd.temperature": 2}))
    identity._config_hash.cache_clear()
    assert config_hash(full().replace({"kd.temperature": 2.0})) == before


def test_neither_the_order_of_writing_nor_that_of_declaring_matters(monkeypatch):
    def backwards(values):
        return (
            {name: backwards(value) for name, value in reversed(values.items())} if isinstance(values, dict) else values
        )

    before, forwards = config_hash(full()), RunConfig.to_dict
    identity._config_hash.cache_clear()
    assert config_hash(from_dict(json.loads(json.dumps(backwards(full().to_dict()))))) == before
    identity._config_hash.cache_clear()
    monkeypatch.setattr(RunConfig, "to_dict", lambda config: backwards(forwards(config)))
    assert config_hash(full()) == before


def test_a_new_setting_that_is_none_changes_no_hash(monkeypatch):
    config, now = full(), RunConfig.to_dict
    before = config_hash(config)
    for new, same in ((None, True), (0, False), ({"new": 0}, False)):
        identity._config_hash.cache_clear()
        monkeypatch.setattr(RunConfig, "to_dict", lambda each, new=new: now(each) | {"new": new})
        assert (config_hash(config) == before) is same


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
