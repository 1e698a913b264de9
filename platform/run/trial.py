"""What a worker runs: a run or a distillation, in its own machine's working copy where the storage is elsewhere."""

from collections.abc import Mapping
from typing import Any

from crossarch.platform.record.storage import working_copy
from crossarch.trainables.trainable import distillable, trainable


def train(spec: Mapping[str, Any]) -> None:
    """`trainable`, with the storage at the URI `origin` of `spec`, if there is one."""
    trainable(*_here(spec))


def distil(spec: Mapping[str, Any]) -> None:
    """`distillable`, with the storage at the URI `origin` of `spec`, if there is one."""
    distillable(*_here(spec))


def _here(spec: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    if not spec.get("origin"):
        return spec, None
    copy = working_copy(spec["origin"])
    return {**spec, "root": str(copy.root)}, copy.origin
