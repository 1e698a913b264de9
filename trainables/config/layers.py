"""Recipes as layers of plain mappings, which are merged and then validated once."""

import copy
from collections.abc import Mapping
from typing import Any

TAGS: Mapping[str, str] = {
    "data": "kind",
    "model": "architecture",
    "norm": "kind",
    "first_norm": "kind",
    "learning_rate": "schedule",
    "optimizer": "name",
}
"""Discriminator setting of a tagged union, by the part's name."""

NAMED = ("norm", "first_norm")
"""Parts that may be abbreviated to their tag: "batch" for {"kind": "batch"}."""


def merge_layers(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merges layers of changes into nested plain values; later layers take precedence. Values are not validated.

    Names may be dotted: `{"kd.alpha": 0.7}` equals `{"kd": {"alpha": 0.7}}`. A layer with a part's tag (`TAGS`)
    replaces the whole part; without the tag it is merged into the part key by key. None removes an optional part.

    Raises ValueError if a dotted name goes through a value that is not a part.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        _merge(merged, _nested(layer), "")
    return merged


def _nested(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Converts dotted names to nested mappings, independent of their order."""
    nested: dict[str, Any] = {}
    for name, value in sorted(layer.items(), key=lambda item: item[0].count(".")):
        *parents, last = name.split(".")
        here = nested
        for parent in parents:
            inner = here.setdefault(parent, {})
            if inner is None:
                raise ValueError(f"{name} is set, but {parent} = None in the same changes")
            if parent in NAMED and isinstance(inner, str):
                inner = here[parent] = {TAGS[parent]: inner}
            if not isinstance(inner, dict):
                raise ValueError(f"{name} is unknown: {parent} is not a part with settings of its own")
            here = inner
        _unite(here, {last: _nested(value) if isinstance(value, Mapping) else copy.copy(value)})
    return nested


def _unite(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Merges `more` into `into` key by key, in place. Both belong to the same layer, so tags do not replace parts."""
    for name, value in more.items():
        there = into.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            _unite(there, value)
        else:
            into[name] = value


def _merge(into: dict[str, Any], layer: Mapping[str, Any], where: str) -> None:
    for name, value in layer.items():
        there = into.get(name)
        if name in NAMED and isinstance(there, str) and isinstance(value, dict):
            there = into[name] = {TAGS[name]: there}
        if not isinstance(value, dict):
            into[name] = value
        elif isinstance(there, dict) and TAGS.get(name) not in value:
            _merge(there, value, f"{where}{name}.")
        elif there is None or isinstance(there, dict) or name in TAGS or not value:
            into[name] = copy.deepcopy(value)
        else:
            raise ValueError(f"{where}{name}.{next(iter(value))} is unknown: {where}{name} is not a part")
