"""Studies: a question, the runs that answer it, and published results for comparison.

A study is purely declarative. `Study.expand` is pure and yields the runs in a fixed order.
"""

import dataclasses
import itertools
import math
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

from crossarch.search_spaces.recipes import Arm, Changes
from crossarch.trainables.config.distiller import DistillConfig
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.layers import merge_layers
from crossarch.trainables.config.run import (
    CosineRate,
    DistilledData,
    LearningRateConfig,
    PeriodicRate,
    RealData,
    RunConfig,
    StepRate,
    from_dict,
)


def scale_epochs(config: RunConfig, budget: float) -> RunConfig:
    """Scales the epoch constants of `config` by `budget`, keeping the shape of its schedules.

    With phases, the period T is scaled first and rounded to whole epochs, at least 1. W, S, N and the learning rate's
    constants are then scaled by the rounded ratio of the periods, T_warm to at least 1 epoch and T_max to at least 2.
    Without phases, N is scaled and rounded, and the learning rate's constants by the rounded ratio. The teacher is left
    unchanged: it is a separate run.

    Raises ValueError if `budget` is not positive.
    """
    if not budget > 0:
        raise ValueError(f"budget = {budget:g} is outside (0, inf)")
    if config.phases is None:
        shortest = 2 if isinstance(config.learning_rate, CosineRate) and config.learning_rate.warmup else 1
        epochs = max(shortest, round(config.epochs * budget))
        ratio = Fraction(epochs, config.epochs)
        return config.replace({"epochs": epochs, "learning_rate": _scaled_rate(config.learning_rate, ratio)})
    period = max(1, round(config.phases.period * budget))
    ratio = Fraction(period, config.phases.period)
    phases = {
        "period": period,
        "warmup": round(config.phases.warmup * ratio),
        "stabilization": round(config.phases.stabilization * ratio),
    }
    rate = _scaled_rate(config.learning_rate, ratio)
    return config.replace({"phases": phases, "epochs": round(config.epochs * ratio), "learning_rate": rate})


def _scaled_rate(rate: LearningRateConfig, ratio: Fraction) -> dict[str, Any]:
    """Plain values of a learning rate with its epoch constants multiplied by `ratio`, rounded, at least 1."""
    match rate:
        case PeriodicRate():
            epochs = {
                "warmup": max(1, round(rate.warmup * ratio)),
                "cosine_period": max(2, round(rate.cosine_period * ratio)),
            }
        case CosineRate():
            epochs = {"warmup": max(1, round(rate.warmup * ratio)) if rate.warmup else 0}
        case StepRate():
            epochs = {"milestone": max(1, round(rate.milestone * ratio))}
    return rate.model_dump() | epochs


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Line chart of a study: maps choices of one axis, or arms, to points in panels.

    Every axis other than `axis` and the network axis must have exactly one choice.
    """

    reference: str
    """The paper's figure, `Figure 4`."""
    axis: str
    """The axis whose choices are the points, or `arm` if the arms are."""
    points: Mapping[str, tuple[tuple[str, float], ...]]
    """(panel, x) pairs by choice, or by arm name."""
    quantity: str | None = None
    """Label of the horizontal axis; None for the panel's name."""
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Networks shown, by panel; a panel without an entry shows all."""
    arms: tuple[str, ...] = ()
    """Names of the arms drawn as lines, one line per network; ignored if `axis` is `arm`."""
    levels: tuple[str, ...] = ()
    """Names of arms drawn as horizontal lines at the teacher network's accuracy; only if `axis` is `arm`."""
    log: bool = False
    """Whether the horizontal axis is logarithmic."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One accuracy printed in the paper. The gaps printed in brackets are not stored: a few of them are wrong."""

    table: int
    dataset: str
    distiller: str
    images_per_class: int
    method: str
    """The paper's row label."""
    network: str
    """The network's label in studies."""
    accuracy: float
    """In %."""
    std: float | None
    """Standard deviation over three seeds, in percentage points; None if the paper gives none."""


Place = tuple[str, tuple[str, ...]]
"""Arm name and cell; a cell is the tuple of choice ids in the order of the study's axes."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim that one place has a higher mean accuracy over seeds than another."""

    sentence: str
    higher: Place
    """The place that is claimed to have the higher accuracy."""
    lower: Place


def labels_of(arms: Iterable[Arm]) -> dict[str, str]:
    """Labels of `arms` and of their teachers' recipes, by name; if names collide, the label of `arms` is kept."""
    arms = tuple(arms)
    if not arms:
        return {}
    return labels_of(arm.teacher for arm in arms if arm.teacher) | {arm.name: arm.label for arm in arms}


OPTIONAL = ("phases", "keep_rate", "kd")
"""Parts that a recipe may leave out."""


def applicable(changes: Changes, values: Mapping[str, Any]) -> Changes:
    """Drops the changes to settings of optional parts (OPTIONAL) that the recipe `values` does not have.

    A change of a whole optional part, also to None, is always kept. Raises ValueError for a change to `kd` or
    `kd.teacher`: the arm determines the teacher.
    """
    for name in changes:
        if name in ("kd", "kd.teacher") or name.startswith("kd.teacher."):
            raise ValueError(f"{name} cannot be varied by axis or override: the arm names its teacher")
    absent = {part for part in OPTIONAL if changes.get(part, values.get(part)) is None}
    return {name: value for name, value in changes.items() if name in OPTIONAL or name.partition(".")[0] not in absent}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One factor of a study besides the arm: the changes of each choice, by choice id."""

    name: str
    choices: Mapping[str, Changes]
    labels: Mapping[str, str] = field(default_factory=dict)
    """Display labels by choice id; a choice without a label is shown by its id."""
    by_architecture: Mapping[str, Mapping[str, Changes]] = field(default_factory=dict)
    """Additional changes by choice id and architecture."""
    beneath_arms: bool = False
    """Whether the choice's changes are applied before the arm's, which then take precedence; else after them."""

    def __post_init__(self) -> None:
        """Raises ValueError if `labels` or `by_architecture` has an unknown choice."""
        for name, choices in (("labels", self.labels), ("by_architecture", self.by_architecture)):
            for choice in choices:
                if choice not in self.choices:
                    raise ValueError(f"axis {self.name}: {name} has {choice!r}, which is no choice")

    def label(self, choice: str) -> str:
        """Display label of a choice."""
        return self.labels.get(choice, choice)

    def layers(self, choice: str, architecture: str) -> "list[Layer]":
        """Layers of `choice` for a network of `architecture`."""
        source = f"{self.name} = {choice}"
        further = self.by_architecture.get(choice, {}).get(architecture, {})
        return [Layer(source=source, changes=self.choices[choice]), Layer(source=source, changes=further)]


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """Smoke form of a study, which takes seconds: fewer epochs, images and data sets, narrower networks."""

    budget: float
    changes: Changes
    seeds: int = 1
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sparing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Arm names by network label: the only arms in which an expensive network is trained."""
    note: str = ""
    """Remark appended to the study's reference."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study: id, coordinates, configuration and teacher."""

    run_id: str
    coordinates: Mapping[str, str]
    """The arm's name under `arm`, then the choice id under each axis name, in the study's order."""
    config: RunConfig
    teacher: "PlannedRun | None" = None
    """The teacher's run, if the arm uses knowledge distillation."""

    @property
    def arm(self) -> str:
        """The arm's name."""
        return self.coordinates["arm"]

    @property
    def cell(self) -> tuple[str, ...]:
        """Choice ids in the order of the axes."""
        return tuple(choice for axis, choice in self.coordinates.items() if axis != "arm")

    @property
    def is_bound(self) -> bool:
        """Whether its data are known: real images, or a distilled set with a SHA-256 from a store."""
        return isinstance(self.config.data, RealData) or self.config.data.sha256 is not None

    def reseeded(self, seed: int) -> "PlannedRun":
        """The run with another seed, also for its teacher."""
        return dataclasses.replace(
            self,
            run_id=f"{self.run_id.rpartition('-s')[0]}-s{seed}",
            config=self.config.reseeded(seed),
            teacher=self.teacher.reseeded(seed) if self.teacher else None,
        )


def teachers_of(runs: Iterable[PlannedRun]) -> dict[str, PlannedRun]:
    """The teachers of `runs`, and their teachers in turn, by run id, in the order of `runs`."""
    teachers: dict[str, PlannedRun] = {}
    for run in runs:
        teacher = run.teacher
        while teacher is not None and teacher.run_id not in teachers:
            teachers[teacher.run_id] = teacher
            teacher = teacher.teacher
    return teachers


def each_once(runs: Iterable[PlannedRun]) -> tuple[dict[str, PlannedRun], dict[str, PlannedRun]]:
    """Removes duplicate runs.

    Returns:
        `runs` by run id (the first of equal ones), and the teachers that are not among `runs`, by run id.
    """
    cells: dict[str, PlannedRun] = {}
    for run in runs:
        cells.setdefault(run.run_id, run)
    return cells, {name: run for name, run in teachers_of(cells.values()).items() if name not in cells}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Changes to a recipe and their source."""

    source: str
    """Text such as `arm full` or `architecture = ResNet18`."""
    changes: Changes


@dataclass(frozen=True, kw_only=True)
class Study:
    """Factorial design: arms x axes x seeds over one base configuration."""

    name: str
    question: str
    reference: str
    """The paper's table, figure or section."""
    base: Changes
    """Changes common to all runs, without `model.architecture`, which the network axis sets in an earlier layer."""
    arms: tuple[Arm, ...]
    axes: tuple[Axis, ...]
    columns: str
    """Name of the network axis, which forms the columns of the table; arm and other axes form its rows."""
    teacher: str
    """The teacher's choice on the network axis; gaps are measured from its accuracy in the first arm."""
    seeds: tuple[int, ...]
    smoke_form: Smoke
    metric: Literal["test_accuracy", "validation_accuracy"] = "test_accuracy"
    budget: float = 1.0
    """Factor on every epoch constant."""
    overrides: Changes = field(default_factory=dict)
    """Changes to every run, applied after arm and axes and before the budget."""
    published: Mapping[Place, Published] = field(default_factory=dict)
    """The paper's accuracies by arm name and cell."""
    keeps_weights: bool = False
    """Whether the final weights of every run are kept; those of teachers always are."""
    profile: str = "paper"
    """Name of the `Profile` that the arms belong to."""
    cells: tuple[Place, ...] | None = None
    """Arm names and cells to which the study is limited; None for all to which an arm applies."""
    chart: Chart | None = None
    """Line chart shown in the report, if any."""
    bindings: Mapping[str, Changes] = field(default_factory=dict)
    """Changes from the manifests of stored distilled sets (digest, whitening, label temperature), by set name."""
    distils: Mapping[str, DistillConfig] = field(default_factory=dict)
    """Configurations of the distilled sets that the study creates itself, by set name."""
    claims: tuple[Claim, ...] = ()
    """Claims to be tested, declared in advance."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Restriction to some choices, by axis name or `arm`."""
    most_runs: int = 10_000
    """Safety limit on the number of runs; raise it to allow larger studies."""

    def __post_init__(self) -> None:
        """Raises ValueError for missing or repeated arms or seeds, invalid axes, and unknown networks or choices."""
        names = [arm.name for arm in self.arms]
        if not names:
            raise ValueError(f"study {self.name}: arms = () has none")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"study {self.name}: seeds = {self.seeds} are not one or more different numbers")
        if len(set(names)) != len(names):
            raise ValueError(f"study {self.name}: two arms have one name in {', '.join(names)}")
        if self.columns not in [axis.name for axis in self.axes]:
            raise ValueError(f"study {self.name}: columns = {self.columns!r} is no axis")
        if self.teacher not in self.networks:
            raise ValueError(f"study {self.name}: teacher = {self.teacher!r} is not among {', '.join(self.networks)}")
        for network in {name for arm in self.arms for name in (arm.teacher_network, *(arm.networks or ())) if name}:
            if network not in self.networks:
                raise ValueError(f"study {self.name}: {network!r} of an arm is not among {', '.join(self.networks)}")
        self._check_axes()
        self._check_only(tuple(names))

    def _check_axes(self) -> None:
        axes = [axis.name for axis in self.axes]
        if "arm" in axes or len(set(axes)) != len(axes):
            raise ValueError(f"study {self.name}: axes = {', '.join(axes)} must differ, and none may be named arm")
        for choice, changes in self.axes[self.column].choices.items():
            if "architecture" not in (merge_layers(changes).get("model") or {}):
                raise ValueError(f"study {self.name}: {self.columns} = {choice!r} names no model.architecture")
        others = {"base": self.base, "overrides": self.overrides} | {
            f"arm {arm.name}": arm.changes for arm in self.arms
        }
        for source, changes in others.items():
            if "architecture" in (merge_layers(changes).get("model") or {}):
                raise ValueError(
                    f"study {self.name}: model.architecture of {source} is the axis {self.columns}' to choose"
                )

    @cached_property
    def arm_labels(self) -> Mapping[str, str]:
        """Labels of the arms and of their teachers' recipes, by name."""
        return labels_of(self.arms)

    def label(self, coordinate: str, choice: str) -> str:
        """Display label of an arm (`coordinate` is `arm`, teachers' recipes included) or of an axis' choice."""
        if coordinate == "arm":
            return self.arm_labels[choice]
        return next(axis for axis in self.axes if axis.name == coordinate).label(choice)

    def labels(self, cell: tuple[str, ...]) -> tuple[str, ...]:
        """Display labels of a cell."""
        return tuple(axis.label(choice) for axis, choice in zip(self.axes, cell, strict=True))

    def names(self, run: PlannedRun) -> tuple[str, ...]:
        """Display labels of a run's arm and cell."""
        return (self.label("arm", run.arm), *self.labels(run.cell))

    def _check_only(self, arms: tuple[str, ...]) -> None:
        known = {"arm": arms} | {axis.name: tuple(axis.choices) for axis in self.axes}
        for name, choices in self.only.items():
            if name not in known:
                raise ValueError(f"{name} is no axis of {self.name}: it has {', '.join(known)}")
            for choice in choices:
                if choice not in known[name]:
                    raise ValueError(f"{name} = {choice!r} is not one of {', '.join(known[name])}")

    @property
    def networks(self) -> tuple[str, ...]:
        """The labels of the table's columns."""
        return tuple(next(axis.choices for axis in self.axes if axis.name == self.columns))

    @property
    def column(self) -> int:
        """Index of the network in a cell."""
        return [axis.name for axis in self.axes].index(self.columns)

    def expand(self, seeds: tuple[int, ...] | None = None) -> Iterator[PlannedRun]:
        """Yields every run, ordered by arm, cell and seed, without the cells to which an arm does not apply."""
        seeds = seeds or self.seeds
        for arm, cell in self.places():
            planned = self.planned(arm, cell, seeds[0])
            yield from (planned.reseeded(seed) for seed in seeds)

    def check_size(self, seeds: tuple[int, ...] | None = None) -> None:
        """Raises ValueError if the study has more than `most_runs` runs, teachers outside its cells not counted."""
        most = self.most_runs // (each := len(seeds or self.seeds))
        if sum(1 for _ in itertools.islice(self.places(), most + 1)) > most:
            limit = f"study {self.name} with {each} seeds expands past its most_runs = {self.most_runs:,}"
            raise ValueError(f"{limit}: leave some out, or set most_runs in its file")

    def places(self) -> Iterator[tuple[Arm, tuple[str, ...]]]:
        """Yields every arm and cell, ordered by arm, without the cells to which an arm does not apply."""
        for arm in self.arms:
            for cell in itertools.product(*(axis.choices for axis in self.axes)):
                if self.admits(arm, cell) and arm.applies(cell[self.column], self.teacher):
                    yield arm, cell

    def admits(self, arm: Arm, cell: tuple[str, ...]) -> bool:
        """Whether `cells` and `only` include this arm and cell."""
        if self.cells is not None and (self.cells_of(arm), cell) not in self.cells:
            return False
        place = {"arm": arm.name} | {axis.name: choice for axis, choice in zip(self.axes, cell, strict=True)}
        return all(place[name] in choices for name, choices in self.only.items())

    def cells_of(self, arm: Arm) -> str:
        """Name of the arm by which `arm` is looked up in `cells`."""
        return arm.name

    def planned(self, arm: Arm, cell: tuple[str, ...], seed: int) -> PlannedRun:
        """The run of `arm` in `cell` with `seed`, and its teacher if the arm has one."""
        config = self.config(arm, cell, seed)
        teacher = None
        if arm.teacher is not None:
            teacher = self.planned(arm.teacher, self.teaching(cell, arm.teacher_network), seed)
        coordinates = {"arm": arm.name} | dict(zip((axis.name for axis in self.axes), cell, strict=True))
        return PlannedRun(run_id=run_id(config), coordinates=coordinates, config=config, teacher=teacher)

    def distillation_of(self, run: PlannedRun) -> DistillConfig | None:
        """Configuration of the distilled set that the run is trained on; None if the study does not create it."""
        data = run.config.data
        return self.distils.get(data.distilled_set) if isinstance(data, DistilledData) else None

    def is_available(self, run: PlannedRun) -> bool:
        """Whether the run's data are known, or the study creates them."""
        return run.is_bound or self.distillation_of(run) is not None

    def to_distil(self) -> dict[str, DistillConfig]:
        """Distilled sets, by name, that the study needs and creates itself and whose contents are not known yet."""
        lacking: dict[str, DistillConfig] = {}
        for run in self.expand(self.seeds[:1]):
            data, made_by = run.config.data, self.distillation_of(run)
            if isinstance(data, DistilledData) and made_by is not None and not run.is_bound:
                lacking[data.distilled_set] = made_by
        return lacking

    def teaching(self, cell: tuple[str, ...], network: str | None = None) -> tuple[str, ...]:
        """The teacher's cell for `cell`, with network `network` or, by default, the study's teacher."""
        return (*cell[: self.column], network or self.teacher, *cell[self.column + 1 :])

    def config(self, arm: Arm, cell: tuple[str, ...], seed: int) -> RunConfig:
        """Configuration of one run: merges its layers, validates, scales by the budget, then applies `arm.exact`.

        Raises ValueError if the configuration is not allowed.
        """
        values = merge_layers(*(layer.changes for layer in self.layers(arm, cell)), {"seed": seed})
        distillation = values.pop("kd", None)
        config = scale_epochs(from_dict(values), self.budget).replace(arm.exact)
        if arm.teacher is None:
            return config if distillation is None else config.replace({"kd": distillation})
        try:
            teacher = self.config(arm.teacher, self.teaching(cell, arm.teacher_network), seed)
        except ValueError as error:
            raise ValueError(f"kd.teacher.{error}") from error
        return config.replace({"kd": {**(distillation or {}), "teacher": teacher.to_dict()}})

    def layers(self, arm: Arm, cell: tuple[str, ...]) -> list[Layer]:
        """The layers of an arm's recipe in a cell; later layers take precedence.

        The order is: architecture, base, the other settings of the network's choice, axes beneath the arms, the arm,
        the other axes, overrides, and the known contents of the distilled set. The axes after the arm and the
        overrides change only optional parts that the recipe has: an axis over `kd.alpha` varies the arms with knowledge
        distillation and leaves the other arms, and teachers, unchanged.

        Raises ValueError if an axis or override changes the teacher, or a change contradicts the distilled set.
        """
        places = list(zip(self.axes, cell, strict=True))
        axis, choice = places.pop(self.column)
        network = merge_layers(axis.choices[choice])
        given = network["model"].pop("architecture")
        architecture = str(given)  # whatever a user took for one, until it is validated
        beneath, above = (
            [
                layer
                for axis, choice in places
                if axis.beneath_arms is is_beneath
                for layer in axis.layers(choice, architecture)
            ]
            for is_beneath in (True, False)
        )
        layers = [
            Layer(source=f"{axis.name} = {choice}", changes={"model.architecture": given}),
            Layer(source="base", changes=self.base),
            Layer(source=f"{axis.name} = {choice}", changes=network),
            *beneath,
            Layer(source=f"arm {arm.name}", changes=arm.changes),
            Layer(source=f"arm {arm.name}, {architecture}", changes=arm.by_architecture.get(architecture, {})),
        ]
        values = merge_layers({"kd": {} if arm.teacher else None}, *(layer.changes for layer in layers))
        for layer in (*above, Layer(source="overrides", changes=self.overrides)):
            changes = applicable(layer.changes, values)
            layers.append(Layer(source=layer.source, changes=changes))
            values = merge_layers(values, changes)
        return [*layers, *self._known_set(values)]

    def _known_set(self, values: Mapping[str, Any]) -> list[Layer]:
        """Layer with the known contents of `values`' distilled set. Raises ValueError if `values` contradict them."""
        data = values.get("data", {})
        known = dict(self.bindings.get(data.get("distilled_set", ""), {}))
        if data.get("label_temperature") is not None:
            known.pop("data.label_temperature", None)
        for name, value in known.items():
            given = data.get(name.removeprefix("data."))
            if given is not None and given != value:
                raise ValueError(f"{name} = {given!r}, but {data['distilled_set']} has {value!r}")
        return [Layer(source=f"distilled set {data['distilled_set']}", changes=known)] if known else []

    def scaled(self, budget: float) -> "Study":
        """The study with every epoch constant multiplied by `budget`, as `<study>-budget-<budget>`.

        Raises ValueError if `budget` is outside (0, inf).
        """
        if not 0 < budget < math.inf:
            raise ValueError(f"budget = {budget:g} is outside (0, inf)")
        if budget == 1:
            return self
        return dataclasses.replace(self, name=f"{self.name}-budget-{budget:g}", budget=self.budget * budget)

    def trained_by(self, engine: str) -> "Study":
        """The study with all runs trained by `engine`, as `<study>-engine-<engine>`. Raises ValueError if unknown."""
        known = typing.get_args(RunConfig.model_fields["engine"].annotation)
        if engine not in known:
            raise ValueError(f"engine = {engine!r} is not one of {', '.join(known)}")
        if engine == self.base.get("engine", RunConfig.model_fields["engine"].default):
            return self
        name, overrides = f"{self.name}-engine-{engine}", {**self.overrides, "engine": engine}
        return dataclasses.replace(self, name=name, overrides=overrides)

    def smoke(self) -> "Study":
        """The study in its smoke form, as `<study>-smoke`, without the paper's accuracies."""
        form = self.smoke_form
        undone = tuple(f"{part}." for part in form.changes)  # a change of a whole part replaces changes of its settings
        kept = {name: value for name, value in self.overrides.items() if not name.startswith(undone)}
        return dataclasses.replace(
            self,
            name=f"{self.name}-smoke",
            reference=f"{self.reference}; smoke form{form.note and f', {form.note}'}",
            published={},
            budget=self.budget * form.budget,
            overrides={**kept, **form.changes},
            only={**form.only, **self.only},
            cells=self._spared(form) if form.sparing else self.cells,
            seeds=self.seeds[: form.seeds],
        )

    def _spared(self, form: Smoke) -> tuple[Place, ...]:
        """Arms and cells that the smoke form keeps; a network that would have no arm left keeps all."""
        places = [(arm.name, cell) for arm, cell in self.places()]
        left = [(arm, cell) for arm, cell in places if arm in form.sparing.get(cell[self.column], (arm,))]
        networks = {cell[self.column] for _, cell in left}
        return (*left, *((arm, cell) for arm, cell in places if cell[self.column] not in networks))
