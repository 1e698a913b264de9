"""What users type, made into what the platform knows, or refused in one sentence."""

import dataclasses
import json
import re
import tempfile
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossarch.trainables.config import RunConfig

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    from crossarch.search_spaces.study import Study

_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""Numbers with a point, those included that JSON does not take: `.5`, `5.`, `+0.5`."""


class BadInputError(Exception):
    """Something a user gave is not allowed; the message names key, value and what is."""


class FailedError(Exception):
    """Something failed that the user's input is not to blame for; one sentence, after which a command exits with 1."""


class OtherVersionError(BadInputError, ValueError):
    """A file follows another schema than this version reads; one sentence that names the file and both."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turns the ValueErrors of code that checks users' input into BadInputError."""
    try:
        yield
    except ValueError as error:
        raise BadInputError(str(error)) from error
    except OverflowError as error:
        raise BadInputError(f"a number is too large: {error}") from error


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


def parse_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """`["kd.alpha=0.7"]` as `{"kd.alpha": 0.7}`: JSON values, `.5` and `5.` too, and plain words as strings.

    Raises BadInputError for any other form.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise BadInputError(f"{assignment!r} is not of the form key=value")
        if name in changes:
            raise BadInputError(f"{name} is given twice")
        try:
            changes[name] = json.loads(text)
        except json.JSONDecodeError:
            changes[name] = float(text) if _DECIMAL.fullmatch(text) else text
    return changes


def require_writable(folder: Path, option: str = "storage") -> Path:
    """The absolute path of `folder`, the value of `option`, which can be written to, or made.

    Nothing is left behind by the check. Raises BadInputError otherwise.
    """
    try:
        path = folder.expanduser().resolve()
        existing = next(parent for parent in (path, *path.parents) if parent.exists())
        if not existing.is_dir():
            raise BadInputError(f"{option} = {str(folder)!r} is not a folder: {str(existing)!r} is a file")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: an unknown user's home, or a link to itself
        reason = getattr(error, "strerror", None) or error
        raise BadInputError(f"{option} = {str(folder)!r} cannot be written to: {reason}") from error
    from crossarch.platform.record.origin import open_files
    from crossarch.platform.record.storage import origin_of

    if uri := origin_of(path):
        open_files(uri).check_writable()
    return path
