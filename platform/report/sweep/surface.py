"""A sweep's results as numbers: accuracy of one network at every point with every seed."""

from collections.abc import Mapping
from dataclasses import dataclass

from crossarch.platform.report.stats import Values
from crossarch.search_spaces.space import Domain, Point, Space
from crossarch.search_spaces.study import Study
from crossarch.search_spaces.sweep import Sweep
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """One network's accuracies, of points that finished with every one of the seeds."""

    network: str
    """Its label, and that of any other axis' choice."""
    sweep: Sweep
    seeds: tuple[int, ...]
    points: tuple[Point, ...]
    """The default first."""
    names: tuple[str, ...]
    """The labels of their arms."""
    values: Values
    """In %, points x seeds."""
    reference: tuple[float, ...] | None
    """Of the teaching network's baseline, in %, one a seed; None where it has not finished."""
    left_out: int
    """Points that lack the result of a seed, or diverged."""
    stopped: int = 0
    """Of these, points of which a run was stopped early."""

    @property
    def space(self) -> Space:
        """The sweep's."""
        return self.sweep.space

    @property
    def means(self) -> Values:
        """Over seeds, in %, (points,)."""
        means: Values = self.values.mean(axis=1)
        return means

    def drops(self) -> Values:
        """Points by which each is below the default, points x seeds."""
        drops: Values = self.values[0] - self.values
        return drops

    def along(self, domain: Domain) -> list[int]:
        """The places of the points that differ from the default in this domain at most, by its value."""
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
        """Whether points vary several domains at a time, as those of slices do not."""
        default = self.space.default
        return any(sum(point[name] != default[name] for name in default) > 1 for point in self.points)


def surfaces(sweep: Study, seeds: tuple[int, ...], results: Mapping[str, RunResult]) -> list[Surface]:
    """The surface of each cell in which the sweep's method was tried, where its default point has finished.

    Seeds are those with which the default finished. None for a study that is no sweep.
    """
    if not isinstance(sweep, Sweep):
        return []
    found: dict[tuple[str, ...], dict[str, dict[int, float]]] = {}
    base: dict[tuple[str, ...], dict[int, float]] = {}
    stopped: dict[tuple[str, ...], set[str]] = {}
    for plan in sweep.expand(seeds):
        result = results.get(run_id(plan.config))
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
    import numpy as np

    seeds = tuple(sorted(told.get(sweep.method.name, {})))
    if not seeds:
        return None
    labels = {arm.name: arm.label for arm in sweep.arms}
    names = [name for name in sweep.points if all(seed in told.get(name, {}) for seed in seeds)]
    return Surface(
        network=", ".join(cell),
        sweep=sweep,
        seeds=seeds,
        points=tuple(sweep.points[name] for name in names),
        names=tuple(labels[name] for name in names),
        values=np.array([[told[name][seed] for seed in seeds] for name in names], dtype=float),
        reference=tuple(base[seed] for seed in seeds) if all(seed in base for seed in seeds) else None,
        left_out=len(told) - len(names),
        stopped=stopped,
    )
