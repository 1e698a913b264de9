"""Sweeps: studies of one recipe at many points of a search space, one arm per point."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossarch.search_spaces.recipes import Arm, lengths
from crossarch.search_spaces.space import Point, Space, checked
from crossarch.search_spaces.study import Study

TIED = ("keep_rate.minimum", "keep_rate.decay", "phases.period")
"""Settings that determine S and N through `lengths`."""


def changes_at(space: Space, point: Point) -> dict[str, Any]:
    """Changes of a recipe at a point: the settings that differ from the defaults; also S and N if one of TIED differs.

    If alpha = 0, tau has no effect and keeps its default, so that such points give the same run.
    """
    values: dict[str, Any] = {name: point[domain.name] for domain in space.domains for name in domain.settings}
    own = {name: domain.default for domain in space.domains for name in domain.settings}
    changes = {name: value for name, value in values.items() if value != own[name]}
    if changes.get("kd.alpha") == 0:
        changes.pop("kd.temperature", None)
    if any(name in changes for name in TIED):
        minimum, decay, period = (values[name] for name in TIED)
        changes |= lengths(minimum, decay, int(period))
    return changes


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Adaptive sampler: chooses points by the validation accuracy of earlier ones, never by test accuracy."""

    name: str
    """Optuna's name in lower case: `tpe`."""
    seed: int
    count: int
    """Total number of points."""

    def __post_init__(self) -> None:
        """Raises ValueError if `count` is outside [1, 10000]."""
        checked(self.count)


@dataclass(frozen=True, kw_only=True)
class Alike:
    """Published claim that a hyperparameter has no effect on accuracy within [`low`, `high`]."""

    domain: str
    low: float
    high: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Sweep(Study):
    """Study whose last arms are one recipe at the points of a space, starting with the default point."""

    space: Space
    method: Arm
    """The recipe with default hyperparameters; also an arm of the study."""
    points: Mapping[str, Point]
    """Points by arm name, including `method`."""
    margin: float
    """Equivalence margin delta, in percentage points of accuracy."""
    alike: tuple[Alike, ...] = ()
    sampler: Sampler | None = None
    """Sampler of further points; None if all points are known."""

    def admits(self, arm: Arm, cell: tuple[str, ...]) -> bool:
        """As `Study.admits`, but always includes the teacher in the first arm, from which gaps are measured."""
        return (arm == self.arms[0] and cell[self.column] == self.teacher) or super().admits(arm, cell)

    def cells_of(self, arm: Arm) -> str:
        """Name of `method` for the arm of a point, else the arm's own name."""
        return self.method.name if arm.name in self.points else arm.name

    def at(self, point: Point) -> Arm:
        """The recipe at a point, with the name of `method`."""
        return self.method.changed(changes_at(self.space, point))

    def with_points(self, points: Mapping[str, tuple[str, Point]]) -> "Sweep":
        """The sweep with additional points: (label, point) by arm name."""
        new = [dataclasses.replace(self.at(point), name=name, label=label) for name, (label, point) in points.items()]
        known = dict(self.points) | {name: point for name, (_, point) in points.items()}
        return dataclasses.replace(self, arms=(*self.arms, *new), points=known)

    def smoke(self) -> "Sweep":
        """As `Study.smoke`, with two points chosen by the sampler."""
        small = super().smoke()
        assert isinstance(small, Sweep)  # noqa: S101, dataclasses.replace keeps the class
        return dataclasses.replace(small, sampler=small.sampler and dataclasses.replace(small.sampler, count=2))


def numbered(prefix: str, points: Sequence[Point], first: int = 1) -> dict[str, tuple[str, Point]]:
    """Names and labels points for `Sweep.with_points`: `lhs-01` with label `LHS 1`, numbered from `first`."""
    return {
        f"{prefix}-{number:02d}": (f"{prefix.upper()} {number}", point) for number, point in enumerate(points, first)
    }
