"""The table of a study, computed from its declaration and the results of its runs; rendering is elsewhere."""

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from crossarch.platform.report.stats import Contrast, Summary, contrasts, gap, summarize
from crossarch.search_spaces.study import Place, PlannedRun, Published, Study, teachers_of
from crossarch.trainables.config.identity import METHOD_VERSION, config_hash
from crossarch.trainables.config.result import Outcome, RunResult
from crossarch.trainables.config.run import RunConfig


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions under which the numbers were measured. Texts are distinct, in order of appearance."""

    runs: int
    """Number of runs with a result of any outcome, teachers included."""
    training_seconds: float
    """Seconds in the training loops, summed over these runs."""
    hardware: tuple[str, ...]
    software: tuple[str, ...]
    commits: tuple[str, ...]


def conditions(results: Iterable[RunResult]) -> Conditions:
    """The conditions of `results`. Facts that an environment does not have are left out."""
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
    """The accelerator, if any, the processor and its number of cores, as far as `environment` has them."""
    device, cpu, cores = (_fact(environment, key) for key in ("device", "cpu", "cores"))
    parts = [device] if device != "cpu" or not cpu else []
    parts.append(cpu)
    if cores:
        parts.append(f"{cores} cores")
    return ", ".join(part for part in parts if part)


def software(environment: Mapping[str, Any]) -> str:
    """The versions that the numbers depend on, as far as `environment` has them."""
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
    """Phrases that warn of cells whose runs are not comparable, by KINDS, and of results that were left out.

    Args:
        cells: The results of each cell.
        left_out: Number of results that were left out, as of `of_other_versions`.
    """
    phrases = []
    for kind, value_of in KINDS.items():
        count = sum(len({value_of(result) for result in cell}) > 1 for cell in cells)
        if count:
            phrases.append(f"{count} of {len(cells)} cells have runs of several {kind}")
    if left_out:
        phrases.append(f"{left_out} results of another METHOD_VERSION than {METHOD_VERSION} are left out")
    return tuple(phrases)


def of_other_versions(results: Mapping[str, RunResult], configs: Iterable[RunConfig], known: Iterable[str]) -> int:
    """Number of results that have one of `configs`, but were recorded under another id than those `known` for them.

    METHOD_VERSION is part of the id, so that such results never share a cell with the current ones.
    """
    wanted, ours = set(configs), set(known)
    return sum(name not in ours and result.config in wanted for name, result in results.items())


State = Outcome | Literal["missing", "unavailable"]
"""A run's outcome; `missing` without a result, or `unavailable` if the store lacks its distilled set as well."""

STATES: tuple[State, ...] = (*get_args(Outcome), "missing", "unavailable")

Counts = Mapping[State, int]
"""Number of runs in each state; every state is a key."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One planned run and its state."""

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
    """Seconds on the device, evaluations included."""


Cells = dict[Place, list[Run]]
"""Runs by arm's name and cell."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The runs of one arm in one cell."""

    accuracy: Summary | None
    """Over the finished runs. None without any, and if a run was stopped early: the others were chosen by accuracy."""
    gap: float | None
    """Points above the reference; None for the reference itself, and if either has no accuracy."""
    counts: Counts
    published: Published | None = None
    """The paper's number of this cell, if it has one."""
    seconds: float = 0.0
    """Seconds on the device, summed over its runs of any outcome, without teachers."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One arm at one choice of the axes that are not columns."""

    arm: str
    """The arm's label."""
    choices: tuple[str, ...]
    """The labels of the choices."""
    ids: tuple[str, ...]
    """The arm's name and the ids of the choices."""
    cells: tuple[Cell | None, ...]
    """One per network; None for a network to which the arm does not apply."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A teacher that is not a cell of the table: one recipe of one network, at one choice of the other axes."""

    arm: str
    network: str
    choices: tuple[str, ...]
    cell: Cell


@dataclass(frozen=True, kw_only=True)
class Table:
    """The results of a study so far. Rows are ordered by choices, then by arm."""

    study: Study
    seeds: tuple[int, ...]
    network_ids: tuple[str, ...]
    """The columns: networks to which any arm applies."""
    rows: tuple[Row, ...]
    teachers: tuple[Teacher, ...]
    runs: tuple[Run, ...]
    """Every run once; teachers that are not a cell come first."""
    conditions: Conditions
    contrasts: tuple[Contrast, ...]
    """The tests of the study's claims."""
    mixed: tuple[str, ...]
    """Warnings of cells whose runs are not comparable (`mixture`)."""

    @property
    def networks(self) -> tuple[str, ...]:
        """The labels of the columns."""
        return tuple(self.study.label(self.study.columns, network) for network in self.network_ids)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes that are not columns, in the order of a row's choices."""
        return tuple(axis.name for axis in self.study.axes if axis.name != self.study.columns)

    @property
    def failures(self) -> tuple[Run, ...]:
        """Runs that diverged, failed or were blocked, then runs that were stopped early."""
        order = ("diverged", "failed", "blocked", "stopped")
        failures = (run for run in self.runs if run.outcome in order)
        return tuple(sorted(failures, key=lambda run: run.outcome == "stopped"))

    @property
    def counts(self) -> Counts:
        """Number of runs in each state; a run that several cells share counts once."""
        return count(self.runs)


def build_table(study: Study, seeds: tuple[int, ...], results: Mapping[str, RunResult]) -> Table:
    """The table of `study` over `seeds`, from results by run id; results of other runs are ignored."""
    planned = tuple(study.expand(seeds))
    cells: Cells = {}
    for plan in planned:
        cells.setdefault((plan.arm, plan.cell), []).append(look_up(study, plan, results))
    in_cells = {run.run_id: run for runs in cells.values() for run in runs}
    first: dict[str, PlannedRun] = {}
    teachers: dict[str, list[Run]] = {}
    for name, plan in teachers_of(planned).items():
        if name not in in_cells:
            recipe = config_hash(plan.config)
            first.setdefault(recipe, plan)
            teachers.setdefault(recipe, []).append(look_up(study, plan, results))
    networks = tuple(network for network in study.networks if network in {cell[study.column] for _, cell in cells})
    runs = {run.run_id: run for group in teachers.values() for run in group} | in_cells
    return Table(
        study=study,
        seeds=seeds,
        network_ids=networks,
        rows=tuple(_rows(study, networks, cells)),
        teachers=tuple(_teacher(study, first[recipe], group, cells) for recipe, group in teachers.items()),
        runs=tuple(runs.values()),
        conditions=conditions(results[name] for name in runs if name in results),
        mixed=mixture(
            [[results[run.run_id] for run in group if run.run_id in results] for group in cells.values()],
            of_other_versions(results, (plan.config for plan in (*planned, *teachers_of(planned).values())), runs),
        ),
        contrasts=tuple(contrasts(study.claims, {place: by_seed(group) for place, group in cells.items()})),
    )


def by_seed(runs: Iterable[Run]) -> dict[int, float]:
    """Accuracies in % of finished runs, by seed."""
    return {run.seed: run.accuracy for run in runs if run.accuracy is not None}


def look_up(study: Study, plan: PlannedRun, results: Mapping[str, RunResult]) -> Run:
    """The state of a planned run, from results by run id."""
    result = results.get(plan.run_id)
    finished = result is not None and result.outcome == "finished"
    outcome: State = "missing" if study.is_available(plan) else "unavailable"
    if result is not None:
        outcome = result.outcome
    return Run(
        run_id=plan.run_id,
        arm=study.label("arm", plan.arm),
        cell=study.labels(plan.cell),
        seed=plan.config.seed,
        outcome=outcome,
        accuracy=getattr(result, study.metric) if finished else None,
        error=result.error if result else None,
        seconds=result.device_seconds if result else 0.0,
    )


def count(runs: Iterable[Run]) -> Counts:
    """Number of `runs` in each state."""
    outcomes = [run.outcome for run in runs]
    return {state: outcomes.count(state) for state in STATES}


def _rows(study: Study, networks: tuple[str, ...], cells: Cells) -> Iterator[Row]:
    others = [axis for axis in study.axes if axis.name != study.columns]
    for choices in itertools.product(*(axis.choices for axis in others)):
        keys = [_key(study, choices, network) for network in networks]
        for arm in study.arms:
            runs_of_cells = [cells.get((arm.name, key)) for key in keys]
            if any(runs_of_cells):
                published = [study.published.get((arm.name, key)) for key in keys]
                yield Row(
                    arm=arm.label,
                    choices=tuple(axis.label(choice) for axis, choice in zip(others, choices, strict=True)),
                    ids=(arm.name, *choices),
                    cells=tuple(
                        _cell(study, key, runs, cells, known) if runs else None
                        for key, runs, known in zip(keys, runs_of_cells, published, strict=True)
                    ),
                )


def _cell(
    study: Study, cell: tuple[str, ...], runs: list[Run], cells: Cells, published: Published | None = None
) -> Cell:
    origin = cells.get((study.arms[0].name, study.teaching(cell)), [])
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


def _teacher(study: Study, plan: PlannedRun, runs: list[Run], cells: Cells) -> Teacher:
    labels = study.labels(plan.cell)
    return Teacher(
        arm=study.label("arm", plan.arm),
        network=labels[study.column],
        choices=(*labels[: study.column], *labels[study.column + 1 :]),
        cell=_cell(study, plan.cell, runs, cells),
    )


def _key(study: Study, choices: tuple[str, ...], network: str) -> tuple[str, ...]:
    return (*choices[: study.column], network, *choices[study.column :])
