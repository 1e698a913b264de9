"""Layers of changes, merged: a layer that names a part's tag replaces the part, one that does not changes it."""

import copy
import itertools
from typing import Any

import pytest
from settings import SETTINGS, STUDENT

from crossarch.trainables.config.layers import TAGS, merge_layers
from crossarch.trainables.config.part import Part, forms
from crossarch.trainables.config.run import RunConfig

PARTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "data": (
        {"kind": "real", "dataset": "digits", "images_per_class": 2},
        {"kind": "distilled", "distilled_set": "small"},
        {"images_per_class": 3},
    ),
    "model": (
        {"architecture": "resnet18", "width": 0.5, "norm": {"kind": "group", "groups": 2}},
        {"architecture": "vgg11", "norm": {"kind": "instance"}},
        {"width": 0.25, "norm": {"groups": 4}},
    ),
    "model.norm": ({"kind": "group", "groups": 2}, {"kind": "batch"}, {"groups": 4}),
    "model.first_norm": ({"kind": "group", "groups": 2}, {"kind": "group", "groups": 8}, {"groups": 4}),
    "learning_rate": (
        {"schedule": "periodic", "maximum": 5e-5, "decay": 0.8},
        {"schedule": "cosine", "maximum": 5e-4},
        {"maximum": 1e-3},
    ),
    "optimizer": (
        {"name": "lion", "weight_decay": 5e-3, "beta1": 0.9},
        {"name": "sgd", "weight_decay": 0.0},
        {"weight_decay": 0.1},
    ),
    "kd.teacher.optimizer": (
        {"name": "lion", "weight_decay": 5e-3, "beta1": 0.9},
        {"name": "lion", "weight_decay": 0.0},
        {"beta2": 0.5},
    ),
}
"""By name of a part that has a tag: its settings, a layer with the tag, a layer without."""

UNTAGGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "phases": ({"warmup": 2, "period": 2, "stabilization": 6}, {"warmup": 3}),
    "keep_rate": ({"minimum": 0.5, "final": 0.8}, {"final": 1.0, "decay": 0.2}),
    "augmentation": ({"folds": 2, "pool": ["flip", "crop"]}, {"pool": ["crop"]}),
    "kd": ({"alpha": 0.5, "teacher": {"epochs": 4, "seed": 1}}, {"temperature": 2.0, "teacher": {"epochs": 5}}),
}
"""By name of a part without a tag: its settings, a layer."""


def whole(name: str, value: Any) -> dict[str, Any]:
    """The nested layer that says only that the part of that dotted name is `value`."""
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


def dotted(name: str, value: Any) -> dict[str, Any]:
    """The same layer with one dotted name for each setting."""
    if not isinstance(value, dict):
        return {name: value}
    return {key: inner for last in value for key, inner in dotted(f"{name}.{last}", value[last]).items()}


def half_dotted(name: str, value: Any) -> dict[str, Any]:
    """The same layer with the part's dotted name alone."""
    return {name: value}


SPELLINGS = (whole, dotted, half_dotted)

BEFORE = {"present": lambda name, part: whole(name, part), "absent": lambda *_: {}, "None": lambda n, _: whole(n, None)}
"""What the layer beneath says of the part."""

each_spelling = pytest.mark.parametrize("spell", SPELLINGS)
each_before = pytest.mark.parametrize("before", BEFORE)


@pytest.mark.parametrize("name", PARTS)
@each_before
@each_spelling
def test_a_layer_with_the_tag_replaces_the_part_whole(name: str, before: str, spell: Any) -> None:
    part, tagged, _ = PARTS[name]

    assert merge_layers(BEFORE[before](name, part), spell(name, tagged)) == whole(name, tagged)


@pytest.mark.parametrize("name", PARTS)
@each_before
@each_spelling
def test_a_layer_without_the_tag_changes_what_it_names_alone(name: str, before: str, spell: Any) -> None:
    part, _, untagged = PARTS[name]
    expected = dict(untagged)
    if before == "present":
        expected = part | untagged
        if "norm" in untagged:
            expected["norm"] = {"kind": "group", "groups": 4}

    assert merge_layers(BEFORE[before](name, part), spell(name, untagged)) == whole(name, expected)


@pytest.mark.parametrize("name", UNTAGGED)
@each_before
@each_spelling
def test_a_part_that_has_no_tag_is_changed_and_never_replaced(name: str, before: str, spell: Any) -> None:
    part, changes = UNTAGGED[name]
    expected = part | changes if before == "present" else changes
    if name == "kd" and before == "present":
        expected["teacher"] = {"epochs": 5, "seed": 1}

    assert merge_layers(BEFORE[before](name, part), spell(name, changes)) == whole(name, expected)


@pytest.mark.parametrize("name", [*PARTS, *UNTAGGED])
@each_before
@pytest.mark.parametrize("spell", [whole, half_dotted])
def test_none_takes_a_part_away_and_a_later_layer_begins_it_anew(name: str, before: str, spell: Any) -> None:
    part, *_, changes = (PARTS | UNTAGGED)[name]
    below = BEFORE[before](name, part)

    assert merge_layers(below, spell(name, None)) == whole(name, None)
    assert merge_layers(below, spell(name, None), spell(name, changes)) == whole(name, changes)


@pytest.mark.parametrize("name", [*PARTS, *UNTAGGED])
@pytest.mark.parametrize(("spell", "other"), list(itertools.product(SPELLINGS, repeat=2)))
def test_the_layer_beneath_may_be_spelt_in_any_way_too(name: str, spell: Any, other: Any) -> None:
    part, *layers = (PARTS | UNTAGGED)[name]
    for layer in layers:
        assert merge_layers(spell(name, part), other(name, layer)) == merge_layers(
            whole(name, part), whole(name, layer)
        )


def test_what_no_layer_names_stays() -> None:
    below = {"epochs": 4, "model": {"architecture": "vgg11", "width": 0.5}, "kd": None}

    assert merge_layers(below, {"optimizer": {"name": "sgd"}, "model.width": 1.0}) == {
        "epochs": 4,
        "model": {"architecture": "vgg11", "width": 1.0},
        "kd": None,
        "optimizer": {"name": "sgd"},
    }
    assert merge_layers() == {}
    assert merge_layers(below) == merge_layers(below, {}) == merge_layers({}, below) == below


def test_the_last_of_several_layers_decides() -> None:
    layers = [{"epochs": 1, "model.width": 1}, {"model": {"width": 2}, "epochs": 2}, {"epochs": 3}]

    assert merge_layers(*layers) == {"epochs": 3, "model": {"width": 2}}
    assert merge_layers(*layers[::-1]) == {"epochs": 1, "model": {"width": 1}}


def test_lists_are_replaced_and_not_joined() -> None:
    layers = [{"augmentation.pool": ["flip", "crop"]}, {"augmentation": {"pool": ("scale",)}}]

    assert merge_layers(*layers) == {"augmentation": {"pool": ("scale",)}}


def test_a_name_alone_stands_for_a_part_and_is_replaced_by_one() -> None:
    assert merge_layers({"model.norm": {"kind": "group", "groups": 2}}, {"model.norm": "batch"}) == {
        "model": {"norm": "batch"}
    }
    assert merge_layers({"model.norm": "batch"}, {"model.norm.kind": "group", "model.norm.groups": 2}) == {
        "model": {"norm": {"kind": "group", "groups": 2}}
    }


SAME_LAYER = [
    {"kd": {"teacher": {"model": {"architecture": "convnet", "norm": "batch"}}}},
    {"kd.teacher": {"model": {"width": 0.5}, "epochs": 4}},
    {"kd.teacher.model.width": 0.25},
]
"""One layer in three spellings at once; the longer the dotted name, the more it has to say."""


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_within_a_layer_dotted_and_nested_names_add_up_in_any_order(order: tuple[int, ...]) -> None:
    layer = {name: value for index in order for name, value in SAME_LAYER[index].items()}

    assert merge_layers(layer) == {
        "kd": {"teacher": {"model": {"architecture": "convnet", "norm": "batch", "width": 0.25}, "epochs": 4}}
    }


def test_within_a_layer_a_tag_does_not_take_away_what_is_said_beside_it() -> None:
    layer = {"learning_rate.maximum": 1.0, "learning_rate": {"schedule": "cosine", "maximum": 2.0, "warmup": 3}}

    assert merge_layers({"learning_rate": {"schedule": "step", "milestone": 5}}, layer) == {
        "learning_rate": {"schedule": "cosine", "maximum": 1.0, "warmup": 3}
    }


@pytest.mark.parametrize("name", [*PARTS, *UNTAGGED])
def test_layers_that_are_merged_beforehand_are_one_layer(name: str) -> None:
    """Arms are made of layers, and are a layer of a study."""
    layers = [{}, *(spell(name, layer) for layer in (PARTS | UNTAGGED)[name] for spell in (whole, dotted))]
    for first, second, third in itertools.product(layers, repeat=3):
        one_by_one = merge_layers(first, second, third)
        assert merge_layers(first, merge_layers(second, third)) == one_by_one
        assert merge_layers(merge_layers(first, second), third) == one_by_one


def test_layers_are_left_as_they_are_and_share_nothing_with_the_result() -> None:
    layers = [
        {"model": {"norm": {"kind": "group"}}, "a.b": [1], "e": [5]},
        {"model": {"norm": {"groups": 4}}, "c": {"d": [2]}, "a": {"f": [6]}},
    ]
    before = copy.deepcopy(layers)
    merged = merge_layers(*layers)
    merged["model"]["norm"]["groups"] = 8
    for entries in (merged["a"]["b"], merged["c"]["d"], merged["e"], merged["a"]["f"]):
        entries.append(3)

    assert layers == before


@pytest.mark.parametrize(
    ("below", "layer", "sentence"),
    [
        ({"epochs": 4}, {"epochs.many": 1}, "epochs.many is unknown: epochs is not a part"),
        ({"epochs": 4}, {"epochs": {"many": 1}}, "epochs.many is unknown: epochs is not a part"),
        ({"kd": {"teacher": {"epochs": 4}}}, {"kd.teacher.epochs.many": 1}, "kd.teacher.epochs.many is unknown"),
        ({}, {"epochs": 4, "epochs.many": 1}, "epochs.many is unknown: epochs is not a part"),
    ],
)
def test_a_name_through_what_is_no_part_is_refused(below: Any, layer: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}") as refusal:
        merge_layers(below, layer)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("below", [4, None, "batch", ()])
def test_no_settings_at_all_in_place_of_a_value_are_left_to_its_check(below: Any) -> None:
    assert merge_layers({"epochs": below}, {"epochs": {}}) == {"epochs": {}}


# What the layers make of real runs.


def unions(part: type[Part] = RunConfig) -> dict[str, set[type[Part]]]:
    """The forms of each part that has several, by its name."""
    found: dict[str, set[type[Part]]] = {}
    for name, field in part.model_fields.items():
        inner = forms(field.annotation)
        if len(inner) > 1:
            found.setdefault(name, set()).update(inner)
        for form in inner:
            for key, value in (unions(form) if form is not RunConfig else {}).items():
                found.setdefault(key, set()).update(value)
    return found


def test_every_part_of_several_forms_has_its_tag_and_no_other_part() -> None:
    assert set(unions()) == set(TAGS)
    for name, inner in unions().items():
        assert all(TAGS[name] in form.model_fields for form in inner)


@pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS)
def test_a_whole_run_over_another_is_that_run(config: RunConfig) -> None:
    assert STUDENT.replace(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({"optimizer.weight_decay": 0.1}, {"optimizer": {"weight_decay": 0.1}}),
        ({"model.norm": "instance"}, {"model": {"norm": {"kind": "instance"}}}),
        ({"kd.teacher.model.width": 0.125}, {"kd": {"teacher": {"model": {"width": 0.125}}}}),
        ({"keep_rate": None}, {"keep_rate": None, "epochs": STUDENT.epochs}),
    ],
)
def test_a_run_is_changed_alike_by_either_spelling(changes: dict[str, Any], others: dict[str, Any]) -> None:
    assert STUDENT.replace(changes) == STUDENT.replace(others) != STUDENT


@pytest.mark.parametrize("name", ["norm", "first_norm"])
def test_a_norm_that_is_written_as_its_name_takes_settings(name):
    named = {f"model.{name}": "group"}
    settings = {f"model.{name}.groups": 4}
    wanted = {"model": {name: {"kind": "group", "groups": 4}}}
    assert merge_layers(named, settings) == wanted
    assert merge_layers(named | settings) == wanted
    assert merge_layers(named, {f"model.{name}": "batch"}) == {"model": {name: "batch"}}


def test_a_part_that_is_left_out_takes_no_settings_in_the_same_changes():
    with pytest.raises(ValueError, match=r"^kd.alpha is set, but kd = None in the same changes$"):
        merge_layers({"kd": None, "kd.alpha": 0.5})
