"""What one run asks of a node, and whether the nodes that there are can give it. Pure: knows nothing of Ray."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_FIXED = ("cpu", "gpu")
"""Resources that are no hint: a run has one core, and its share of a GPU is `gpus_per_run`."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine of the cluster, or the kind that an autoscaler would start: what it has in all, and its labels."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)
    count: float = 1
    """How many of them there are; infinite where an autoscaler knows no limit."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one run asks for: a core, a share of a GPU, and whatever else Ray schedules by."""

    gpus: float | None = None
    """1/k of a GPU; None is a whole one where there are any, 0 none at all."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """Further resources of Ray's by name, as `memory` in bytes or a name of the cluster's own."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Ray's label selectors: `value`, `!value`, `in(a,b)`, `!in(a,b)`."""

    def on(self, nodes: Iterable[Node]) -> "Demand":
        """The same with its GPUs decided: a whole one where any of `nodes` that its labels allow has one."""
        if self.gpus is not None:
            return self
        there = any(node.resources.get("GPU", 0) >= 1 for node in nodes if self._chooses(node))
        return replace(self, gpus=1.0 if there else 0.0)

    @property
    def bundle(self) -> dict[str, float]:
        """By Ray's names."""
        return {"CPU": 1.0, **({"GPU": self.gpus} if self.gpus else {}), **self.resources}

    @property
    def gpu_share(self) -> float:
        """The part of a GPU's memory that a run may take: all of it where runs do not share one."""
        return self.gpus or 1.0

    def sharing(self, share: float) -> "Demand":
        """The same with such a share of a GPU; as it is where it asks for none."""
        return replace(self, gpus=share) if self.gpus else self

    def slots(self, node: Node) -> float:
        """Runs at a time on such nodes."""
        if not self._chooses(node):
            return 0
        each = min(_times(node.resources.get(name, 0.0), amount) for name, amount in self.bundle.items())
        return each and each * node.count

    def _chooses(self, node: Node) -> bool:
        return all(selects(selector, node.labels.get(name)) for name, selector in self.labels.items())

    def __str__(self) -> str:
        """`1 CPU, 0.25 GPU, label zone = a`."""
        return _listing(self.bundle, self.labels)


def _times(has: float, amount: float) -> int:
    return math.floor(has / amount + 1e-9)


def selects(selector: str, value: str | None) -> bool:
    """Whether a node with that label is chosen by Ray's `selector`; `value` is None where it lacks the label."""
    wanted = selector.removeprefix("!")
    choices = wanted.removeprefix("in(").removesuffix(")").split(",") if wanted.startswith("in(") else [wanted]
    return (value in [choice.strip() for choice in choices]) != selector.startswith("!")


def _listing(resources: Mapping[str, float], labels: Mapping[str, str]) -> str:
    amounts = [f"{amount:.4g} {name}" for name, amount in resources.items()]
    return ", ".join([*amounts, *(f"label {name} = {value}" for name, value in labels.items())])


def unserved(demand: Demand, nodes: Iterable[Node]) -> str:
    """What a run needs and what of it the nodes have, `2 x (2 CPU, 0 GPU); 1 x (8 CPU, 1 GPU)`, to end a sentence."""
    kinds: dict[str, float] = {}
    for node in nodes:
        has = {name: node.resources.get(name, 0.0) for name in demand.bundle}
        kind = _listing(has, {name: node.labels.get(name, "none") for name in demand.labels})
        kinds[kind] = kinds.get(kind, 0) + node.count
    there = "; ".join(f"{count:g} x ({kind})" for kind, count in kinds.items()) or "none"
    return f"a run needs {demand}, and the nodes have {there}"


def gpu_share(value: float) -> float:
    """`value` where it is 0 or 1/k for a whole k up to 64, rounded down to Ray's ten-thousandths so that k fit.

    Raises ValueError otherwise: with any other fraction a GPU is never full.
    """
    k = round(1 / value) if 1 / 65 < value <= 1 else 0
    if value == 0 or (k and abs(value - 1 / k) < 1e-4):
        return value and math.floor(10_000 / k) / 10_000
    raise ValueError(f"gpus_per_run = {value:g} is neither 0 nor 1/k of a GPU: 1, 0.5, 0.25, 0.2 ... 0.0156")


def parse_resources(texts: Iterable[str]) -> dict[str, float]:
    """`["memory=4e9", "fast_disk=1"]` as `{"memory": 4e9, "fast_disk": 1.0}`.

    Raises ValueError for another form, an amount that is not above 0, a name given twice, and CPU and GPU.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, value = _pair("resources", text)
        if name.lower() in _FIXED:
            raise ValueError(f"resources = {text!r}: a run has one CPU, and its part of a GPU is --gpus-per-run")
        if not _is_amount(value):
            raise ValueError(f"resources = {text!r}: the amount is not a number above 0")
        _add("resources", found, name, float(value))
    return found


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """`["zone=a"]` as `{"zone": "a"}`. Raises ValueError for another form, or a name given twice."""
    found: dict[str, str] = {}
    for text in texts:
        _add("labels", found, *_pair("labels", text))
    return found


def _pair(option: str, text: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in text.partition("="))
    if not name or not value:
        raise ValueError(f"{option} = {text!r} is not of the form name=value")
    return name, value


def _is_amount(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _add(option: str, found: dict[str, Any], name: str, value: Any) -> None:
    if name in found:
        raise ValueError(f"{option} = {name!r} is given twice")
    found[name] = value
