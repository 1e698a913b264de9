"""What is wrong with a configuration is said in one sentence: the key, the value, what is allowed."""

import copy
import json
import math
import re

import pydantic
import pytest
from every_part import RUNS, declared, places, values_at
from settings import STUDENT

from crossarch.trainables.config.errors import sentence
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.part import Part, setting
from crossarch.trainables.config.run import NETWORKS, RunConfig, from_dict


def refusal(values, root=RunConfig):
    """The sentence and the pydantic types of all that is wrong with `values`."""
    with pytest.raises(pydantic.ValidationError) as caught:
        root.model_validate(values)
    return sentence(caught.value, root), {each["type"] for each in caught.value.errors()}


def changed(name, value, run="student"):
    """A run's plain values, with the one of that dotted name another, or away where it is MISSING."""
    values = RUNS[run].to_dict()
    part, _, key = name.rpartition(".")
    inner = values_at(values, part)
    if value is MISSING:
        del inner[key]
    else:
        inner[key] = value
    return values


MISSING = object()
NAMES = ", ".join([*NETWORKS, "torchvision:NAME"])

KINDS = {
    "extra_forbidden": ("kd.alfa", 1, "kd.alfa is unknown; known here: alpha, teacher, teacher_weights, temperature"),
    "missing": ("optimizer.weight_decay", MISSING, "optimizer.weight_decay is missing, but a run needs it"),
    "greater_than_equal": ("kd.alpha", -0.5, "kd.alpha = -0.5 is outside [0, 1]"),
    "less_than_equal": ("kd.alpha", 1.5, "kd.alpha = 1.5 is outside [0, 1]"),
    "greater_than": ("kd.temperature", 0.0, "kd.temperature = 0.0 is outside (0, inf)"),
    "finite_number": ("kd.temperature", math.inf, "kd.temperature = inf is outside (0, inf)"),
    "int_type": ("epochs", 10.5, r"epochs = 10.5 is not a whole number"),
    "float_type": ("kd.alpha", "half", "kd.alpha = 'half' is not a number"),
    "string_type": ("data.dataset", 3, "data.dataset = 3 is not a name"),
    "bool_type": ("model.conv_bias", "no", "model.conv_bias = 'no' is not true or false"),
    "tuple_type": ("augmentation.pool", "flip", "augmentation.pool = 'flip' is not a list"),
    "literal_error": ("model.shortcut", "new", "model.shortcut = 'new' is not one of original, improved"),
    "model_type": ("kd", 0.5, "kd = 0.5 is not allowed: it has settings of its own, by name"),
    "model_attributes_type": ("data", 3, "data = 3 is not allowed: it has settings of its own, by name"),
    "union_tag_invalid": ("model.architecture", "vgg12", f"model.architecture = 'vgg12' is not one of {NAMES}"),
    "union_tag_not_found": (
        "optimizer.name",
        MISSING,
        "optimizer.name is missing, but a run needs it: one of lion, adamw, sgd",
    ),
    "value_error": (
        "phases.stabilization",
        1,
        "phases.stabilization = 1 must come after warmup = 2 (S > W in Alg. 1)",
    ),
}
"""By what pydantic calls it: a setting, a value that it may not have, and the sentence."""


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_error_is_one_sentence(kind):
    name, value, expected = KINDS[kind]
    found, types = refusal(changed(name, value))
    assert found.startswith(expected)
    assert found == expected or found[len(expected) :].startswith(" in ")
    assert kind in types or {kind, *types} == {"union_tag_invalid", "union_tag_not_found"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_error_in_a_teacher_names_the_teacher(kind):
    name, value, expected = KINDS[kind]
    if not name.startswith("kd") and name != "model.shortcut":
        found, _ = refusal(changed(f"kd.teacher.{name}", value))
        assert found.startswith(f"kd.teacher.{expected}")


@pytest.mark.parametrize(
    ("run", "name", "value", "expected"),
    [
        ("student", "model.norm", "layer", "model.norm.kind = 'layer' is not one of batch, instance, group, channel_g"),
        ("student", "model.first_norm", {"kind": "x"}, "model.first_norm.kind = 'x' is not one of batch, instance"),
        ("norms", "model.norm.groups", 0, "model.norm.groups = 0 is outside [1, inf)"),
        (
            "norms",
            "model.first_norm.channels_per_group",
            0,
            "model.first_norm.channels_per_group = 0 is outside [1, inf)",
        ),
        ("norms", "model.norm.size", 1, "model.norm.size is unknown; known here: groups, kind"),
        ("norms", "model.norm.groups", MISSING, "model.norm.groups is missing, but a run needs it"),
        ("distilled", "data.distilled_set", 3, "data.distilled_set = 3 is not a name"),
        ("distilled", "data.sha256", "x", "data.sha256 = 'x' is not 64 hexadecimal digits"),
        ("vgg11", "optimizer.momentum", 2, "optimizer.momentum = 2 is outside [0, 0.9999999]"),
        ("vgg11", "learning_rate.milestone", None, "learning_rate.milestone = None, but a run needs it"),
        ("convnet", "model.channels", (8, 0), "model.channels = 0 is outside [1, inf)"),
        ("convnet", "model.channels", (8, "9"), "model.channels = '9' is not a whole number"),
        ("foreign", "model.drop_path_blocks", ("a", 2), "model.drop_path_blocks = 2 is not a name"),
        ("student", "augmentation.pool", ("crop", "blur"), "augmentation.pool = 'blur' is not one of color, crop"),
    ],
)
def test_neither_forms_nor_places_in_lists_are_part_of_the_key(run, name, value, expected):
    assert refusal(changed(name, value, run))[0].startswith(expected)


def test_a_misspelt_name_comes_before_all_else():
    values = changed("optimizer", {"name": "lion", "weight_decoy": 0.1})
    values["epochs"] = 0
    assert refusal(values)[0].startswith("optimizer.weight_decoy is unknown")


def test_what_is_no_configuration_at_all_is_refused_too():
    for value in (3, None, [], "run"):
        with pytest.raises(ValueError, match=f"{re.escape(repr(value))}") as caught:
            from_dict(value)
        assert "\n" not in str(caught.value)


class Alone(Part):
    """One part, to be read on its own."""

    open_end: float | None = setting("a number", source="ours", default=None)
    below: int = setting("a number", source="ours", default=1, low=-3, high=3)


def test_a_part_on_its_own_has_keys_without_a_dot():
    assert refusal({"below": 4}, Alone)[0] == "below = 4 is outside [-3, 3]"
    assert refusal({"beneath": 4}, Alone)[0] == "beneath is unknown; known here: below, open_end"


def test_a_number_without_bounds_has_a_sentence_as_well():
    found, types = refusal({"open_end": math.inf}, Alone)
    assert types == {"finite_number"}
    assert found.startswith("open_end = inf")
    assert "\n" not in found


# Whatever the value: a sentence that begins with a name that a run has.


JUNK = (
    None,
    True,
    -1,
    0,
    3,
    2.5,
    -1e9,
    math.nan,
    math.inf,
    "",
    "nonsense",
    "two\nlines",
    "torchvision:",
    [],
    [None],
    ["a", "a"],
    [[1]],
    {},
    {"kind": 3},
    {"name": ["lion"]},
    {"architecture": ["convnet"]},
    {"nonsense": 1},
    object(),
)

KEYS = {f"{name}.{key}".lstrip(".") for name, part in declared() for key in part.model_fields}


def names(config):
    """The dotted name of every part and setting of a run, its teacher's included."""
    return [f"{name}.{key}".lstrip(".") for name, part in places(config) for key in type(part).model_fields]


def complaint(values):
    """Why `from_dict` refuses the values; nothing where it takes them, and the run can be stored and read again."""
    try:
        config = from_dict(values)
    except ValueError as error:
        return str(error)
    again = from_dict(json.loads(json.dumps(config.to_dict())))
    return "" if (again, run_id(again)) == (config, run_id(config)) else "another run when it is read again"


@pytest.mark.parametrize("run", RUNS)
def test_any_value_is_taken_or_refused_in_a_sentence_that_begins_with_the_key(run):
    said = {
        (name, place): complaint(changed(name, copy.copy(value), run))
        for name in names(RUNS[run])
        for place, value in enumerate(JUNK)
    }
    refused = {each: text for each, text in said.items() if text}
    assert len(refused) > 10 * len(names(RUNS[run]))
    for (name, place), text in refused.items():
        key = re.match(r"(kd\.teacher\.)*([a-z0-9_.]*)", text)[2]
        part, _, last = key.rpartition(".")
        of_value = isinstance(JUNK[place], dict) and last in JUNK[place] and part in KEYS | {""}
        assert key in KEYS or of_value, (name, JUNK[place], text)
        assert "\n" not in text, (name, JUNK[place], text)
        assert "ydantic" not in text, (name, JUNK[place], text)


@pytest.mark.parametrize("name", sorted({name for name in names(STUDENT) if not name.startswith("kd.teacher.")}))
def test_a_single_wrong_value_is_told_with_its_own_key(name):
    value = object()
    with pytest.raises(ValueError, match=rf"^{re.escape(name)} = <object object") as caught:
        from_dict(changed(name, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["batch_size", "epochs", "phases.period", "data.images_per_class"])
@pytest.mark.parametrize("value", [2**63, 10**309])
def test_a_whole_number_that_no_table_can_hold_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"^{re.escape(name)} = {value} is too large$"):
        from_dict(changed(name, value))
