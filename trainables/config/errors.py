"""Converts pydantic's validation errors to one sentence: key, value and allowed values."""

import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from crossarch.trainables.config.layers import TAGS
from crossarch.trainables.config.part import LARGEST, Part, forms

KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a name",
    "bool_type": "true or false",
    "tuple_type": "a list",
}
"""Expected kind of value by pydantic's error type."""

OUT_OF_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")


def sentence(error: ValidationError, root: type[Part]) -> str:
    """One sentence for the first error in a `root`; unknown names take precedence.

    A misspelt setting often causes a second error, as the right name is missing.
    """
    first = min(error.errors(), key=lambda each: (each["type"] != "extra_forbidden", len(each["loc"])))
    where = _locate(first["loc"], root)
    key, field = where.key, where.field
    value, kind = first["input"], first["type"]
    if kind == "value_error":  # raised by a part; the message begins with the setting's name within the part
        message = str(first["ctx"]["error"])
        return f"{key}.{message}" if key else message
    if not first["loc"]:
        return f"{value!r} is not a configuration"
    if kind == "extra_forbidden":
        return f"{key} is unknown{where.other_forms()}; known here: {', '.join(sorted(where.part.model_fields))}"
    if kind == "missing":
        return f"{key} is missing, but a run needs it"
    if field is None:
        return f"{key} = {value!r}: {first['msg'].lower()}"
    if kind.startswith("union_tag"):
        return _tag_sentence(key, value, field)
    if kind == "literal_error":
        return f"{key} = {value!r} is not one of {', '.join(_literals(field.annotation))}"
    return f"{key} = {value!r}{_complaint(kind, value, field) or ': ' + first['msg'].lower()}"


def _complaint(kind: str, value: Any, field: FieldInfo) -> str:
    """End of the sentence on a field's invalid value; empty if only pydantic's message is available."""
    if value is None:
        return ", but a run needs it"
    if kind in ("model_type", "model_attributes_type"):
        return " is not allowed: it has settings of its own, by name"
    interval = interval_of(field)
    if kind == "less_than_equal" and interval.endswith("inf)"):
        return " is too large"
    if kind in OUT_OF_BOUNDS and interval:
        return f" is outside {interval}"
    if kind not in KINDS:
        return ""
    return f" is not {KINDS[kind]} in {interval}" if interval and "number" in KINDS[kind] else f" is not {KINDS[kind]}"


def _tag_sentence(key: str, value: Any, field: FieldInfo) -> str:
    """Sentence for a part that matches none of its union's forms."""
    tag = TAGS[key.rpartition(".")[2]]
    if value is None:
        return f"{key} = None, but a run needs it"
    if not isinstance(value, Mapping):
        return f"{key} = {value!r} is not allowed: it has settings of its own, by name"
    known = ", ".join(name for form in forms(field.annotation) for name in _tag_values(form, tag))
    if value.get(tag) is None:
        return f"{key}.{tag} is missing, but a run needs it: one of {known}"
    return f"{key}.{tag} = {value[tag]!r} is not one of {known}"


def _tag_values(form: type[Part], tag: str) -> list[str]:
    """Allowed values of a form's tag, or its description if they are not literals."""
    field = form.model_fields[tag]
    return _literals(field.annotation) or [str(field.description)]


class _Location(NamedTuple):
    """Location of an error in a configuration."""

    key: str
    """Dotted name, without list indices and pydantic's names of union forms."""
    part: type[Part]
    """The part that contains the setting."""
    field: FieldInfo | None
    """The field; None for an unknown setting."""
    forms: tuple[type[Part], ...]
    """All forms of the part's union; empty if the part is not in a union."""

    def other_forms(self) -> str:
        """Text that names the forms of the union that have the setting; empty if none has."""
        part, _, name = self.key.rpartition(".")
        tag = TAGS.get(part.rpartition(".")[2], "")
        having = [value for form in self.forms if name in form.model_fields for value in _tag_values(form, tag)]
        return f" here, but not where {part}.{tag} is {' or '.join(having)}" if having else ""


def _locate(loc: tuple[int | str, ...], root: type[Part]) -> _Location:
    key: list[str] = []
    part, field = root, None
    of_union: dict[str, type[Part]] = {}
    union: tuple[type[Part], ...] = ()
    for step in loc:
        if isinstance(step, int):
            continue
        if step in of_union:
            part, union, of_union = of_union[step], tuple(dict.fromkeys(of_union.values())), {}
            continue
        field = part.model_fields.get(step)
        key.append(step)
        inner = forms(field.annotation) if field is not None else ()
        if len(inner) == 1:
            part, union = inner[0], ()
        elif inner:
            of_union = {name: form for form in inner for name in (form.__name__, *_tag_values(form, TAGS[step]))}
    return _Location(".".join(key), part, field, union)


def _literals(annotation: Any) -> list[str]:
    """Values of all Literals in an annotation."""
    if typing.get_origin(annotation) is Literal:
        return [str(value) for value in typing.get_args(annotation)]
    return [value for argument in typing.get_args(annotation) for value in _literals(argument)]


def interval_of(field: FieldInfo) -> str:
    """Allowed interval of a field in mathematical notation, `(0, 1]`; empty without a lower bound."""
    bounds: dict[str, Any] = {}
    for rule in _rules(field):
        bounds |= {name: getattr(rule, name) for name in ("ge", "gt", "le") if getattr(rule, name, None) is not None}
    if "ge" not in bounds and "gt" not in bounds:
        return ""
    left = f"[{bounds['ge']}" if "ge" in bounds else f"({bounds['gt']}"
    return f"{left}, {bounds['le']}]" if bounds.get("le", LARGEST) != LARGEST else f"{left}, inf)"


def _rules(field: FieldInfo) -> Iterator[Any]:
    """Yields the bounds of a field's value or of its list entries."""
    yield from field.metadata
    for entry in typing.get_args(field.annotation):
        for rule in typing.get_args(entry)[1:]:
            if isinstance(rule, FieldInfo):
                yield from rule.metadata
