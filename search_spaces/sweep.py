"""A study of one recipe at many points of a space: its arms are the points."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossarch.search_spaces.recipes import KD_CHANGES, Arm, lengths
from crossarch.search_spaces.space import Point, Space, checked
from crossarch.search_spaces.study import Study


def changes_at(space: Space, point: Point) -> dict[str, Any]:
    """What a point changes in a recipe with DropPath and distillation, S and N included.

    Where alpha = 0, tau has no effect and keeps its default: such points are one run.
    """
    changes: dict[str, Any] = {name: point[domain.name] for domain in space.domains for name in domain.settings}
    if not changes["kd.alpha"]:
        changes["kd.temperature"] = KD_CHANGES["kd.temperature"]
    period = int(changes["phases.period"])
    return changes | lengths(changes["keep_rate.minimum"], changes["keep_rate.decay"], period)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Chooses points one after another by the validation accuracy of those before, never by the test's."""

    name: str
    """As Optuna names it, in small letters: `tpe`."""
    seed: int
    count: int
    """Points in all."""

    def __post_init__(self) -> None:
        """Raises ValueError for a count outside [1, 10000]."""
        checked(self.count)


@dataclass(frozen=True, kw_only=True)
class Alike:
    """A published statement: within these bounds a hyperparameter does not matter."""

    domain: str
    low: float
    high: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Sweep(Study):
    """A study whose last arms are one recipe at the points of a space, the default point first."""

    space: Space
    method: Arm
    """The recipe, with its hyperparameters at their defaults: an arm of the study, too."""
    points: Mapping[str, Point]
    """By the name of their arm, that of `method` included."""
    margin: float
    """delta, in points of accuracy: what is less is called no difference."""
    alike: tuple[Alike, ...] = ()
    sampler: Sampler | None = None
    """What chooses further points as results come in; None where all are known."""

    def admits(self, arm: Arm, cell: tuple[str, ...]) -> bool:
        """Also the first arm of the network that teaches: all else is measured from it."""
        return (arm == self.arms[0] and cell[self.column] == self.teacher) or super().admits(arm, cell)

    def with_points(self, points: Mapping[str, tuple[str, Point]]) -> "Sweep":
        """The sweep with further points, each with its label, by the names of their arms."""
        new = [
            dataclasses.replace(self.method.changed(changes_at(self.space, point)), name=name, label=label)
            for name, (label, point) in points.items()
        ]
        known = dict(self.points) | {name: point for name, (_, point) in points.items()}
        return dataclasses.replace(self, arms=(*self.arms, *new), points=known)

    def smoke(self) -> "Sweep":
        """As a study's; a sampler chooses two points."""
        small = super().smoke()
        assert isinstance(small, Sweep)  # noqa: S101, dataclasses.replace keeps the class
        return dataclasses.replace(small, sampler=small.sampler and dataclasses.replace(small.sampler, count=2))


def numbered(prefix: str, points: Sequence[Point], first: int = 1) -> dict[str, tuple[str, Point]]:
    """Points by name, `lhs-01` with the label `LHS 1`, for `Sweep.with_points`."""
    return {
        f"{prefix}-{number:02d}": (f"{prefix.upper()} {number}", point) for number, point in enumerate(points, first)
    }
