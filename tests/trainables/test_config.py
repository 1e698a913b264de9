"""The description of a run: documented, bounded, named alike everywhere, and the same after a round trip."""

import copy
import dataclasses
import json
import math
import typing

import pytest
from settings import SETTINGS

from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import BASELINE, FULL, WITHOUT_DP_KD
from crossarch.trainables.config import run as config_module
from crossarch.trainables.config.run import PARTS, RunConfig, Settings, flatten, from_dict, set_dotted

PARTS_BY_NAME = {part: name for name, part in PARTS.items()}
PARTS_BY_NAME[RunConfig] = ""

UNITLESS_INTEGERS = {"seed"}

OPEN = {"data.distilled", "data.sha256", "model.architecture", "keep_rate.blocks"}
"""Names that only their part, or the network itself, can judge: torchvision's networks, and modules of a network."""

PAPER = dataclasses.replace(QUICKSTART, budget=1.0)
"""The paper's epochs: W = T = 500, S = 3000, N = 4000."""


def full(seed=0):
    """A student with every part there is."""
    return PAPER.config(FULL, ("ResNet18",), seed)


def baseline():
    return PAPER.config(BASELINE, ("ConvNet",), 0)


def fields():
    """Every field of every part, with its dotted name in a run."""
    for part, name in PARTS_BY_NAME.items():
        for field in dataclasses.fields(part):
            yield pytest.param(part, field, id=f"{name}.{field.name}".lstrip("."))


FIELDS = list(fields())


def bounds():
    """Every declared bound: the part, the field, a value at the edge that is allowed, one beyond that is not."""
    for parameter in FIELDS:
        part, field = parameter.values
        rules, whole = field.metadata, int in kinds(part, field)
        below = (lambda x: x - 1) if whole else (lambda x: math.nextafter(x, -math.inf))
        beyond = (lambda x: x + 1) if whole else (lambda x: math.nextafter(x, math.inf))
        if rules["low"] is not None:
            yield pytest.param(part, field, rules["low"], below(rules["low"]), id=f"{parameter.id}-low")
        if rules["high"] is not None:
            yield pytest.param(part, field, rules["high"], beyond(rules["high"]), id=f"{parameter.id}-high")
        if rules["above"] is not None:
            yield pytest.param(part, field, beyond(rules["above"]), rules["above"], id=f"{parameter.id}-above")


def kinds(part, field):
    """The plain types a field's values have."""
    hint = typing.get_type_hints(part)[field.name]
    return {kind for outer in (typing.get_args(hint) or (hint,)) for kind in typing.get_args(outer) or (outer,)}


def check(field, value):
    """Whether `value` passes what the field itself says; a class of this field alone, so that no other rule speaks."""
    alone = dataclasses.make_dataclass(
        "Alone",
        [(field.name, typing.Any, dataclasses.field(default=field.default, metadata=field.metadata))],
        bases=(Settings,),
        kw_only=True,
    )
    return alone(**{field.name: value})


def test_every_part_is_covered():
    declared = {each for each in vars(config_module).values() if isinstance(each, type) and issubclass(each, Settings)}
    assert declared - {Settings} == set(PARTS_BY_NAME)


@pytest.mark.parametrize(("part", "field"), FIELDS)
def test_every_field_says_meaning_source_and_unit(part, field):
    assert field.metadata["meaning"]
    assert field.metadata["source"]
    if int in kinds(part, field) and field.name not in UNITLESS_INTEGERS:
        assert field.metadata["unit"]
    assert field.kw_only


@pytest.mark.parametrize(("part", "field"), FIELDS)
def test_every_plain_field_is_bounded(part, field):
    numeric, rules = kinds(part, field) & {int, float}, field.metadata
    assert not (rules["low"] is not None and rules["above"] is not None)
    if numeric:
        assert rules["low"] is not None or rules["above"] is not None
    elif str in kinds(part, field):
        assert bool(rules["choices"]) == (f"{PARTS_BY_NAME[part]}.{field.name}" not in OPEN)
    else:
        assert kinds(part, field) <= {bool, type(None), *PARTS_BY_NAME}


@pytest.mark.parametrize(("part", "field", "allowed", "refused"), list(bounds()))
def test_every_bound_holds_at_its_edge(part, field, allowed, refused):
    check(field, allowed)
    with pytest.raises(ValueError, match=rf"^{field.name} = .* is outside [\[(].+, .+[\])]$"):
        check(field, refused)


@pytest.mark.parametrize(("part", "field"), FIELDS)
def test_no_number_is_infinite_a_word_or_nothing(part, field):
    if field.metadata["low"] is None and field.metadata["above"] is None:
        return
    for refused in (math.nan, math.inf, -math.inf, "many", True):
        with pytest.raises(ValueError, match=f"^{field.name} = "):
            check(field, refused)
    if field.default is not None:
        with pytest.raises(ValueError, match=f"^{field.name} = None"):
            check(field, None)


@pytest.mark.parametrize(("part", "field"), FIELDS)
def test_every_choice_is_allowed_and_no_other(part, field):
    for choice in field.metadata["choices"]:
        check(field, choice)
    if field.metadata["choices"]:
        with pytest.raises(
            ValueError, match=f"^{field.name} = 'nonsense' is not one of {field.metadata['choices'][0]}"
        ):
            check(field, "nonsense")


NEEDED = [parameter for parameter in FIELDS if parameter.values[1].default is dataclasses.MISSING]


@pytest.mark.parametrize(("part", "field"), NEEDED)
def test_what_a_run_needs_is_missed_by_name(part, field):
    name = PARTS_BY_NAME[part]
    where = ["kd", "teacher"] if name == "teacher" else [name] if name else []
    values = here = full().to_dict()
    for key in where:
        here = here[key]
    del here[field.name]
    with pytest.raises(ValueError, match=f"^{'.'.join([*where, field.name])} is missing"):
        from_dict(values)


@pytest.mark.parametrize("arm", [BASELINE, WITHOUT_DP_KD, FULL], ids=lambda arm: arm.name)
def test_a_dictionary_and_back_is_the_same_run(arm):
    config = PAPER.config(arm, ("ResNet18",), 2)
    assert from_dict(config.to_dict()) == config
    assert from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_lists_become_tuples():
    config = baseline().replace({"model.channels": [8, 16]})
    assert config.model.channels == (8, 16)
    assert hash(config) == hash(baseline().replace({"model.channels": (8, 16)}))


def test_replace_changes_what_is_named_and_nothing_else():
    before = full()
    after = before.replace({"kd.alpha": 0.7, "keep_rate.minimum": 0.4})
    assert dict(set(flatten(after)) - set(flatten(before))) == {"kd.alpha": 0.7, "keep_rate.minimum": 0.4}
    assert after.kd.teacher == before.kd.teacher
    assert before == full()
    assert before.replace({}) == before


def test_replace_takes_whole_parts_and_takes_them_away():
    assert full().replace({"kd": None}).kd is None
    config = full().replace({"keep_rate": {"final": 0.9}})
    assert (config.keep_rate.minimum, config.keep_rate.final, config.keep_rate.decay) == (0.5, 0.9, 0.1)
    resnet = full().replace({"kd": None, "keep_rate": None})
    assert resnet.replace({"keep_rate.final": 0.9}).keep_rate == config.keep_rate


def test_replace_leaves_the_changes_it_is_given_alone():
    changes = {"kd": copy.deepcopy(full().to_dict()["kd"]), "kd.teacher.epochs": 50, "seed": 4}
    before = copy.deepcopy(changes)
    assert full().replace(changes).kd.teacher.epochs == 50
    assert changes == before


def test_a_new_seed_reaches_the_teacher_and_its_teacher():
    chain = full().replace({"kd.teacher.kd": {"teacher": full().kd.teacher.to_dict()}})
    changed = chain.replace({"seed": 5})
    assert (changed.seed, changed.kd.teacher.seed, changed.kd.teacher.kd.teacher.seed) == (5, 5, 5)
    assert changed == chain.replace({"seed": 9}).replace({"seed": 5})


def test_a_new_seed_without_a_teacher_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^kd.teacher is missing"):
        full().replace({"kd": None}).replace({"seed": 1, "kd.alpha": 0.5})


def test_set_dotted_makes_the_parts_it_passes_through():
    values = {"kd": None, "epochs": 4}
    set_dotted(values, "kd.alpha", 0.5)
    assert values == {"kd": {"alpha": 0.5}, "epochs": 4}


def test_flat_names_are_those_every_room_uses():
    names = [name for name, _ in flatten(full())]
    assert {"keep_rate.minimum", "kd.alpha", "kd.temperature", "augmentation.folds"} < set(names)
    assert len(names) == len(set(names))
    assert not [name for name in names if "kd.teacher." in name]
    changed = full().replace({name: value for name, value in flatten(full()) if name != "seed"})
    assert changed == full()


def test_absent_parts_have_no_flat_names():
    assert not [name for name, _ in flatten(baseline()) if name.split(".")[0] in ("phases", "keep_rate", "kd")]


@pytest.mark.parametrize("part", PARTS_BY_NAME)
def test_parts_are_frozen(part):
    name = dataclasses.fields(part)[0].name
    made = {type(each): each for each in (vars(full()) | vars(full().kd)).values()} | {RunConfig: full()}
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made[part], name, 1)


@pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS.keys())
def test_another_seed_is_the_teacher_s_too_and_all_else_stays(config: RunConfig) -> None:
    assert config.reseeded(7) == config.replace({"seed": 7})
    with pytest.raises(ValueError, match="seed = -1 is outside"):
        config.reseeded(-1)
