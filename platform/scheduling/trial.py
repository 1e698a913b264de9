"""The functions that Tune's workers run: a cohort of runs or a dataset distillation.

With remote storage they use the working copy of their own machine.
"""

from collections.abc import Callable, Mapping
from typing import Any

import crossarch.platform.scheduling.ray_environment  # noqa: F401, before Ray

from ray import tune
from ray.util import get_node_ip_address

from crossarch.platform.scheduling.version_check import disagreement, versions
from crossarch.platform.store.storage import working_copy
from crossarch.trainables.tune import distillable, trainable


def train(spec: dict[str, Any]) -> None:
    """Trains a cohort of runs by `trainable`, in the working copy of the storage at the URI `spec["origin"]`, if any.

    Trains nothing if the versions on this node differ from the driver's, `spec["versions"]`, but reports `failed` with
    the reason: the node may have joined after the driver checked all nodes.
    """
    _work(trainable, spec)


def distil(spec: dict[str, Any]) -> None:
    """Distils a set by `distillable`; storage and versions as for `train`."""
    _work(distillable, spec)


def taken(spec: dict[str, Any]) -> dict[str, Any]:
    """Copies the trial's config and clears it in place: Tune sends it back with every result."""
    copy = dict(spec)
    spec.clear()
    return copy


def _work(work: Callable[..., None], spec: dict[str, Any]) -> None:
    spec = taken(spec)
    address: str = get_node_ip_address()  # type: ignore[no-untyped-call]
    fault = disagreement(spec["versions"], [(address, versions())])
    if fault:
        tune.report({"failed": fault, "quits": True})
    else:
        work(*_here(spec))


def _here(spec: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    if not spec.get("origin"):
        return spec, None
    copy = working_copy(spec["origin"])
    return {**spec, "root": str(copy.root)}, copy.origin
