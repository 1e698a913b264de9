"""Runs and plans made up by name, for queues and listeners that look no further, and the runs of a study by id."""

from collections.abc import Iterable

from settings import PLAIN

from crossarch.platform.scheduling.plan import Plan
from crossarch.search_spaces.study import PlannedRun, each_once
from crossarch.trainables.config.run import RunConfig


def run_of(name: str, teacher: PlannedRun | None = None, config: RunConfig = PLAIN) -> PlannedRun:
    """A run under that id, whatever its configuration would have for one."""
    return PlannedRun(run_id=name, coordinates={"arm": "arm", "axis": "cell"}, config=config, teacher=teacher)


def to_train(runs: Iterable[PlannedRun], study: str = "", keeps_weights: Iterable[str] = ()) -> Plan:
    """The plan of a study that has these runs to train."""
    runs = tuple(runs)
    return Plan(
        study=study,
        cells={run.run_id: run for run in runs},
        teachers={},
        results={},
        todo=runs,
        keeps_weights=frozenset(keeps_weights),
    )


def needed_by(planned: Iterable[PlannedRun]) -> dict[str, PlannedRun]:
    """The runs, and then the teachers that are not among them, by id."""
    cells, teachers = each_once(planned)
    return {**cells, **teachers}
