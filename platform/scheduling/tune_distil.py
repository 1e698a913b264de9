"""Dataset distillation as a Ray Tune trial. Imports Ray: import it only to distil."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import crossarch.platform.scheduling.ray_environment  # noqa: F401, before Ray

from ray import tune
from ray.tune.experiment import Trial

from crossarch.platform.scheduling.cluster import Cluster
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.trial import distil
from crossarch.platform.scheduling.tune import Interrupt, NotSnapshotted, fit, request
from crossarch.platform.scheduling.version_check import versions
from crossarch.platform.scheduling.workers import DIED, RETRIES
from crossarch.trainables.config.distiller import DistillConfig, distill_id
from crossarch.trainables.distillers.loop import DistillPoint


@dataclass(kw_only=True)
class Ended:
    """Outcome of a dataset distillation; the defaults if it was interrupted before it ended."""

    stored: bool = False
    error: str | None = None
    interrupted: bool = False


class Hearing(NotSnapshotted, tune.Callback):
    """Calls `on_point` for each point of the curve, and records how the distillation ended."""

    def __init__(self, on_point: Callable[[DistillPoint], None]) -> None:
        self.on_point = on_point
        self.ended = Ended()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Handles a point of the curve, or the end, reported by the worker."""
        if result.get("point"):
            self.on_point(DistillPoint(**result["point"]))
        self.ended.stored = bool(result.get("stored"))
        self.ended.error = result.get("failed")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Records the error after the last restart of the worker has failed."""
        self.ended.error = DIED


def drive(
    config: DistillConfig, name: str, cluster: Cluster, site: Site, on_point: Callable[[DistillPoint], None]
) -> Ended:
    """Distils `config` into the store under `name`, on one of the cluster's devices."""
    interrupt, hearing = Interrupt(), Hearing(on_point)
    spec = {
        **site.workplace,
        "gpu_share": cluster.demand.gpu_share,
        "versions": versions(),
        "config": config.to_dict(),
        "name": name,
    }
    trainable = tune.with_resources(distil, request(cluster.demand))
    fit(trainable, site, distill_id(config), hearing, interrupt, failures=RETRIES, param_space=spec)
    hearing.ended.interrupted = interrupt.asked
    return hearing.ended
