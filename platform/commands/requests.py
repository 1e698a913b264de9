"""Plain values of a command line: which study (`Selection`), how to vary it (`SweepRequest`), and where to train it
(`Placement`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A study with its restrictions and form; `resolve.resolve` converts it to a Study and seeds."""

    study: str
    """The study's name, the name of one of its forms (`quickstart-smoke`), or its file."""
    only: Sequence[str] | None = None
    """Restrictions to some cells, each `axis=choice,choice`."""
    seeds: int | None = None
    """Number of seeds; None for the study's own seeds."""
    budget: float = 1.0
    """Factor on every epoch constant."""
    smoke: bool = False
    """Whether the study's smoke form is selected."""
    engine: str | None = None
    """Training loop of every run; None for the study's own."""
    storage: Path | None = None
    """Storage folder with distilled sets and results; None if neither is needed."""

    @property
    def root(self) -> Path:
        """The storage folder. Raises ValueError if `storage` is None."""
        if self.storage is None:
            raise ValueError(f"storage = None, but results of {self.study} are asked for")
        return self.storage


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """Arm of a study to be varied, and the points; None for the defaults of `arm_sweep`."""

    arm: str
    """The arm's name."""
    search: str | None = None
    """One of `SEARCHES`."""
    samples: int | None = None
    """Number of points."""
    vary: str | None = None
    """Comma-separated names of the varied hyperparameters."""
    distilled: str | None = None
    """For study `robustness`: the paper's distilled set to train on."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where runs are trained and recorded; `sites.make_site` converts it to a Site."""

    storage: Path
    """The storage folder."""
    tracking: str | None = None
    """MLflow tracking URI; None for a SQLite file in the storage."""
    address: str | None = None
    """Address of a running Ray cluster; None for a local one."""
    gpus_per_run: float | None = None
    """Share of a GPU per run; None for a whole GPU if there are any."""
    resources: Sequence[str] | None = None
    """Additional resources per run, each `name=amount`."""
    labels: Sequence[str] | None = None
    """Labels required of a run's node, each `name=value`."""
    grows_to: int | None = None
    """Concurrent runs after an autoscaler has added nodes; None without an autoscaler."""
    cohort: int = 1
    """Runs per cohort: the number that a worker receives at a time."""
    stop_early: float | None = None
    """Share of its epochs after which a poor run of a sweep may be stopped; None to stop none."""
    data_root: Path | None = None
    """Folder with real data sets that are already downloaded."""
