"""What a worker runs: a cohort or a distillation, in its machine's own working copy where the storage is elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any

from crossarch.platform.scheduling.version_check import disagreement, versions
from crossarch.platform.store.storage import working_copy
from crossarch.trainables.tune import distillable, trainable


def train(spec: dict[str, Any]) -> None:
    """`trainable`, with the storage at the URI `origin` of `spec`, if there is one.

    Where the versions here are not the driver's, `versions` of `spec`, as on a node that joined late, it only reports
    as `failed` why.
    """
    _work(trainable, spec)


def distil(spec: dict[str, Any]) -> None:
    """`distillable`, as `train` is `trainable`."""
    _work(distillable, spec)


def taken(spec: dict[str, Any]) -> dict[str, Any]:
    """What `spec` holds, which is empty from now on: Tune sends it back with every report, where nobody reads it."""
    held = dict(spec)
    spec.clear()
    return held


def _work(work: Callable[..., None], spec: dict[str, Any]) -> None:
    from ray import tune
    from ray.util import get_node_ip_address

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
