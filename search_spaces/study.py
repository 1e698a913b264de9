"""A study: a question, the runs that answer it, and what is already published about it.

A study declares and nothing else: `expand` is pure and ordered, so that the file of a study *is* its table.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crossarch.search_spaces.budget import scale_epochs
from crossarch.trainables.config import RunConfig

Changes = Mapping[str, Any]
"""New values by dotted name, as `RunConfig.replace` takes them."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A training recipe: changes to the base configuration, and a row of the table."""

    name: str
    label: str
    changes: Changes
    residual_changes: Changes = field(default_factory=dict)
    """Further changes, for networks with residual blocks only."""
    teacher: "Arm | None" = None
    """The recipe of the network that teaches; None where the arm distils no knowledge."""
    for_teacher: bool = True
    """Whether the arm applies to the teacher's architecture: DropPath and distillation do not (Sec. 4.1)."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What varies beside the arm: the changes of each choice, by its label."""

    name: str
    choices: Mapping[str, Changes]


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """How a study shrinks to a minute or two: epochs, images and width, never an arm or a network."""

    budget: float
    changes: Changes
    seeds: int = 1


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One run of a study and the cell of the table it belongs to."""

    arm: str
    cell: tuple[str, ...]
    """The label of each axis' choice, in the order of the axes."""
    config: RunConfig
    teacher: "Planned | None" = None
    """The run it learns from, where its arm distils knowledge."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Arms x axes x seeds over one base configuration."""

    name: str
    question: str
    reference: str
    """Where the paper treats it."""
    base: RunConfig
    arms: tuple[Arm, ...]
    axes: tuple[Axis, ...]
    columns: str
    """The axis of networks, which becomes the table's columns; other axes join the arm in its rows."""
    teacher: str
    """The choice of that axis that teaches; its first arm is what gaps are measured from."""
    seeds: tuple[int, ...]
    smoke_form: Smoke
    metric: str = "test_accuracy"
    budget: float = 1.0
    """Factor on every epoch constant."""
    overrides: Changes = field(default_factory=dict)
    """Changes to every run, made after arm and axes and before the budget."""

    def __post_init__(self) -> None:
        """Raises ValueError where arms cannot be told apart, or columns or teacher do not exist."""
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"study {self.name}: two arms have one name in {', '.join(names)}")
        if self.columns not in [axis.name for axis in self.axes]:
            raise ValueError(f"study {self.name}: columns = {self.columns!r} is no axis")
        if self.teacher not in self.networks:
            raise ValueError(f"study {self.name}: teacher = {self.teacher!r} is not among {', '.join(self.networks)}")

    @property
    def networks(self) -> tuple[str, ...]:
        """The labels of the table's columns."""
        return tuple(next(axis.choices for axis in self.axes if axis.name == self.columns))

    @property
    def column(self) -> int:
        """The place of the network's label in a cell."""
        return [axis.name for axis in self.axes].index(self.columns)

    def expand(self, seeds: tuple[int, ...] | None = None) -> Iterator[Planned]:
        """Every run, arm by arm, cell by cell, seed by seed; cells to which an arm does not apply are absent."""
        for arm in self.arms:
            for cell in itertools.product(*(axis.choices for axis in self.axes)):
                if arm.for_teacher or cell[self.column] != self.teacher:
                    for seed in seeds or self.seeds:
                        yield self.planned(arm, cell, seed)

    def planned(self, arm: Arm, cell: tuple[str, ...], seed: int) -> Planned:
        """One run and, where its arm has one, its teacher."""
        config = self.config(arm, cell, seed)
        teacher = self.planned(arm.teacher, self.teaching(cell), seed) if arm.teacher else None
        return Planned(arm=arm.name, cell=cell, config=config, teacher=teacher)

    def teaching(self, cell: tuple[str, ...]) -> tuple[str, ...]:
        """The cell of the network that teaches `cell`."""
        return tuple(
            self.teacher if axis.name == self.columns else choice for axis, choice in zip(self.axes, cell, strict=True)
        )

    def config(self, arm: Arm, cell: tuple[str, ...], seed: int) -> RunConfig:
        """The configuration of one arm in one cell with one seed. Raises ValueError where it is not allowed."""
        varied: dict[str, Any] = {}
        for axis, choice in zip(self.axes, cell, strict=True):
            varied |= axis.choices[choice]
        architecture = varied.get("model.architecture", self.base.model.architecture)
        changes = {"seed": seed, **arm.changes}
        if str(architecture).startswith("resnet"):  # what is no name is refused with the rest
            changes |= {"model.shortcut": "original", **arm.residual_changes}
        changes |= {**varied, **self.overrides}
        if arm.teacher is None:
            return scale_epochs(self.base.replace(changes), self.budget)
        own = {name: value for name, value in changes.items() if name.partition(".")[0] != "kd"}
        distillation = {name: value for name, value in changes.items() if name not in own}
        student = scale_epochs(self.base.replace(own), self.budget)
        try:
            teacher = self.config(arm.teacher, self.teaching(cell), seed)
        except ValueError as error:
            raise ValueError(f"kd.teacher.{error}") from error
        return student.replace(distillation | {"kd.teacher": teacher.to_dict()})

    def scaled(self, budget: float) -> "Study":
        """The study with every epoch constant times `budget`, under the name `<study>-budget-<budget>`.

        Raises ValueError where `budget` is not a positive number.
        """
        if not 0 < budget < math.inf:
            raise ValueError(f"budget = {budget:g} is outside (0, inf)")
        if budget == 1:
            return self
        return dataclasses.replace(self, name=f"{self.name}-budget-{budget:g}", budget=self.budget * budget)

    def smoke(self) -> "Study":
        """The study as its smoke form shrinks it, under the name `<study>-smoke`."""
        form = self.smoke_form
        return dataclasses.replace(
            self,
            name=f"{self.name}-smoke",
            budget=self.budget * form.budget,
            overrides={**self.overrides, **form.changes},
            seeds=self.seeds[: form.seeds],
        )
