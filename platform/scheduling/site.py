"""Where a study is trained and recorded: storage, MLflow, cluster, and how runs are scheduled."""

from dataclasses import dataclass, field
from pathlib import Path

from crossarch.platform.scheduling.demand import Demand
from crossarch.platform.store.storage import origin_of


@dataclass(frozen=True, kw_only=True)
class Site:
    """The folders, services and scheduling options of one invocation. Paths are absolute."""

    root: Path
    """The storage folder: ledger, weights, checkpoints, distilled sets, caches. It may be a working copy."""
    tracking: str
    """MLflow's tracking URI."""
    address: str | None = None
    """Address of a Ray cluster; None starts a local one."""
    demand: Demand = field(default_factory=Demand)
    """The resources that each run requests."""
    grows_to: int = 0
    """Concurrent runs once the cluster's autoscaler has started all its nodes; 0 without an autoscaler."""
    cohort: int = 1
    """Maximum number of runs that a worker is given at a time; each is recorded as soon as it has ended.

    More than 1 pays if runs take less than a few seconds, as they share the driver's cost of a trial. Longer runs would
    only be divided less evenly among the workers.
    """
    stop_early: float | None = None
    """Grace of the median stopping rule, in (0, 1), as a share of a run's epochs; None disables early stopping."""
    data_root: Path | None = None
    """A folder that has real data sets already, in torchvision's layout."""
    checkpoint_seconds: float = 30.0
    """Interval of checkpoints: the most work in s that is lost when a worker, the driver or the machine dies."""

    @property
    def keeps_stopped(self) -> bool:
        """Whether runs that were stopped early are left so, rather than trained in full."""
        return self.stop_early is not None

    @property
    def workplace(self) -> dict[str, str | float | None]:
        """The part of the site that workers need, as plain values."""
        return {
            "root": str(self.root),
            "origin": origin_of(self.root),
            "data_root": str(self.data_root) if self.data_root else None,
            "checkpoint_seconds": self.checkpoint_seconds,
        }
