"""A sweep's results as arrays: the accuracy of one network at every point with every seed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crossarch.platform.report.stats import Values
from crossarch.search_spaces.space import Domain, Point, Space
from crossarch.search_spaces.study import Study
from crossarch.search_spaces.sweep import Sweep
from crossarch.trainables.config.result import RunResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """One network's accuracies at the points that have finished with every seed."""

    network: str
    """Its label, and those of the choices of other axes."""
    sweep: Sweep
    seeds: tuple[int, ...]
    points: tuple[Point, ...]
    """The default comes first."""
    names: tuple[str, ...]
    """The labels of their arms."""
    values: Values
    """Accuracies in %, (points, seeds)."""
    reference: tuple[float, ...] | None
    """Accuracies in % of the teaching network's baseline, one per seed; None if it has not finished with all."""
    left_out: int
    """Number of points that lack the result of a seed, or diverged."""
    stopped: int = 0
    """Number of points of which a run was stopped early; they are among those left out."""

    @property
    def space(self) -> Space:
        """The sweep's space."""
        return self.sweep.space

    @property
    def means(self) -> Values:
        """Mean accuracies over seeds in %, (points,)."""
        means: Values = self.values.mean(axis=1)
        return means

    def drops(self) -> Values:
        """Differences from the default in percentage points, positive if below it, (points, seeds)."""
        drops: Values = self.values[0] - self.values
        return drops

    def along(self, domain: Domain) -> list[int]:
        """Indices of the points that differ from the default at most in this domain, in the order of its values."""
        default = self.space.default
        same = [
            place
            for place, point in enumerate(self.points)
            if all(point[name] == default[name] for name in default if name != domain.name)
        ]
        unique = {self.points[place][domain.name]: place for place in reversed(same)}
        return [unique[value] for value in sorted(unique)]

    @property
    def covers(self) -> bool:
        """Whether points vary several domains at a time; points of slices do not."""
        default = self.space.default
        return any(sum(point[name] != default[name] for name in default) > 1 for point in self.points)


def surfaces(sweep: Study, seeds: tuple[int, ...], results: Mapping[str, RunResult]) -> list[Surface]:
    """The surface of each cell in which the sweep's method was tried and its default point has finished.

    A surface's seeds are those with which the default has finished. Empty for a study that is not a sweep.
    """
    if not isinstance(sweep, Sweep):
        return []
    found: dict[tuple[str, ...], dict[str, dict[int, float]]] = {}
    base: dict[tuple[str, ...], dict[int, float]] = {}
    stopped: dict[tuple[str, ...], set[str]] = {}
    for plan in sweep.expand(seeds):
        result = results.get(plan.run_id)
        accuracy = getattr(result, sweep.metric) if result and result.outcome == "finished" else None
        if plan.arm in sweep.points:
            told = found.setdefault(plan.cell, {}).setdefault(plan.arm, {})
        elif plan.arm == sweep.arms[0].name:
            told = base.setdefault(plan.cell, {})
        else:
            continue
        if accuracy is not None:
            told[plan.config.seed] = accuracy
        elif result and result.outcome == "stopped":
            stopped.setdefault(plan.cell, set()).add(plan.arm)
    made = (
        _surface(sweep, cell, told, base.get(sweep.teaching(cell), {}), len(stopped.get(cell, ())))
        for cell, told in found.items()
    )
    return [surface for surface in made if surface is not None]


def _surface(
    sweep: Sweep,
    cell: tuple[str, ...],
    told: Mapping[str, Mapping[int, float]],
    base: Mapping[int, float],
    stopped: int,
) -> Surface | None:
    seeds = tuple(sorted(told.get(sweep.method.name, {})))
    if not seeds:
        return None
    labels = {arm.name: arm.label for arm in sweep.arms}
    names = [name for name in sweep.points if all(seed in told.get(name, {}) for seed in seeds)]
    return Surface(
        network=", ".join(sweep.labels(cell)),
        sweep=sweep,
        seeds=seeds,
        points=tuple(sweep.points[name] for name in names),
        names=tuple(labels[name] for name in names),
        values=np.array([[told[name][seed] for seed in seeds] for name in names], dtype=float),
        reference=tuple(base[seed] for seed in seeds) if all(seed in base for seed in seeds) else None,
        left_out=len(told) - len(names),
        stopped=stopped,
    )
