"""Resolved recipe of a run: each setting with its value and source."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from crossarch.search_spaces.recipes import Arm
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.layers import merge_layers
from crossarch.trainables.config.run import flatten

DEFAULT = "default of the schema"


@dataclass(frozen=True, kw_only=True)
class ResolvedSetting:
    """Value of one setting of a run and its source."""

    name: str
    """Dotted name, `kd.alpha`."""
    value: Any
    source: str
    """`arm full`, `data = cifar10-frepo-ipc1`, `base` or DEFAULT; with the unscaled value if the budget changed it."""


class _Sourced(NamedTuple):
    value: Any
    source: str


def resolved_recipe(study: Study, arm: Arm, cell: tuple[str, ...], seed: int) -> list[ResolvedSetting]:
    """All settings of the run of `arm` in `cell`, in the schema's order, without its teacher's.

    Raises ValueError if the configuration is not allowed.
    """
    config = study.config(arm, cell, seed)
    layers = [(layer.source, layer.changes) for layer in study.layers(arm, cell)]
    layers += [(f"arm {arm.name}, exactly", arm.exact), ("seed", {"seed": seed})]
    known = dict(_flat(merge_layers(*(_with_source(merge_layers(changes), source) for source, changes in layers))))
    return [
        ResolvedSetting(name=name, value=value, source=_source(known.get(name), value, study.budget))
        for name, value in flatten(config)
    ]


def _source(given: _Sourced | None, value: Any, budget: float) -> str:
    if given is None:
        return DEFAULT
    if given.value == value or isinstance(value, tuple):
        return given.source
    return f"{given.source}: {given.value} at the budget {budget:g}"


def _with_source(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Attaches `source` to every leaf of nested values; None, which removes a part, stays None."""
    return {
        name: _with_source(value, source)
        if isinstance(value, Mapping)
        else value
        if value is None
        else _Sourced(value, source)
        for name, value in values.items()
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, _Sourced]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, _Sourced):
            yield f"{prefix}{name}", value
