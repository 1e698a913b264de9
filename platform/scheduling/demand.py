"""The resources that one run requests, and whether a cluster's nodes can satisfy them. Independent of Ray."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_FIXED = ("cpu", "gpu")
"""Resources that --resources may not name: a run has one core, and its share of a GPU is `gpus_per_run`."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of the cluster, or a type of machine that its autoscaler would start: total resources and labels."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)
    count: float = 1
    """Number of such machines; infinite if an autoscaler has no limit."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """The resources that one run requests: one core, a share of a GPU, and others that Ray schedules by."""

    gpus: float | None = None
    """1/k of a GPU; 0 for none. None: a whole one if the cluster has any GPUs, else none (`on` decides)."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """Amounts of further Ray resources by name: `memory` in bytes, or custom resources of the cluster."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Ray's label selectors by label: `value`, `!value`, `in(a,b)`, `!in(a,b)`."""

    def on(self, nodes: Iterable[Node]) -> "Demand":
        """The demand with `gpus` decided: a whole GPU if any of `nodes` that the labels select has one, else none."""
        if self.gpus is not None:
            return self
        has_gpu = any(node.resources.get("GPU", 0) >= 1 for node in nodes if self._selects(node))
        return replace(self, gpus=1.0 if has_gpu else 0.0)

    @property
    def bundle(self) -> dict[str, float]:
        """The resources of Ray's placement group bundle, by Ray's names."""
        bundle = {"CPU": 1.0}
        if self.gpus:
            bundle["GPU"] = self.gpus
        return bundle | dict(self.resources)

    @property
    def gpu_share(self) -> float:
        """The share of a GPU's memory that a run may use, in (0, 1]: 1 if runs do not share GPUs."""
        return self.gpus or 1.0

    def sharing(self, share: float) -> "Demand":
        """The demand with another share of a GPU; unchanged if it requests none."""
        return replace(self, gpus=share) if self.gpus else self

    def slots(self, node: Node) -> float:
        """Number of concurrent runs on all machines of a `Node`; may be infinite, as its count."""
        if not self._selects(node):
            return 0
        runs_per_machine = min(_times(node.resources.get(name, 0.0), amount) for name, amount in self.bundle.items())
        if runs_per_machine == 0:
            return 0  # 0 times an infinite count is NaN
        return runs_per_machine * node.count

    def _selects(self, node: Node) -> bool:
        """Whether the node's labels satisfy all selectors."""
        return all(selects(selector, node.labels.get(name)) for name, selector in self.labels.items())

    def __str__(self) -> str:
        """`1 CPU, 0.25 GPU, label zone = a`."""
        return _listing(self.bundle, self.labels)


def _times(has: float, amount: float) -> int:
    """How often `amount` fits into `has`, up to rounding: three times 1/3 into 1."""
    return math.floor(has / amount + 1e-9)


def selects(selector: str, value: str | None) -> bool:
    """Whether Ray's `selector` selects a node with that value of the label; None if the node lacks the label."""
    wanted = selector.removeprefix("!")
    choices = wanted.removeprefix("in(").removesuffix(")").split(",") if wanted.startswith("in(") else [wanted]
    return (value in [choice.strip() for choice in choices]) != selector.startswith("!")


def _listing(resources: Mapping[str, float], labels: Mapping[str, str]) -> str:
    """`1 CPU, 0.25 GPU, label zone = a`."""
    parts = [f"{amount:.4g} {name}" for name, amount in resources.items()]
    parts += [f"label {name} = {value}" for name, value in labels.items()]
    return ", ".join(parts)


def unserved(demand: Demand, nodes: Iterable[Node]) -> str:
    """The end of a sentence that says what a run needs and what of it the nodes have.

    Nodes are grouped: `2 x (2 CPU, 0 GPU); 1 x (8 CPU, 1 GPU)`, with only the resources and labels that the demand
    names; `none` without nodes.
    """
    kinds: dict[str, float] = {}
    for node in nodes:
        has = {name: node.resources.get(name, 0.0) for name in demand.bundle}
        kind = _listing(has, {name: node.labels.get(name, "none") for name in demand.labels})
        kinds[kind] = kinds.get(kind, 0) + node.count
    listing = "; ".join(f"{count:g} x ({kind})" for kind, count in kinds.items()) or "none"
    return f"a run needs {demand}, and the nodes have {listing}"


def gpu_share(value: float) -> float:
    """A valid share of a GPU: 0, or 1/k for a whole k up to 64.

    It is rounded down to Ray's resolution of 1/10,000, so that k runs fit on a GPU. Raises ValueError for any other
    value: a GPU could not be filled with such shares.
    """
    if value == 0:
        return value
    if 1 / 65 < value <= 1:
        k = round(1 / value)
        if abs(value - 1 / k) < 1e-4:
            return math.floor(10_000 / k) / 10_000
    raise ValueError(f"gpus_per_run = {value:g} is neither 0 nor 1/k of a GPU: 1, 0.5, 0.25, 0.2 ... 0.0156")


def parse_resources(texts: Iterable[str]) -> dict[str, float]:
    """`["memory=4e9", "fast_disk=1"]` as `{"memory": 4e9, "fast_disk": 1.0}`.

    Raises ValueError for another form, an amount that is not above 0, a name given twice, and CPU and GPU.
    """
    amounts: dict[str, float] = {}
    for text in texts:
        name, value = _pair("resources", text)
        if name.lower() in _FIXED:
            raise ValueError(f"resources = {text!r}: a run has one CPU, and its part of a GPU is --gpus-per-run")
        if not _is_amount(value):
            raise ValueError(f"resources = {text!r}: the amount is not a number above 0")
        _add("resources", amounts, name, float(value))
    return amounts


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """`["zone=a"]` as `{"zone": "a"}`. Raises ValueError for another form, or a name given twice."""
    selectors: dict[str, str] = {}
    for text in texts:
        _add("labels", selectors, *_pair("labels", text))
    return selectors


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


def _add(option: str, values: dict[str, Any], name: str, value: Any) -> None:
    if name in values:
        raise ValueError(f"{option} = {name!r} is given twice")
    values[name] = value
