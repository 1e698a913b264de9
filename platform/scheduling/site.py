"""Where a study is run and recorded."""

from dataclasses import dataclass, field
from pathlib import Path

from crossarch.platform.scheduling.demand import Demand
from crossarch.platform.store.storage import origin_of


@dataclass(frozen=True, kw_only=True)
class Site:
    """The folders and services of one invocation; paths are absolute."""

    root: Path
    """The storage folder: ledger, weights, checkpoints, distilled sets, caches. It may be a working copy."""
    tracking: str
    """MLflow's URI."""
    address: str | None = None
    """Ray's cluster; None for one of our own."""
    demand: Demand = field(default_factory=Demand)
    """What each run asks of a node."""
    grows_to: int = 0
    """Runs at a time once the cluster's autoscaler has started its nodes; 0 where it has none."""
    cohort: int = 1
    """Runs that a worker is given at a time, at most: several share a trial's cost, but are divided less evenly."""
    stop_early: float | None = None
    """Grace of the median stopping rule, in (0, 1), as a share of a run's epochs; None where no run is stopped."""
    data_root: Path | None = None
    """Folder in which real data sets already lie, in torchvision's form."""
    checkpoint_seconds: float = 30.0
    """At most so much work is lost when a worker, the driver or the machine dies."""

    @property
    def keeps_stopped(self) -> bool:
        """Whether runs that were stopped early stay so, rather than being trained in full."""
        return self.stop_early is not None

    @property
    def workplace(self) -> dict[str, str | float | None]:
        """What a worker must know, as plain values."""
        return {
            "root": str(self.root),
            "origin": origin_of(self.root),
            "data_root": str(self.data_root) if self.data_root else None,
            "checkpoint_seconds": self.checkpoint_seconds,
        }
