"""Validation of users' values against the types that configurations and studies declare."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crossarch.platform.errors import BadInputError, refusing
from crossarch.trainables.config.run import RunConfig, from_dict

if TYPE_CHECKING:
    from crossarch.search_spaces.study import Study


def validate(values: Mapping[str, Any]) -> RunConfig:
    """The RunConfig of nested mappings. Raises BadInputError for unknown names, wrong types and values out of range."""
    with refusing():
        return from_dict(values)


def check_declared(study: "Study") -> None:
    """Raises BadInputError if a field of a study, its arms, axes or smoke form does not have its declared type."""
    from pydantic import TypeAdapter, ValidationError

    def check(part: Any, where: str) -> None:
        hints = typing.get_type_hints(type(part))
        for field in dataclasses.fields(part):
            try:
                TypeAdapter(hints[field.name]).validate_python(getattr(part, field.name), strict=True)
            except ValidationError as error:
                first = error.errors()[0]
                key = ".".join(map(str, (field.name, *first["loc"])))
                raise BadInputError(f"{where}{key} = {first['input']!r}: {_lowered(first['msg'])}") from error

    check(study, "")
    check(study.smoke_form, "smoke_form.")
    for arm in study.arms:
        check(arm, f"arm {arm.name}: ")
    for axis in study.axes:
        check(axis, f"axis {axis.name}: ")


def _lowered(sentence: str) -> str:
    return f"{sentence[0].lower()}{sentence[1:]}"
