"""Values of users, checked against the types that configurations and studies declare."""

import dataclasses
import typing
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from crossarch.platform.errors import BadInputError
from crossarch.trainables.config.run import RunConfig

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    from crossarch.search_spaces.study import Study


@cache
def _adapter() -> "TypeAdapter[RunConfig]":
    from pydantic import TypeAdapter  # slow, and not needed to run a study

    return TypeAdapter(RunConfig)


def validate(values: Mapping[str, Any]) -> RunConfig:
    """The run that nested plain `values` describe. Raises BadInputError for names, types and values not allowed."""
    from pydantic import ValidationError

    try:
        return _adapter().validate_python(values)
    except ValidationError as error:
        raise BadInputError(_sentence(error)) from error


def check_declared(study: "Study") -> None:
    """Raises BadInputError where a field of a study, its arms, axes or smoke form is not of its declared type."""
    from pydantic import TypeAdapter, ValidationError

    def check(part: Any, where: str) -> None:
        hints = typing.get_type_hints(type(part))
        for field in dataclasses.fields(part):
            try:
                TypeAdapter(hints[field.name]).validate_python(getattr(part, field.name), strict=True)
            except ValidationError as error:
                told = error.errors()[0]
                key = ".".join(map(str, (field.name, *told["loc"])))
                raise BadInputError(f"{where}{key} = {told['input']!r}: {_lowered(told['msg'])}") from error

    check(study, "")
    check(study.smoke_form, "smoke_form.")
    for arm in study.arms:
        check(arm, f"arm {arm.name}: ")
    for axis in study.axes:
        check(axis, f"axis {axis.name}: ")


def _sentence(error: "ValidationError") -> str:
    """The first thing pydantic found wrong: key, value, what is allowed."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":  # ours, from a dataclass: it names key, value and what is allowed
        return f"{key}.{first['ctx']['error']}" if key else str(first["ctx"]["error"])
    if first["type"] == "unexpected_keyword_argument":
        return f"{key} is unknown"
    if first["type"] == "missing":
        return f"{key} is missing"
    return f"{key} = {first['input']!r}: {_lowered(first['msg'])}"


def _lowered(sentence: str) -> str:
    return f"{sentence[0].lower()}{sentence[1:]}"
