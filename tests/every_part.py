"""Runs in which every part of a configuration occurs in each of its forms, and ways through their settings."""

import itertools
import typing
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from settings import PLAIN, STUDENT, make

from crossarch.trainables.config.part import Part, forms
from crossarch.trainables.config.run import RunConfig

DISTILLED = {
    "kind": "distilled",
    "dataset": "digits",
    "images_per_class": 1,
    "distilled_set": "small",
    "sha256": "0123456789abcdef" * 4,
    "label_temperature": 0.3,
}
FOREIGN = {"architecture": "torchvision:mobilenet_v3_small", "drop_path_blocks": ["network.features.4"]}
NORMS = (
    {"kind": "batch"},
    {"kind": "instance"},
    {"kind": "group", "groups": 2},
    {"kind": "channel_group", "channels_per_group": 4},
)

RUNS: dict[str, RunConfig] = {
    "student": STUDENT,  # periodical rate, Lion, DropPath, a teacher
    "convnet": PLAIN,  # cosine, AdamW
    "vgg11": make("vgg11", "group", "sgd"),  # one step, SGD
    "distilled": PLAIN.replace({"data": DISTILLED}),
    "herding": PLAIN.replace({"data.selection": "herding"}),
    "foreign": make("vgg11", "batch", "without_kd").replace({"model": FOREIGN}),
    "norms": STUDENT.replace({"model.norm": NORMS[2], "model.first_norm": NORMS[3]}),
} | {
    f"{norm['kind']}, {first['kind']}": make("alexnet", "batch", "without_kd").replace(
        {"model.norm": norm, "model.first_norm": first}
    )
    for norm, first in itertools.permutations(NORMS, 2)
}


def declared(part: type[Part] = RunConfig, name: str = "") -> Iterator[tuple[str, type[Part]]]:
    """Every form of every part there is, by the part's dotted name in a run; those of a teacher are a run's."""
    yield name, part
    for key, field in part.model_fields.items():
        for form in forms(field.annotation):
            if form is not RunConfig:
                yield from declared(form, f"{name}.{key}".lstrip("."))


def places(part: Part, name: str = "") -> Iterator[tuple[str, Part]]:
    """Every part of a run by its dotted name, its teacher's included."""
    yield name, part
    for key in type(part).model_fields:
        value = getattr(part, key)
        if isinstance(value, Part):
            yield from places(value, f"{name}.{key}".lstrip("."))


def rules(field: FieldInfo) -> dict[str, float]:
    """The bounds `ge`, `gt` and `le` of a field's value, or of each entry of its list."""
    found = list(field.metadata)
    for argument in typing.get_args(field.annotation):
        for extra in typing.get_args(argument)[1:]:
            found += getattr(extra, "metadata", [])
    return {name: getattr(rule, name) for rule in found for name in ("ge", "gt", "le") if hasattr(rule, name)}


def kinds(annotation: Any) -> set[Any]:
    """The plain types, `Literal` among them, that values of an annotation or entries of its lists have."""
    if typing.get_origin(annotation) is typing.Literal:
        return {typing.Literal}
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return {annotation} - {type(None)}
    return {kind for argument in typing.get_args(annotation) for kind in kinds(argument)}


def choices(annotation: Any) -> tuple[Any, ...]:
    """The values of an annotation's Literals."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    return tuple(value for argument in typing.get_args(annotation) for value in choices(argument))


def is_list(field: FieldInfo) -> bool:
    return typing.get_origin(field.annotation) is tuple


def values_at(values: dict[str, Any], name: str) -> dict[str, Any]:
    """The inner dictionary of that dotted name, the outermost for none."""
    for key in name.split(".") if name else ():
        values = values[key]
    return values
