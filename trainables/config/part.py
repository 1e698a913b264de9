"""Base of all parts of a configuration: frozen pydantic models with documented, bounded fields."""

import typing
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

LARGEST = 2**63 - 1
"""Upper bound of settings that declare only a lower bound: the largest integer in Parquet and pandas."""


def setting(
    meaning: str,
    *,
    source: str,
    default: Any = ...,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
) -> Any:
    """Declares a documented field.

    Args:
        meaning: What the setting is, in one line.
        source: Equation, section or appendix of the paper, "ours", or "notes".
        default: Default value; without one the setting is required.
        unit: Unit of the value, empty for pure numbers.
        low: Inclusive lower bound.
        high: Inclusive upper bound.
        above: Exclusive lower bound, in place of `low`.
    """
    extra: dict[str, Any] = {"source": source, "unit": unit}
    is_bounded = low is not None or above is not None
    most = LARGEST if high is None and is_bounded else high
    return Field(default, description=meaning, json_schema_extra=extra, ge=low, le=most, gt=above)


class Part(BaseModel):
    """Base of all parts of a configuration: frozen, strictly typed, without unknown keys, NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def forms(annotation: Any) -> tuple[type[Part], ...]:
    """The Part classes in a field's annotation: one, several for a tagged union, none for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return (annotation,)
    return tuple(form for argument in typing.get_args(annotation) for form in forms(argument))
