"""The description of a run: documented, bounded, named alike everywhere, and the same after a round trip."""

import copy
import dataclasses
import json
import math
import typing
from typing import Any

import pydantic
import pytest
from every_part import DISTILLED, NORMS, RUNS, choices, declared, is_list, kinds, places, rules, values_at
from settings import PLAIN, SETTINGS, STUDENT, model_of

from crossarch.search_spaces.quickstart import BASE, QUICKSTART
from crossarch.search_spaces.recipes import BASELINE, FULL, WITHOUT_DP_KD
from crossarch.trainables.config import run as config_module
from crossarch.trainables.config.distiller import CONFIGS
from crossarch.trainables.config.errors import sentence
from crossarch.trainables.config.identity import config_hash
from crossarch.trainables.config.part import Part, forms
from crossarch.trainables.config.run import (
    AdamWConfig,
    BatchNorm,
    ConvNetConfig,
    CosineRate,
    GroupNorm,
    InstanceNorm,
    LionConfig,
    ResNetConfig,
    RunConfig,
    SGDConfig,
    flatten,
    from_dict,
    setting_fields,
)

UNITLESS_INTEGERS = {"seed"}

OPEN = {
    "data.dataset",
    "data.whitening",
    "data.distilled_set",
    "data.sha256",
    "model.architecture",
    "model.drop_path_blocks",
    "frepo.dataset",
    "frepo.whitening",
}
"""Names that the table of data sets, the store, or the network itself can judge alone."""

PAPER = dataclasses.replace(QUICKSTART, base=BASE, budget=1.0)
"""Real digits, and the paper's epochs: W = T = 500, S = 3000, N = 4000."""


def full(seed=0):
    """A student with every part there is."""
    return PAPER.config(FULL, ("ResNet18",), seed)


def baseline():
    return PAPER.config(BASELINE, ("ConvNet",), 0)


PARTS = [*declared(), *CONFIGS.items()]
"""Every part of a run, and the distillers' configurations, by name."""

FIELDS = [
    pytest.param(name, part, key, id=f"{part.__name__}.{key}")
    for name, part in {part: (name, part) for name, part in PARTS}.values()
    for key in part.model_fields
]


def fields(wanted: typing.Callable[[Any], bool]) -> list[Any]:
    """The parameters whose fields are as wanted."""
    return [each for each in FIELDS if wanted(each.values[1].model_fields[each.values[2]])]


def bounds():
    """Every declared bound: the part, the field, a value at the edge that is allowed, one beyond that is not."""
    for parameter in FIELDS:
        _, part, key = parameter.values
        field = part.model_fields[key]
        whole = int in kinds(field.annotation)
        below = (lambda x: x - 1) if whole else (lambda x: math.nextafter(x, -math.inf))
        beyond = (lambda x: x + 1) if whole else (lambda x: math.nextafter(x, math.inf))
        for rule, edge in rules(field).items():
            allowed, refused = {
                "ge": (edge, below(edge)),
                "gt": (beyond(edge), edge),
                "le": (edge, beyond(edge)),
            }[rule]
            yield pytest.param(part, key, allowed, refused, id=f"{parameter.id}-{rule}")


def check(part: type[Part], key: str, value: Any) -> None:
    """Raises ValueError where `value` does not pass what the field itself says, with no other rule to speak."""
    field = copy.deepcopy(part.model_fields[key])
    value = (value,) if is_list(field) and not isinstance(value, tuple) else value
    alone = pydantic.create_model("Alone", __base__=Part, **{key: (field.annotation, field)})
    try:
        alone(**{key: value})
    except pydantic.ValidationError as error:
        raise ValueError(sentence(error, alone)) from error


def test_every_part_is_covered():
    public = {each for name, each in vars(config_module).items() if isinstance(each, type) and name[0] != "_"}
    assert {each for each in public if issubclass(each, Part)} - {Part} == {part for _, part in declared()}


def test_every_form_of_every_part_occurs_in_a_run_and_its_teacher():
    met = {(name, type(part)) for run in RUNS.values() for name, part in places(run)}
    assert set(declared()) <= met
    assert ("kd.teacher", RunConfig) in met


@pytest.mark.parametrize(("name", "part", "key"), FIELDS)
def test_every_field_says_meaning_source_and_unit(name, part, key):
    field = part.model_fields[key]
    assert field.description
    assert field.json_schema_extra["source"]
    if int in kinds(field.annotation) and key not in UNITLESS_INTEGERS:
        assert field.json_schema_extra["unit"]


@pytest.mark.parametrize(("name", "part", "key"), FIELDS)
def test_every_plain_field_is_bounded(name, part, key):
    field = part.model_fields[key]
    found = kinds(field.annotation)
    if found & {int, float}:
        assert len(rules(field).keys() & {"ge", "gt"}) == 1
    elif str in found:
        assert f"{name}.{key}" in OPEN
    else:
        assert found in ({bool}, {typing.Literal}, set(forms(field.annotation)))


def test_no_name_is_called_open_that_is_not():
    assert {
        f"{each.values[0]}.{each.values[2]}" for each in fields(lambda field: str in kinds(field.annotation))
    } == OPEN


@pytest.mark.parametrize(("part", "key", "allowed", "refused"), list(bounds()))
def test_every_bound_holds_at_its_edge(part, key, allowed, refused):
    check(part, key, allowed)
    with pytest.raises(ValueError, match=rf"^{key} = .* (is outside [\[(].+, .+[\])]|is too large)$"):
        check(part, key, refused)


@pytest.mark.parametrize(("name", "part", "key"), fields(lambda field: kinds(field.annotation) & {int, float}))
def test_no_number_is_infinite_a_word_or_nothing(name, part, key):
    field = part.model_fields[key]
    for refused in (math.nan, math.inf, -math.inf, "many", "1", True, [1], {}):
        with pytest.raises(ValueError, match=rf"^{key} = .* is (not a|outside)"):
            check(part, key, refused)
    if int in kinds(field.annotation):
        with pytest.raises(ValueError, match=rf"^{key} = 10\.5 is not a whole number"):
            check(part, key, 10.5)
    if field.default is not None:
        with pytest.raises(ValueError, match=f"^{key} = None"):
            check(part, key, None)


@pytest.mark.parametrize(("name", "part", "key"), fields(lambda field: choices(field.annotation)))
def test_every_choice_is_allowed_and_no_other(name, part, key):
    known = choices(part.model_fields[key].annotation)
    for choice in known:
        check(part, key, choice)
    for other in ("nonsense", 3, [known[0]], known[0].upper()):
        with pytest.raises(ValueError, match=rf"^{key} = .* is not one of {', '.join(known)}$"):
            check(part, key, other)


@pytest.mark.parametrize(("name", "part", "key"), fields(lambda field: str in kinds(field.annotation)))
def test_a_name_is_no_number_and_no_list(name, part, key):
    for other in (3, True, ["a"]):
        with pytest.raises(ValueError, match=rf"^{key} = .* is not a name"):
            check(part, key, other)


@pytest.mark.parametrize(("name", "part", "key"), fields(lambda field: bool in kinds(field.annotation)))
def test_a_flag_is_neither_number_nor_word(name, part, key):
    for flag in (True, False):
        check(part, key, flag)
    for other in (1, 0, "false", 0.0):
        with pytest.raises(ValueError, match=rf"^{key} = .* is not true or false"):
            check(part, key, other)


@pytest.mark.parametrize(("name", "part", "key"), fields(is_list))
def test_a_list_is_no_single_value(name, part, key):
    values = RUNS["foreign" if key == "drop_path_blocks" else "convnet"].to_dict()
    values_at(values, name)[key] = "flip"
    with pytest.raises(ValueError, match=rf"^{name}\.{key} = 'flip' is not a list"):
        from_dict(values)


EVERYWHERE = {(name, type(part)): run for run in RUNS.values() for name, part in places(run)}
"""A run for every part in each of its forms, by where it is."""

PLACES = [pytest.param(name, part, id=f"{name or 'run'}-{part.__name__}") for name, part in EVERYWHERE]


@pytest.mark.parametrize(("name", "part"), PLACES)
def test_what_a_run_needs_is_missed_by_name(name, part):
    for key, field in part.model_fields.items():
        values = EVERYWHERE[name, part].to_dict()
        del values_at(values, name)[key]
        if field.is_required():
            with pytest.raises(ValueError, match=f"^{f'{name}.{key}'.lstrip('.')} is missing, but a run needs it"):
                from_dict(values)


@pytest.mark.parametrize(("name", "part"), PLACES)
def test_what_no_part_has_is_refused_by_name(name, part):
    values = EVERYWHERE[name, part].to_dict()
    values_at(values, name)["alfa"] = None
    known = ", ".join(sorted(part.model_fields))
    with pytest.raises(ValueError, match=f"^{f'{name}.alfa'.lstrip('.')} is unknown; known here: {known}$"):
        from_dict(values)


@pytest.mark.parametrize(("name", "part"), PLACES)
def test_parts_are_frozen(name, part):
    found = dict(places(EVERYWHERE[name, part]))[name]
    for key in part.model_fields:
        with pytest.raises(pydantic.ValidationError, match="frozen"):
            setattr(found, key, getattr(found, key))
    with pytest.raises(pydantic.ValidationError):
        found.alfa = 1


@pytest.mark.parametrize("arm", [BASELINE, WITHOUT_DP_KD, FULL], ids=lambda arm: arm.name)
def test_a_dictionary_and_back_is_the_same_run(arm):
    config = PAPER.config(arm, ("ResNet18",), 2)
    assert from_dict(config.to_dict()) == config
    assert from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("config", [*RUNS.values(), *SETTINGS.values()], ids=[*RUNS, *SETTINGS])
def test_every_run_is_the_same_after_json(config):
    found = from_dict(json.loads(json.dumps(config.to_dict())))
    assert found == config
    assert hash(found) == hash(config)
    assert found.to_dict() == config.to_dict()
    assert [type(part) for _, part in places(found)] == [type(part) for _, part in places(config)]


def test_lists_become_tuples():
    config = baseline().replace({"model.channels": [8, 16], "augmentation.pool": ["crop", "flip"]})
    assert (config.model.channels, config.augmentation.pool) == ((8, 16), ("crop", "flip"))
    assert hash(config) == hash(baseline().replace({"model.channels": (8, 16), "augmentation.pool": ("crop", "flip")}))


def test_replace_changes_what_is_named_and_nothing_else():
    before = full()
    after = before.replace({"kd.alpha": 0.7, "keep_rate.minimum": 0.4})
    assert dict(set(flatten(after)) - set(flatten(before))) == {"kd.alpha": 0.7, "keep_rate.minimum": 0.4}
    assert after.kd.teacher == before.kd.teacher
    assert before == full()
    assert before.replace({}) == before


def test_replace_merges_parts_and_takes_them_away():
    assert full().replace({"kd": None}).kd is None
    config = full().replace({"keep_rate": {"final": 0.9}})
    assert (config.keep_rate.minimum, config.keep_rate.final, config.keep_rate.decay) == (0.5, 0.9, 0.1)
    resnet = full().replace({"kd": None, "keep_rate": None})
    assert resnet.replace({"keep_rate.final": 0.9}).keep_rate == config.keep_rate


def test_replace_makes_another_form_anew():
    """Nothing of the old form is left: neither Lion's betas nor a width."""
    config = full().replace({"optimizer": {"name": "adamw", "weight_decay": 0.0}, "model.architecture": "resnet50"})
    assert config.optimizer == AdamWConfig(name="adamw", weight_decay=0.0)
    assert config.model == ResNetConfig(architecture="resnet50")


def test_replace_leaves_the_changes_it_is_given_alone():
    changes = {"kd": copy.deepcopy(full().to_dict()["kd"]), "kd.teacher.epochs": 50, "seed": 4}
    before = copy.deepcopy(changes)
    assert full().replace(changes).kd.teacher.epochs == 50
    assert changes == before


def test_a_new_seed_reaches_the_teacher_and_its_teacher():
    chain = full().replace({"kd.teacher.kd": {"teacher": full().kd.teacher.to_dict()}})
    changed = chain.replace({"seed": 5})
    assert (changed.seed, changed.kd.teacher.seed, changed.kd.teacher.kd.teacher.seed) == (5, 5, 5)
    assert changed == chain.replace({"seed": 9}).replace({"seed": 5}) == chain.reseeded(5)


def test_a_new_seed_without_a_teacher_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^kd.teacher is missing"):
        full().replace({"kd": None}).replace({"seed": 1, "kd.alpha": 0.5})


def test_flat_names_are_those_every_room_uses():
    names = [name for name, _ in flatten(full())]
    assert {"keep_rate.minimum", "kd.alpha", "kd.temperature", "augmentation.folds", "model.norm.kind"} < set(names)
    assert len(names) == len(set(names))
    assert not [name for name in names if "kd.teacher." in name]
    changed = full().replace({name: value for name, value in flatten(full()) if name != "seed"})
    assert changed == full()


def test_absent_parts_have_no_flat_names():
    assert not [name for name, _ in flatten(baseline()) if name.split(".")[0] in ("phases", "keep_rate", "kd")]


def test_setting_fields_are_the_flat_names_of_all_forms():
    names = {name for name, _ in setting_fields()}
    assert names == {name for run in RUNS.values() for name, _ in flatten(run)}
    for part in (LionConfig, GroupNorm, ConvNetConfig):
        key = next(reversed(part.model_fields))
        assert any(field is part.model_fields[key] for _, field in setting_fields())


@pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS.keys())
def test_another_seed_is_the_teacher_s_too_and_all_else_stays(config: RunConfig) -> None:
    assert config.reseeded(7) == config.replace({"seed": 7})
    assert (config.seed, config.reseeded(0)) == (0, config)
    for seed in (-1, 2**31):
        with pytest.raises(ValueError, match=rf"^seed = {seed} is outside \[0, 2147483647\]$"):
            config.reseeded(seed)
    for other in (1.5, 1.0, True, "1", None):
        with pytest.raises(ValueError, match=rf"^seed = {other!r} is not a whole number$"):
            config.reseeded(other)


# The forms of parts.


FORMS = {
    ("data", "real"): {"dataset", "images_per_class", "whitening", "selection"},
    ("data", "distilled"): {
        "dataset",
        "images_per_class",
        "whitening",
        "distilled_set",
        "sha256",
        "label_temperature",
    },
    ("model", "convnet"): {"width", "norm", "first_norm", "conv_bias", "drop_path_blocks", "channels"},
    ("model", "resnet18"): {"width", "norm", "first_norm", "conv_bias", "drop_path_blocks", "shortcut"},
    ("model", "vgg11"): {"width", "norm", "first_norm", "conv_bias", "drop_path_blocks"},
    ("model", "torchvision:mobilenet_v3_small"): {"drop_path_blocks"},
    ("model.norm", "batch"): set(),
    ("model.norm", "instance"): set(),
    ("model.norm", "group"): {"groups"},
    ("model.norm", "channel_group"): {"channels_per_group"},
    ("learning_rate", "periodic"): {"maximum", "granularity", "decay", "warmup", "cosine_period"},
    ("learning_rate", "cosine"): {"maximum", "granularity", "warmup"},
    ("learning_rate", "step"): {"maximum", "granularity", "decay", "milestone"},
    ("optimizer", "lion"): {"weight_decay", "beta1", "beta2"},
    ("optimizer", "adamw"): {"weight_decay", "beta1", "beta2"},
    ("optimizer", "sgd"): {"weight_decay", "momentum"},
}
"""The settings that each form uses, by the part's name and its tag."""

TAG = {"data": "kind", "model": "architecture", "model.norm": "kind", "learning_rate": "schedule", "optimizer": "name"}


@pytest.mark.parametrize(("name", "tag"), FORMS)
def test_a_form_has_the_settings_it_uses_and_no_other(name, tag):
    found = {
        frozenset(type(part).model_fields) - {TAG[name]}
        for run in RUNS.values()
        for where, part in places(run)
        if where == name and getattr(part, TAG[name]) == tag
    }
    assert found == {frozenset(FORMS[name, tag])}


def test_the_defaults_are_the_papers():
    """App. C and the networks' authors; SGD's momentum and the cosine without a rise are the usual ones."""
    lion, adamw = LionConfig(name="lion", weight_decay=0), AdamWConfig(name="adamw", weight_decay=0)
    assert (lion.beta1, lion.beta2, adamw.beta1, adamw.beta2) == (0.95, 0.98, 0.9, 0.999)
    assert SGDConfig(name="sgd", weight_decay=0).momentum == 0.9
    assert CosineRate(schedule="cosine", maximum=1).warmup == 0
    convnet = ConvNetConfig(architecture="convnet")
    assert (convnet.channels, convnet.width, convnet.norm, convnet.first_norm) == (
        (128, 256, 512),
        1,
        BatchNorm(),
        None,
    )
    assert ResNetConfig(architecture="resnet18").shortcut == "original"
    assert PLAIN.replace({"kd": None}) == PLAIN
    assert {name: getattr(PLAIN, name) for name in ("keep_rate", "phases", "kd")} == dict.fromkeys(
        ("keep_rate", "phases", "kd")
    )
    assert (PLAIN.data.selection, PLAIN.data.whitening, PLAIN.test_evaluations) == (None, "channel", 1)


@pytest.mark.parametrize("name", ["batch", "instance"])
def test_a_norm_may_be_given_by_its_name_alone(name):
    by_name = STUDENT.replace({"model.norm": name})
    assert by_name == STUDENT.replace({"model.norm": {"kind": name}})
    assert by_name.model.norm.kind == name
    first = "instance" if name == "batch" else "batch"
    assert by_name.replace({"model.first_norm": first}) == by_name.replace({"model.first_norm": {"kind": first}})


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: norm["kind"])
def test_a_first_norm_like_all_others_is_none_of_its_own(norm):
    """One network has one description, and one hash, however the norms are spelt."""
    plain = STUDENT.replace({"model.norm": norm})
    made = type(plain.model.norm)(**norm)
    spellings = [norm, made] if len(norm) > 1 else [norm, made, norm["kind"]]
    for one in spellings:
        for other in spellings:
            values = plain.model.model_dump() | {"norm": one, "first_norm": other}
            config = plain.model_copy(update={"model": ResNetConfig(**values)})
            assert config == plain
            assert config_hash(config) == config_hash(plain)
    assert STUDENT.replace({"model.first_norm": "batch"}) == STUDENT
    assert model_of("vgg11", first_norm=BatchNorm()).first_norm is None


def test_a_first_norm_of_another_size_is_its_own():
    config = STUDENT.replace({"model.norm": NORMS[2], "model.first_norm": {"kind": "group", "groups": 4}})
    assert (config.model.norm, config.model.first_norm) == (GroupNorm(groups=2), GroupNorm(groups=4))
    assert STUDENT.replace({"model.first_norm": "instance"}).model.first_norm == InstanceNorm()


def test_a_distilled_set_may_be_named_before_its_contents_are_known():
    named = {name: value for name, value in DISTILLED.items() if name != "sha256"}
    assert PLAIN.replace({"data": named}).data.sha256 is None
    assert PLAIN.replace({"data": named}).replace({"data.sha256": DISTILLED["sha256"]}) == RUNS["distilled"]
