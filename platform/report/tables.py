"""The table of a study, from what it declares and what its runs left behind: pure data, rendered elsewhere."""

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from crossarch.platform.report.stats import Contrast, Summary, contrasts, gap, summarize
from crossarch.search_spaces.recipes import Arm
from crossarch.search_spaces.study import Place, Planned, Published, Study
from crossarch.trainables.config.identity import METHOD_VERSION, config_hash, run_id
from crossarch.trainables.config.result import Outcome, RunResult
from crossarch.trainables.config.run import RunConfig


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a reader must know to judge or repeat the numbers. Texts are distinct, in order of appearance."""

    runs: int
    """Runs that left a result of any outcome, teachers among them."""
    training_seconds: float
    """In the training loops, all of these runs together."""
    hardware: tuple[str, ...]
    software: tuple[str, ...]
    commits: tuple[str, ...]


def conditions(results: Iterable[RunResult]) -> Conditions:
    """The conditions of `results`. What an environment does not tell is left out."""
    results = tuple(results)
    environments = [result.environment for result in results]
    return Conditions(
        runs=len(results),
        training_seconds=sum(result.training_seconds for result in results),
        hardware=_distinct(map(hardware, environments)),
        software=_distinct(map(software, environments)),
        commits=_distinct(_fact(environment, "commit") for environment in environments),
    )


def hardware(environment: Mapping[str, Any]) -> str:
    """The accelerator, if there is one, the processor and its cores, as far as `environment` tells."""
    device, cpu, cores = (_fact(environment, key) for key in ("device", "cpu", "cores"))
    parts = (device if device != "cpu" or not cpu else "", cpu, cores and f"{cores} cores")
    return ", ".join(part for part in parts if part)


def software(environment: Mapping[str, Any]) -> str:
    """The versions that the numbers depend on, as far as `environment` tells."""
    named = ((key, _fact(environment, key)) for key in ("torch", "python", "cuda"))
    return ", ".join(f"{key} {version}" for key, version in named if version)


def _fact(environment: Mapping[str, Any], key: str) -> str:
    value = environment.get(key)
    return "" if value is None else str(value)


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


KINDS: Mapping[str, Callable[[RunResult], str]] = {
    "commits": lambda result: str(result.environment.get("commit") or ""),
    "kinds of hardware": lambda result: hardware(result.environment),
    "versions of software": lambda result: software(result.environment),
}


def mixture(cells: Sequence[Sequence[RunResult]], left_out: int) -> tuple[str, ...]:
    """What a reader of `cells`, the results of each, must know to be mixed in them, a phrase each; `left_out` runs."""
    found = []
    for kind, tell in KINDS.items():
        count = sum(len({tell(result) for result in cell}) > 1 for cell in cells)
        if count:
            found.append(f"{count} of {len(cells)} cells have runs of several {kind}")
    if left_out:
        found.append(f"{left_out} results of another METHOD_VERSION than {METHOD_VERSION} are left out")
    return tuple(found)


def of_other_versions(results: Mapping[str, RunResult], configs: Iterable[RunConfig], known: Iterable[str]) -> int:
    """How many results have one of `configs`, but another id than those `known`, as METHOD_VERSION is part of it."""
    wanted, ours = set(configs), set(known)
    return sum(name not in ours and result.config in wanted for name, result in results.items())


State = Outcome | Literal["missing", "unavailable"]
"""A run's outcome, `missing` where it left nothing yet, or `unavailable` where no store has its distilled set."""

STATES: tuple[State, ...] = (*get_args(Outcome), "missing", "unavailable")

Counts = Mapping[State, int]
"""How many runs are in each state: every state is a key."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One planned run and how it stands."""

    run_id: str
    arm: str
    """The arm's label."""
    cell: tuple[str, ...]
    """The label of each axis' choice, in the order of the study's axes."""
    seed: int
    outcome: State
    accuracy: float | None
    """The study's metric in %, of a finished run; None for any other."""
    error: str | None
    seconds: float = 0.0
    """On the device, evaluations included."""


Cells = dict[Place, list[Run]]
"""Runs by the arm's name and the cell."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The runs of one arm in one cell."""

    accuracy: Summary | None
    """Over the finished runs alone; None where there is none, or a run was stopped early, as then accuracy chose."""
    gap: float | None
    """Points above the reference; None for the reference itself, and where either has no finished run."""
    counts: Counts
    published: Published | None = None
    """What the paper reports here."""
    seconds: float = 0.0
    """On the device, summed over its runs of any outcome; teachers that are no cell of their own left out."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One arm at one choice of the axes that are not columns."""

    arm: str
    choices: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    """A cell each network; None where the arm does not apply to it."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A teacher that is no cell of the table: one recipe of one network, at one choice of the other axes."""

    arm: str
    network: str
    choices: tuple[str, ...]
    cell: Cell


@dataclass(frozen=True, kw_only=True)
class Table:
    """A study's answer so far. Rows go choice by choice and, within one, arm by arm."""

    study: Study
    seeds: tuple[int, ...]
    networks: tuple[str, ...]
    """The columns: networks to which any arm applies."""
    rows: tuple[Row, ...]
    teachers: tuple[Teacher, ...]
    runs: tuple[Run, ...]
    """Every run, each once: teachers that are no cell first."""
    conditions: Conditions
    contrasts: tuple[Contrast, ...]
    """What the runs say of the study's claims."""
    mixed: tuple[str, ...]
    """What cells hold that came about otherwise than the rest, a phrase each (`mixture`)."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes that are not columns: the names of the rows' choices."""
        return tuple(axis.name for axis in self.study.axes if axis.name != self.study.columns)

    @property
    def failures(self) -> tuple[Run, ...]:
        """Runs that diverged, failed or were blocked, then those that were stopped early."""
        order = ("diverged", "failed", "blocked", "stopped")
        found = (run for run in self.runs if run.outcome in order)
        return tuple(sorted(found, key=lambda run: run.outcome == "stopped"))

    @property
    def counts(self) -> Counts:
        """Runs in each state, a run that several cells share counted once."""
        return count(self.runs)


def build_table(study: Study, seeds: tuple[int, ...], results: Mapping[str, RunResult]) -> Table:
    """The table of `study` over `seeds`, from results by run id; results of other runs are passed over."""
    planned = tuple(study.expand(seeds))
    labels = labels_of(study.arms)
    cells: Cells = {}
    for plan in planned:
        cells.setdefault((plan.arm, plan.cell), []).append(look_up(plan, labels, results, study.metric))
    in_cells = {run.run_id: run for runs in cells.values() for run in runs}
    teachers: dict[str, list[Run]] = {}
    for plan in teachers_of(planned):
        if run_id(plan.config) not in in_cells:
            group = teachers.setdefault(config_hash(plan.config), [])
            group.append(look_up(plan, labels, results, study.metric))
    networks = tuple(network for network in study.networks if network in {cell[study.column] for _, cell in cells})
    runs = {run.run_id: run for group in teachers.values() for run in group} | in_cells
    return Table(
        study=study,
        seeds=seeds,
        networks=networks,
        rows=tuple(_rows(study, networks, cells)),
        teachers=tuple(_teacher(study, group, cells) for group in teachers.values()),
        runs=tuple(runs.values()),
        conditions=conditions(results[name] for name in runs if name in results),
        mixed=mixture(
            [[results[run.run_id] for run in group if run.run_id in results] for group in cells.values()],
            of_other_versions(results, (plan.config for plan in (*planned, *teachers_of(planned))), runs),
        ),
        contrasts=tuple(contrasts(study.claims, {place: by_seed(group) for place, group in cells.items()})),
    )


def by_seed(runs: Iterable[Run]) -> dict[int, float]:
    """Accuracies in % of finished runs, by seed."""
    return {run.seed: run.accuracy for run in runs if run.accuracy is not None}


def labels_of(arms: Iterable[Arm]) -> dict[str, str]:
    """Labels of `arms` and of the recipes of their teachers, by name; a study's own arms come before these."""
    arms = tuple(arms)
    if not arms:
        return {}
    return labels_of(arm.teacher for arm in arms if arm.teacher) | {arm.name: arm.label for arm in arms}


def teachers_of(planned: Iterable[Planned]) -> Iterator[Planned]:
    """The teachers of `planned`, and their teachers, each run once."""
    seen: set[RunConfig] = set()
    for plan in planned:
        teacher = plan.teacher
        while teacher and teacher.config not in seen:
            seen.add(teacher.config)
            yield teacher
            teacher = teacher.teacher


def look_up(plan: Planned, labels: Mapping[str, str], results: Mapping[str, RunResult], metric: str) -> Run:
    """How a planned run stands, from results by run id."""
    name = run_id(plan.config)
    result = results.get(name)
    finished = result is not None and result.outcome == "finished"
    return Run(
        run_id=name,
        arm=labels[plan.arm],
        cell=plan.cell,
        seed=plan.config.seed,
        outcome=result.outcome if result else "missing" if plan.is_available else "unavailable",
        accuracy=getattr(result, metric) if finished else None,
        error=result.error if result else None,
        seconds=result.device_seconds if result else 0.0,
    )


def count(runs: Iterable[Run]) -> Counts:
    """How many of `runs` are in each state."""
    outcomes = [run.outcome for run in runs]
    return {state: outcomes.count(state) for state in STATES}


def _rows(study: Study, networks: tuple[str, ...], cells: Cells) -> Iterator[Row]:
    others = [axis.choices for axis in study.axes if axis.name != study.columns]
    for choices in itertools.product(*others):
        keys = [_key(study, choices, network) for network in networks]
        for arm in study.arms:
            found = [cells.get((arm.name, key)) for key in keys]
            if any(found):
                published = [study.published.get((arm.name, key)) for key in keys]
                yield Row(
                    arm=arm.label,
                    choices=choices,
                    cells=tuple(
                        _cell(study, runs, cells, known) if runs else None
                        for runs, known in zip(found, published, strict=True)
                    ),
                )


def _cell(study: Study, runs: list[Run], cells: Cells, published: Published | None = None) -> Cell:
    origin = cells.get((study.arms[0].name, study.teaching(runs[0].cell)), [])
    accuracy, reference = _accuracy(runs), _accuracy(origin)
    return Cell(
        accuracy=accuracy,
        gap=gap(accuracy, reference) if accuracy and reference and runs is not origin else None,
        counts=count(runs),
        published=published,
        seconds=math.fsum(run.seconds for run in runs),
    )


def _accuracy(runs: Collection[Run]) -> Summary | None:
    if any(run.outcome == "stopped" for run in runs):
        return None
    accuracies = [run.accuracy for run in runs if run.accuracy is not None]
    return summarize(accuracies) if accuracies else None


def _teacher(study: Study, runs: list[Run], cells: Cells) -> Teacher:
    cell = runs[0].cell
    return Teacher(
        arm=runs[0].arm,
        network=cell[study.column],
        choices=(*cell[: study.column], *cell[study.column + 1 :]),
        cell=_cell(study, runs, cells),
    )


def _key(study: Study, choices: tuple[str, ...], network: str) -> tuple[str, ...]:
    return (*choices[: study.column], network, *choices[study.column :])
