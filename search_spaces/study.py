"""A study: a question, the runs that answer it, and what is already published about it.

A study declares and nothing else: `expand` is pure and ordered, so that the file of a study *is* its table.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from crossarch.search_spaces.recipes import Arm, Changes, merged
from crossarch.trainables.config.distiller import DistillConfig
from crossarch.trainables.config.run import RunConfig


def scale_epochs(config: RunConfig, budget: float) -> RunConfig:
    """`config` with its epoch constants scaled by `budget`, so that its schedules keep their shape.

    The period T is scaled first and rounded to whole epochs, at least one; W, S, N and T_max then keep their
    ratio to T exactly, and T_warm is at least one epoch. A run without phases scales its epochs alone. The
    teacher, a run of its own, is left as it is. Raises ValueError where `budget` is not positive.
    """
    if not budget > 0:
        raise ValueError(f"budget = {budget:g} is outside (0, inf)")
    rate = config.learning_rate
    if config.phases is None:
        changes = {"epochs": max(2 if rate.warmup else 1, round(config.epochs * budget))}
        for name in ("warmup", "milestone"):
            epochs = getattr(rate, name)
            if epochs is not None:
                changes[f"learning_rate.{name}"] = max(1, round(epochs * changes["epochs"] / config.epochs))
        return config.replace(changes)
    old = config.phases.period
    period = max(1, round(old * budget))

    def scaled(epochs: int) -> int:
        return round(epochs * period / old)

    changes = {
        "phases.period": period,
        "phases.warmup": scaled(config.phases.warmup),
        "phases.stabilization": scaled(config.phases.stabilization),
        "epochs": scaled(config.epochs),
    }
    if rate.warmup is not None:
        changes["learning_rate.warmup"] = max(1, scaled(rate.warmup))
    if rate.milestone is not None:
        changes["learning_rate.milestone"] = max(1, scaled(rate.milestone))
    if rate.cosine_period is not None:
        changes["learning_rate.cosine_period"] = max(2, scaled(rate.cosine_period))
    return config.replace(changes)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure of a study: which of its choices are points, in which panels, on which lines.

    Axes other than `axis` and that of the networks must have one choice each.
    """

    reference: str
    """The figure of the paper."""
    axis: str
    """The axis whose choices are points; `arm` where the arms are."""
    points: Mapping[str, tuple[tuple[str, float], ...]]
    """By choice, or by the arm's name: the panels in which it is a point, and where."""
    quantity: str | None = None
    """What runs along the horizontal axis; None: what names the panel."""
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The networks of a panel, by label; all for a panel that is not named."""
    arms: tuple[str, ...] = ()
    """By name, those that are lines, one a network; without meaning where arms are points."""
    levels: tuple[str, ...] = ()
    """Arms drawn as level lines, at what the teacher's network reaches in them; for where arms are points."""
    log: bool = False
    """Whether the horizontal axis is logarithmic."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One accuracy as the paper prints it. The gaps that it prints in brackets are not kept: a few are wrong."""

    table: int
    dataset: str
    distiller: str
    images_per_class: int
    method: str
    """The row's label in the paper."""
    network: str
    """The label of the network, as studies have it."""
    accuracy: float
    """In %."""
    std: float | None
    """Over three seeds, in percentage points, where the paper gives it."""


Place = tuple[str, tuple[str, ...]]
"""An arm by its name, and a cell: the label of each axis' choice, in the order of the study's axes."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence that holds where one accuracy is above another on average over seeds."""

    sentence: str
    higher: Place
    """Whose accuracy is above, if the sentence is true."""
    lower: Place


OPTIONAL = ("phases", "keep_rate", "kd")
"""Parts that some recipes lack."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What varies beside the arm: the changes of each choice, by its label."""

    name: str
    choices: Mapping[str, Changes]
    beneath_arms: bool = False
    """Whether the arms change what a choice sets, as they do a base configuration, and not the other way round."""


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """How a study shrinks to seconds: epochs, images, width and data sets, never an arm or a network."""

    budget: float
    changes: Changes
    seeds: int = 1
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sparing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The arms, by name, in which a network is trained, by its label, where it takes too long for all of them."""
    note: str = ""
    """What a reader must know of it, for the study's reference."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One run of a study and the cell of the table it belongs to."""

    arm: str
    cell: tuple[str, ...]
    """The label of each axis' choice, in the order of the axes."""
    config: RunConfig
    teacher: "Planned | None" = None
    """The run it learns from, where its arm distils knowledge."""
    distillation: DistillConfig | None = None
    """How the study makes the set that it is trained on, where it does so itself."""

    def reseeded(self, seed: int) -> "Planned":
        """The run of another seed, its teacher too."""
        teacher = self.teacher and self.teacher.reseeded(seed)
        return dataclasses.replace(self, config=self.config.reseeded(seed), teacher=teacher)

    @property
    def is_bound(self) -> bool:
        """Whether its data are known: a distilled set that no store has is a name without contents."""
        return self.config.data.distilled is None or self.config.data.sha256 is not None

    @property
    def is_available(self) -> bool:
        """Whether its data are known, or the study makes them."""
        return self.is_bound or self.distillation is not None


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
    metric: Literal["test_accuracy", "validation_accuracy"] = "test_accuracy"
    budget: float = 1.0
    """Factor on every epoch constant."""
    overrides: Changes = field(default_factory=dict)
    """Changes to every run, made after arm and axes and before the budget."""
    published: Mapping[Place, Published] = field(default_factory=dict)
    """What the paper reports, by the arm's name and the cell."""
    keeps_weights: bool = False
    """Whether the weights of every run are kept, to be analysed; those of teachers always are."""
    profile: str = "paper"
    """The reading of the paper that the arms are of (see `profiles`)."""
    cells: tuple[Place, ...] | None = None
    """Arms, by name, and cells to which the study is limited; None for all to which an arm applies."""
    chart: Chart | None = None
    """The figure that is drawn of it beside its table."""
    bindings: Mapping[str, Changes] = field(default_factory=dict)
    """What a store knows of the distilled sets that runs name: digest and whitening, by the set's name."""
    distils: Mapping[str, DistillConfig] = field(default_factory=dict)
    """How the study makes the distilled sets that it does not expect to find, by the set's name."""
    claims: tuple[Claim, ...] = ()
    """What it is to show, declared beforehand."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The choices of some axes, and of `arm` by name, to which the study is restricted."""
    most_runs: int = 10_000
    """Runs past which it is taken for a slip: a study that means more says how many."""

    def __post_init__(self) -> None:
        """Raises ValueError for no arms or seeds, or equal ones, and where columns, teacher or choices do not exist."""
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
        self._check_only(tuple(names))

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
        """The place of the network's label in a cell."""
        return [axis.name for axis in self.axes].index(self.columns)

    def expand(self, seeds: tuple[int, ...] | None = None) -> Iterator[Planned]:
        """Every run, arm by arm, cell by cell, seed by seed; cells to which an arm does not apply are absent."""
        seeds = seeds or self.seeds
        for arm, cell in self.places():
            planned = self.planned(arm, cell, seeds[0])
            yield from (planned.reseeded(seed) for seed in seeds)

    def check_size(self, seeds: tuple[int, ...] | None = None) -> None:
        """Raises ValueError where the study expands past `most_runs`, teachers that are no cell not counted."""
        most = self.most_runs // (each := len(seeds or self.seeds))
        if sum(1 for _ in itertools.islice(self.places(), most + 1)) > most:
            limit = f"study {self.name} with {each} seeds expands past its most_runs = {self.most_runs:,}"
            raise ValueError(f"{limit}: leave some out, or set most_runs in its file")

    def places(self) -> Iterator[tuple[Arm, tuple[str, ...]]]:
        """Every arm and cell of the study, arm by arm; cells to which an arm does not apply are absent."""
        for arm in self.arms:
            for cell in itertools.product(*(axis.choices for axis in self.axes)):
                if self.admits(arm, cell) and arm.applies(cell[self.column], self.teacher):
                    yield arm, cell

    def admits(self, arm: Arm, cell: tuple[str, ...]) -> bool:
        """Whether the study's restriction leaves this cell in it."""
        if self.cells is not None and (arm.name, cell) not in self.cells:
            return False
        place = {"arm": arm.name} | {axis.name: choice for axis, choice in zip(self.axes, cell, strict=True)}
        return all(place[name] in choices for name, choices in self.only.items())

    def planned(self, arm: Arm, cell: tuple[str, ...], seed: int) -> Planned:
        """One run and, where its arm has one, its teacher."""
        config = self.config(arm, cell, seed)
        taught_in = self.teaching(cell, arm.teacher_network)
        teacher = self.planned(arm.teacher, taught_in, seed) if arm.teacher else None
        distillation = self.distils.get(config.data.distilled or "")
        return Planned(arm=arm.name, cell=cell, config=config, teacher=teacher, distillation=distillation)

    def to_distil(self) -> dict[str, DistillConfig]:
        """The sets that its runs need and it makes itself, by name, less those whose contents are known."""
        return {
            str(plan.config.data.distilled): plan.distillation
            for plan in self.expand(self.seeds[:1])
            if plan.distillation and not plan.is_bound
        }

    def teaching(self, cell: tuple[str, ...], network: str | None = None) -> tuple[str, ...]:
        """The cell of the network that teaches `cell`: that of label `network`, or the study's teacher."""
        return (*cell[: self.column], network or self.teacher, *cell[self.column + 1 :])

    def config(self, arm: Arm, cell: tuple[str, ...], seed: int) -> RunConfig:
        """The configuration of one arm in one cell with one seed; axes and overrides change only what the arm has.

        Raises ValueError where it is not allowed.
        """
        places = tuple(zip(self.axes, cell, strict=True))
        beneath = merged(*(axis.choices[choice] for axis, choice in places if axis.beneath_arms))
        varied = merged(*(axis.choices[choice] for axis, choice in places if not axis.beneath_arms), self.overrides)
        architecture = str(varied.get("model.architecture", self.base.model.architecture))
        shortcut = {"model.shortcut": "original"} if architecture.startswith("resnet") else {}
        if architecture != "convnet":
            beneath = {name: value for name, value in beneath.items() if name != "model.channels"}
        recipe = merged({"seed": seed}, beneath, shortcut, arm.changes, arm.network_changes.get(architecture, {}))
        changes = merged(recipe, self.applying(varied, arm, recipe))
        if arm.teacher is None:
            return self.made(changes, arm.exact)
        own = {name: value for name, value in changes.items() if name.partition(".")[0] != "kd"}
        distillation = {name: value for name, value in changes.items() if name not in own}
        student = self.made(own, arm.exact)
        try:
            teacher = self.config(arm.teacher, self.teaching(cell, arm.teacher_network), seed)
        except ValueError as error:
            raise ValueError(f"kd.teacher.{error}") from error
        return student.replace(distillation | {"kd.teacher": teacher.to_dict()})

    def made(self, changes: Changes, exact: Changes) -> RunConfig:
        """The base with `changes`, its distilled set bound to the contents that are known, scaled, then with `exact`.

        Raises ValueError where a change contradicts those contents.
        """
        config = self.base.replace(changes)
        known = dict(self.bindings.get(config.data.distilled or "", {}))
        if config.data.label_temperature is not None:
            known.pop("data.label_temperature", None)
        for name in [name for name in known if name in changes and changes[name] != known[name]]:
            raise ValueError(f"{name} = {changes[name]!r}, but {config.data.distilled} has {known[name]!r}")
        return scale_epochs(config.replace(known), self.budget).replace(exact)

    def applying(self, varied: Changes, arm: Arm, recipe: Changes) -> Changes:
        """`varied` less what it changes in optional parts that `arm` has not, `recipe` being its changes to the base.

        So an axis over `kd.alpha` varies the arms that distil and leaves the others, and teachers, as they are. Raises
        ValueError for a change to whom an arm learns from, which is the arm's own.
        """
        for name in varied:
            if name in ("kd", "kd.teacher") or name.startswith("kd.teacher."):
                raise ValueError(f"{name} cannot be varied by axis or override: the arm names its teacher")

        def has(part: str) -> bool:
            for layer in (varied, recipe):
                if part in layer:
                    return layer[part] is not None
            if part == "kd":
                return arm.teacher is not None
            return getattr(self.base, part) is not None or any(name.startswith(f"{part}.") for name in recipe)

        absent = {part for part in OPTIONAL if not has(part)}
        return {name: value for name, value in varied.items() if name in OPTIONAL or name.split(".")[0] not in absent}

    def scaled(self, budget: float) -> "Study":
        """The study with every epoch constant times `budget`, which its name tells. Raises ValueError for none."""
        if not 0 < budget < math.inf:
            raise ValueError(f"budget = {budget:g} is outside (0, inf)")
        if budget == 1:
            return self
        return dataclasses.replace(self, name=f"{self.name}-budget-{budget:g}", budget=self.budget * budget)

    def trained_by(self, engine: str) -> "Study":
        """The study with every run by that engine, as `<study>-engine-<engine>`. Raises ValueError for none that is."""
        if self.base.replace({"engine": engine}) == self.base:
            return self
        name, overrides = f"{self.name}-engine-{engine}", {**self.overrides, "engine": engine}
        return dataclasses.replace(self, name=name, overrides=overrides)

    def smoke(self) -> "Study":
        """The study as its smoke form shrinks it, under the name `<study>-smoke`; the paper's numbers are left out."""
        form = self.smoke_form
        return dataclasses.replace(
            self,
            name=f"{self.name}-smoke",
            reference=f"{self.reference}; smoke form{form.note and f', {form.note}'}",
            published={},
            budget=self.budget * form.budget,
            overrides={**self.overrides, **form.changes},
            only={**form.only, **self.only},
            cells=self._spared(form) if form.sparing else self.cells,
            seeds=self.seeds[: form.seeds],
        )

    def _spared(self, form: Smoke) -> tuple[Place, ...]:
        """Arms and cells less those that the smoke form spares; a network that would have none left keeps all."""
        places = [(arm.name, cell) for arm, cell in self.places()]
        left = [(arm, cell) for arm, cell in places if arm in form.sparing.get(cell[self.column], (arm,))]
        networks = {cell[self.column] for _, cell in left}
        return (*left, *((arm, cell) for arm, cell in places if cell[self.column] not in networks))
