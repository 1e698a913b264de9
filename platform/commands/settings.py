"""Parses `key=value` settings of a command line."""

import json
import re
from collections.abc import Sequence
from typing import Any

from crossarch.platform.errors import BadInputError

_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""Numbers with a decimal point, including forms that are not JSON: `.5`, `5.`, `+0.5`."""


def parse_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """Parses `["kd.alpha=0.7"]` to `{"kd.alpha": 0.7}`: JSON values, numbers like `.5` and `5.`, and words as strings.

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
