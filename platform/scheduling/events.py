"""Who hears of the runs while they train: the ledger, MLflow, Prometheus, and whatever else is a `Listener`."""

from collections import Counter as Counts
from collections.abc import Container, Iterable
from pathlib import Path
from typing import get_args

from crossarch.platform.scheduling.plan import Task
from crossarch.platform.scheduling.queue import ReadyQueue, State
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import copy_of
from crossarch.platform.store.tracking import Writer
from crossarch.trainables.config.result import Point, RunResult


class Listener:
    """Hears of every run, on the driver, in the order of events; does nothing where a kind of it does not say what."""

    def running(self, task: Task) -> None:
        """A task has got its device."""

    def point(self, task: Task, point: Point) -> None:
        """A task has reported; after a worker's death, epochs may be reported again."""

    def done(self, task: Task, result: RunResult) -> None:
        """A task is over, or will never be trained because its teacher failed."""


def tell_blocked(queue: ReadyQueue, listeners: Iterable[Listener]) -> None:
    """Tells `listeners` of the tasks that are blocked from the first, once, as their teachers came to nothing."""
    from crossarch.trainables.training.execute import blocked  # imports torch

    for task, why in queue.blocked_on_arrival():
        result = blocked(task.config, task.teacher_id or "", why)
        for listener in listeners:
            listener.done(task, result)


class LedgerListener(Listener):
    """Writes every result to the ledger and removes what the run no longer needs."""

    def __init__(self, ledger: Ledger, root: Path) -> None:
        self.ledger, self.root = ledger, root

    def done(self, task: Task, result: RunResult) -> None:
        """The ledger comes first."""
        self.ledger.write(result)
        if result.is_result or result.outcome == "stopped":
            copy_of(self.root).drop(f"checkpoints/{task.run_id}/")


class MlflowListener(Listener):
    """Passes what happens to a study's runs on to MLflow's writer, which never waits.

    A run that several studies share is shown while it trains in the first of them, and in the others once it is over.
    """

    def __init__(self, view: Writer, study: str = "", runs: Container[str] | None = None) -> None:
        """`runs` are the study's, by id, where the driver trains others, too."""
        self.view, self._study, self._runs = view, study, runs

    def running(self, task: Task) -> None:
        """The run appears as running."""
        if task.study == self._study:
            self.view.running(task.run_id, task.config)

    def point(self, task: Task, point: Point) -> None:
        """Its curve goes on."""
        if task.study == self._study:
            self.view.point(task.run_id, point)

    def done(self, task: Task, result: RunResult) -> None:
        """It ends, complete."""
        if self._runs is None or task.run_id in self._runs:
            self.view.done(result)


class MetricsListener(Listener):
    """Keeps level with the queue what Prometheus sees of a study that trains, through the metrics of Ray's nodes.

    Ray puts `ray_` before each name:

        crossarch_runs{study, state}                    runs now, by `State`
        crossarch_runs_ended_total{study, outcome}      that this driver ended, by `Outcome`
        crossarch_device_seconds_total{study, outcome}  seconds that those have held their device
        crossarch_steps_per_second{architecture}        of each run that trains, told by its worker (`Pace`)

    A run that several studies share counts in the first of them. A scrape of any node's metrics port finds those of the
    processes there.
    """

    def __init__(self, queue: ReadyQueue) -> None:
        from ray.util.metrics import Counter, Gauge  # slow, and only where runs are trained

        self._queue = queue
        self._runs = Gauge("crossarch_runs", "Runs by state.", ("study", "state"))
        self._ended = Counter("crossarch_runs_ended_total", "Runs ended, by outcome.", ("study", "outcome"))
        self._seconds = Counter(
            "crossarch_device_seconds_total", "Seconds that ended runs have held their device.", ("study", "outcome")
        )
        self._count()

    def running(self, task: Task) -> None:
        """One more under way."""
        self._count()

    def done(self, task: Task, result: RunResult) -> None:
        """One more over."""
        tags = {"study": task.study, "outcome": result.outcome}
        self._ended.inc(1, tags)
        if result.device_seconds:
            self._seconds.inc(result.device_seconds, tags)
        self._count()

    def _count(self) -> None:
        counts = {state: Counts(task.study for task in self._queue.in_state(state)) for state in get_args(State)}
        for study in {study for found in counts.values() for study in found}:
            for state, found in counts.items():
                self._runs.set(found[study], {"study": study, "state": state})
