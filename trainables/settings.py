"""Documented, bounded fields, of which every part of a configuration is made."""

import dataclasses
import functools
import sys
import typing
from collections.abc import Mapping
from dataclasses import MISSING
from types import UnionType
from typing import Any, ClassVar, NamedTuple, TypeVar


def setting(
    meaning: str,
    *,
    source: str,
    default: Any = MISSING,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A documented field: `low` and `high` are allowed values, `above` is an excluded lower bound.

    A field with a lower bound is a number; None is allowed only where it is the default.
    """
    metadata = {
        "meaning": meaning,
        "source": source,
        "unit": unit,
        "low": low,
        "high": high,
        "above": above,
        "choices": choices,
    }
    return dataclasses.field(default=default, metadata=metadata)


class Settings:
    """What every part of a configuration does: check its values against what its fields allow."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __post_init__(self) -> None:
        """Raises ValueError, in one sentence, for a value outside what its field allows."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is not None:
                raise ValueError(f"{field.name} = None, but a run needs it")
            for item in value if isinstance(value, tuple) else (value,):
                if item is not None and not isinstance(item, Settings):
                    check_value(field, item)
            if value is not None:
                check_kind(field, value)


Part = TypeVar("Part", bound=Settings)


def check_value(field: dataclasses.Field[Any], value: Any) -> None:
    """Raises ValueError where `value` is none of the field's choices, no number, not finite, or out of its bounds."""
    rules = field.metadata
    if rules["choices"] and value not in rules["choices"]:
        raise ValueError(f"{field.name} = {value!r} is not one of {', '.join(rules['choices'])}")
    if rules["low"] is None and rules["above"] is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{field.name} = {value!r} is not a number in {allowed_range(rules)}")
    in_range = (
        abs(value) <= sys.float_info.max  # a whole number may be more than any float
        and (rules["low"] is None or value >= rules["low"])
        and (rules["high"] is None or value <= rules["high"])
        and (rules["above"] is None or value > rules["above"])
    )
    if not in_range:
        raise ValueError(f"{field.name} = {value!r} is outside {allowed_range(rules)}")


def check_kind(field: dataclasses.Field[Any], value: Any) -> None:
    """Raises ValueError where `value` is a list and the field is not, or the other way round, or of another kind."""
    annotation: Any = field.type
    kind = _kind(annotation)
    if kind.is_list != isinstance(value, tuple):
        raise ValueError(f"{field.name} = {value!r} is not {'a list' if kind.is_list else 'a single value'}")
    if kind.is_list and None in value:
        raise ValueError(f"{field.name} = {value!r} has an empty entry")
    single = value if kind.is_list else (value,)
    if kind.is_flag and not isinstance(value, bool):
        raise ValueError(f"{field.name} = {value!r} is neither true nor false")
    if kind.is_text and any(not isinstance(item, str) for item in single):
        raise ValueError(f"{field.name} = {value!r} is not {'a list of names' if kind.is_list else 'a name'}")
    if kind.is_whole and any(not isinstance(item, int) for item in single):
        raise ValueError(
            f"{field.name} = {value!r} is not {'a list of whole numbers' if kind.is_list else 'a whole number'}"
        )


class _Kind(NamedTuple):
    """What a field's annotation allows, beside None."""

    is_list: bool
    is_flag: bool
    is_text: bool
    is_whole: bool


@functools.cache
def _kind(annotation: Any) -> _Kind:
    kinds = set(typing.get_args(annotation)) - {type(None)} if isinstance(annotation, UnionType) else {annotation}
    lists = [kind for kind in kinds if typing.get_origin(kind) is tuple]

    def holds(kind: type) -> bool:
        return kind in kinds or any(kind in typing.get_args(each) for each in lists)

    return _Kind(is_list=bool(lists), is_flag=bool in kinds, is_text=holds(str), is_whole=holds(int))


def allowed_range(rules: Mapping[str, Any]) -> str:
    """The interval a field allows, as mathematics writes it: `(0, 1]`."""
    left = f"[{rules['low']}" if rules["low"] is not None else f"({rules['above']}"
    return f"{left}, {rules['high']}]" if rules["high"] is not None else f"{left}, inf)"
