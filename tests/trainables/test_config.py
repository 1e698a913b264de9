"""The description of a run: documented, bounded, named alike everywhere, and the same after a round trip."""

import copy
import dataclasses
import json
import math
import typing

import pytest

from crossarch.search_spaces.arms import BASELINE, FULL, WITHOUT_DP_KD
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.trainables import config as config_module
from crossarch.trainables.config import PARTS, RunConfig, flatten, from_dict, set_dotted
from crossarch.trainables.settings import Settings

PARTS_BY_NAME = {part: name for name, part in PARTS.items()}
PARTS_BY_NAME[RunConfig] = ""

UNITLESS_INTEGERS = {"seed"}

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
        assert rules["choices"]


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


REFUSED = [
    ("kd.alpha", -0.01, r"kd.alpha = -0.01 is outside \[0, 1\]"),
    ("kd.alpha", 1.01, r"kd.alpha = 1.01 is outside \[0, 1\]"),
    ("kd.temperature", 0, r"kd.temperature = 0 is outside \(0, inf\)"),
    ("kd.temperature", -1.5, r"kd.temperature = -1.5 is outside \(0, inf\)"),
    ("keep_rate.minimum", 0.0, r"keep_rate.minimum = 0.0 is outside \(0, 1\]"),
    ("keep_rate.minimum", 1.1, r"keep_rate.minimum = 1.1 is outside \(0, 1\]"),
    ("keep_rate.final", 0, r"keep_rate.final = 0 is outside \(0, 1\]"),
    ("augmentation.folds", 7, r"augmentation.folds = 7 is outside \[0, 6\]"),
    ("augmentation.folds", -1, r"augmentation.folds = -1 is outside \[0, 6\]"),
    ("augmentation.folds", 6, "augmentation.folds = 6 is more than the 5 operations of the pool"),
    ("augmentation.pool", ("crop", "crop"), "augmentation.pool .* twice"),
    ("augmentation.pool", ("blur",), "augmentation.pool = 'blur' is not one of color"),
    ("phases.stabilization", 500, "phases.stabilization = 500 must come after warmup = 500"),
    ("epochs", 6001, "epochs = 6001 is more than twice phases.stabilization = 3000"),
    ("epochs", -5, r"epochs = -5 is outside \[1, inf\)"),
    ("epochs", "many", r"epochs = 'many' is not a number in \[1, inf\)"),
    ("epochs", 10.5, "epochs = 10.5 is not a whole number"),
    ("epochs", (10, 20), r"epochs = \(10, 20\) is not a single value"),
    ("model.channels", 8, "model.channels = 8 is not a list"),
    ("model.channels", (8.5,), r"model.channels = \(8.5,\) is not a list of whole numbers"),
    ("augmentation.pool", "crop", "augmentation.pool = 'crop' is not a list"),
    ("learning_rate.cosine_period", 50, "learning_rate.cosine_period = 50 must be greater than warmup = 50"),
    ("learning_rate.schedule", "cosine", "learning_rate.decay = 0.8, but the cosine schedule does not use it"),
    ("learning_rate.decay", None, "learning_rate.decay = None, but the periodic schedule needs it"),
    ("model.architecture", "resnet81", "model.architecture = 'resnet81' is not one of convnet"),
    ("model.architecture", "convnet", "model.shortcut = 'improved', but convnet has no residual blocks"),
    ("model.shortcut", None, "model.shortcut = None, but resnet18 needs"),
    ("model.channels", (8,), r"model.channels = \(8,\) is for a convnet"),
    ("data.dataset", "imagenet", "data.dataset = 'imagenet' is not one of digits"),
    ("data.images_per_class", 99, "data.images_per_class = 99 is more than the 98"),
    ("data.images_per_class", 9, "kd.teacher.data must be the student's data"),
    ("kd.teacher.seed", 1, "kd.teacher.seed must be the student's seed"),
    ("kd.teacher.epochs", 0, r"kd.teacher.epochs = 0 is outside \[1, inf\)"),
    ("phases", None, "phases = None, but keep_rate"),
    ("data", None, "data = None, but a run needs it"),
    ("data", 3, "data = 3 is not allowed"),
    ("kd", 0.5, "kd = 0.5 is not allowed"),
    ("precision", "float16", "precision = 'float16' is not one of float32"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), REFUSED)
def test_what_is_not_allowed_is_refused_in_a_sentence_that_names_the_key(name, value, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}") as refusal:
        full().replace({name: value})
    assert "\n" not in str(refusal.value)


def test_phases_come_only_with_a_schedule_that_uses_them():
    with pytest.raises(ValueError, match="phases is given, but neither"):
        baseline().replace({"phases": {"warmup": 5, "period": 5, "stabilization": 30}})
    teacher = full().kd.teacher
    with pytest.raises(ValueError, match="too shallow for DropPath"):
        teacher.replace({"keep_rate": {}})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("alpha", "^alpha is unknown; known here: augmentation, .*kd"),
        ("kd.alfa", "^kd.alfa is unknown; known here: alpha, teacher, temperature$"),
        ("kd.teacher.kd.alfa", "^kd.teacher.kd.alfa is unknown"),
        ("epochs.many", "^epochs.many is unknown: epochs is not a part"),
        ("nonsense.alpha", "^nonsense.alpha is unknown"),
        ("data.kd.alpha", "^data.kd is unknown"),
    ],
)
def test_unknown_names_are_refused_by_name(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        full().replace({name: 1})


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
    assert not [name for name in names if "teacher" in name]
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
