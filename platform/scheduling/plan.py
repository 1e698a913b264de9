"""What a study still has to train: its runs less those in the ledger, teachers before their students."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossarch.platform.scheduling.data import available
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import weights_elsewhere
from crossarch.search_spaces.study import PlannedRun, Study, each_once
from crossarch.trainables.config.identity import weights_file
from crossarch.trainables.config.result import RunResult


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study against the ledger."""

    study: str
    cells: Mapping[str, PlannedRun]
    """Every run of the study by its id, in the study's order; a run in several cells stands for the first."""
    teachers: Mapping[str, PlannedRun]
    """The runs, by id, that are no cell of the study and are trained only because others learn from them."""
    results: Mapping[str, RunResult]
    """Of these runs, as far as the ledger has them, failed ones included."""
    todo: tuple[PlannedRun, ...]
    """What is to be trained, every teacher before its students."""
    keeps_weights: frozenset[str]
    """The ids of runs to train whose weights are kept: others learn from them, or the study analyses them."""

    @property
    def runs(self) -> dict[str, PlannedRun]:
        """Cells, then teachers, by id."""
        return {**self.cells, **self.teachers}

    @property
    def done(self) -> int:
        """Number of runs that need no training."""
        return sum(result.is_result for result in self.results.values())


def teaching(runs: Iterable[PlannedRun]) -> set[str]:
    """The ids of the runs that some of `runs` learn from."""
    return {run.teacher.run_id for run in runs if run.teacher is not None}


def make_plan(
    planned: Iterable[PlannedRun],
    results: Mapping[str, RunResult],
    weights: Path,
    *,
    analysed: bool = False,
    elsewhere: Collection[str] = (),
    study: str = "",
    keeps_stopped: bool = False,
) -> Plan:
    """The plan of a study: what of it is to be trained.

    A run without a result is to be trained; one that was stopped early only if not `keeps_stopped`. So is a teacher
    that has a result, but whose weights are gone while a run to train still needs them; and so is every cell without
    kept weights if all are to be `analysed`.

    Args:
        planned: The runs of the study, whose teachers they name.
        results: The ledger's results, by run id.
        weights: The folder of kept weights.
        analysed: Whether the study analyses the weights of all its runs.
        elsewhere: The names of kept weights that are not in the folder, but where it is a working copy of.
        study: The study's name.
        keeps_stopped: Whether runs that were stopped early stay so.
    """
    cells, teachers = each_once(planned)
    todo: dict[str, PlannedRun] = {}

    def has_weights(run: PlannedRun, file: str) -> bool:
        """Whether the run's weights are there, or never will be."""
        result = results.get(run.run_id)
        if result is None or not result.is_result:
            return False
        return result.outcome == "diverged" or file in elsewhere or (weights / file).exists()

    def is_over(run: PlannedRun) -> bool:
        result = results.get(run.run_id)
        return result is not None and (result.is_result or (keeps_stopped and result.outcome == "stopped"))

    def add(run: PlannedRun) -> None:
        if run.teacher is not None and run.config.kd is not None:
            taught_by = run.config.kd
            if not has_weights(run.teacher, weights_file(taught_by.teacher, taught_by.teacher_weights)):
                add(run.teacher)
        todo.setdefault(run.run_id, run)

    for run in cells.values():
        if not (has_weights(run, weights_file(run.config)) if analysed else is_over(run)):
            add(run)
    return Plan(
        study=study,
        cells=cells,
        teachers=teachers,
        results={name: results[name] for name in (*cells, *teachers) if name in results},
        todo=tuple(todo.values()),
        keeps_weights=frozenset(todo if analysed else teaching(todo.values()).intersection(todo)),
    )


def plan_study(
    study: Study,
    seeds: tuple[int, ...],
    root: Path,
    results: Mapping[str, RunResult] | None = None,
    *,
    keeps_stopped: bool = False,
) -> Plan:
    """The study's plan against `results`, by default those of the ledger under `root`.

    Runs whose data are in no store are left out. Raises BadInputError if that is all of them.

    Args:
        study: The study.
        seeds: The seeds of its runs.
        root: The storage folder.
        results: Results by run id.
        keeps_stopped: Whether runs that were stopped early stay so.
    """
    return make_plan(
        available(study, seeds, root),
        Ledger(root).read() if results is None else results,
        root / "weights",
        analysed=study.keeps_weights,
        elsewhere=weights_elsewhere(root),
        study=study.name,
        keeps_stopped=keeps_stopped,
    )


def merged(plans: Sequence[Plan]) -> Plan:
    """The plans of several studies against one ledger as one, in their order: what they share is there once."""
    cells: dict[str, PlannedRun] = {}
    todo: dict[str, PlannedRun] = {}
    for plan in plans:
        for name, run in plan.cells.items():
            cells.setdefault(name, run)
        for run in plan.todo:
            todo.setdefault(run.run_id, run)
    return Plan(
        study=", ".join(plan.study for plan in plans),
        cells=cells,
        teachers={name: run for plan in plans for name, run in plan.teachers.items() if name not in cells},
        results={name: result for plan in plans for name, result in plan.results.items()},
        todo=tuple(todo.values()),
        keeps_weights=frozenset[str]().union(*(plan.keeps_weights for plan in plans)),
    )
