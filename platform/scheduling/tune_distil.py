"""Distils one set as a Ray Tune trial. Imports Ray: to be imported only where something is distilled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    """How a distillation ended: all as it is here where it was interrupted."""

    stored: bool = False
    error: str | None = None
    interrupted: bool = False


class Hearing(NotSnapshotted, tune.Callback):
    """Turns Tune's callbacks into `on_point`, and keeps how it ended."""

    def __init__(self, on_point: Callable[[DistillPoint], None]) -> None:
        self.on_point = on_point
        self.ended = Ended()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A point of the curve, or the end."""
        if result.get("point"):
            self.on_point(DistillPoint(**result["point"]))
        self.ended.stored = bool(result.get("stored"))
        self.ended.error = result.get("failed")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The worker has died too often."""
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
