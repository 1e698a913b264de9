"""Who hears of the runs while they train: the ledger, MLflow, and whatever else is a `Listener`."""

from collections.abc import Container, Iterable
from pathlib import Path

from crossarch.platform.record.ledger import Ledger
from crossarch.platform.record.mlflow_writer import Writer
from crossarch.platform.record.storage import copy_of
from crossarch.platform.run.plan import Task
from crossarch.platform.run.ready_queue import ReadyQueue
from crossarch.trainables.result import Point, RunResult


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
    from crossarch.trainables.run import blocked  # imports torch

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
