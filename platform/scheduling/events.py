"""Observers of run events: ledger, MLflow, Prometheus."""

from collections import Counter as Counts
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import crossarch.platform.scheduling.ray_environment  # noqa: F401, before Ray

from ray.util.metrics import Counter, Gauge

from crossarch.platform.scheduling.listener import Listener
from crossarch.platform.scheduling.queue import ReadyQueue, State
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import copy_of
from crossarch.platform.store.tracking import Writer
from crossarch.search_spaces.study import PlannedRun
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.training.execute import blocked


def tell_blocked(queue: ReadyQueue, listeners: Iterable[Listener]) -> None:
    """Reports runs that were blocked when they were added to `listeners`, once, with outcome `blocked`."""
    for run, why in queue.blocked_on_arrival():
        result = blocked(run.config, run.teacher.run_id if run.teacher else "", why)
        for listener in listeners:
            listener.done(run, result)


class LedgerListener(Listener):
    """Writes every result to the ledger and deletes checkpoints that are no longer needed."""

    def __init__(self, ledger: Ledger, root: Path) -> None:
        self.ledger, self.root = ledger, root

    def done(self, run: PlannedRun, result: RunResult) -> None:
        """Writes to the ledger first, so that a crash between the two steps loses nothing."""
        self.ledger.write(result)
        if result.is_result or result.outcome == "stopped":
            copy_of(self.root).drop(f"checkpoints/{run.run_id}/")


class MlflowListener(Listener):
    """Forwards the events of a study's runs to MLflow's writer, which never blocks.

    A run that several studies share is shown in the first of them while it trains, and in the others when it has ended.
    """

    def __init__(self, view: Writer, study: str, queue: ReadyQueue) -> None:
        """`queue` maps runs to studies."""
        self.view, self._study, self._queue = view, study, queue

    def running(self, run: PlannedRun) -> None:
        """Shows the run as RUNNING."""
        if self._queue.studies(run.run_id)[0] == self._study:
            self.view.running(run.run_id, run.config)

    def point(self, run: PlannedRun, point: Point) -> None:
        """Logs the point."""
        if self._queue.studies(run.run_id)[0] == self._study:
            self.view.point(run.run_id, point)

    def done(self, run: PlannedRun, result: RunResult) -> None:
        """Shows the run with its result."""
        if self._study in self._queue.studies(run.run_id):
            self.view.done(result)


class MetricsListener(Listener):
    """Exports metrics of the driver's queue to Prometheus, through the metrics port of Ray's nodes.

    Ray prefixes each name with `ray_`:

        crossarch_runs{study, state}                    number of runs now, by `State`
        crossarch_runs_ended_total{study, outcome}      runs that ended under this driver, by `Outcome`
        crossarch_device_seconds_total{study, outcome}  seconds that those runs occupied their device
        crossarch_steps_per_second{architecture}        of each run in training; exported by its worker (`Pace`)

    A run that several studies share counts in the first of them. Each node's metrics port serves the metrics of the
    processes on that node.
    """

    def __init__(self, queue: ReadyQueue) -> None:
        self._queue = queue
        self._runs = Gauge("crossarch_runs", "Runs by state.", ("study", "state"))
        self._ended = Counter("crossarch_runs_ended_total", "Runs ended, by outcome.", ("study", "outcome"))
        self._seconds = Counter(
            "crossarch_device_seconds_total", "Seconds that ended runs have held their device.", ("study", "outcome")
        )
        self._count()

    def running(self, run: PlannedRun) -> None:
        """Updates the numbers of runs by state."""
        self._count()

    def done(self, run: PlannedRun, result: RunResult) -> None:
        """Counts the run by outcome, and updates the numbers of runs by state."""
        tags = {"study": self._queue.studies(run.run_id)[0], "outcome": result.outcome}
        self._ended.inc(1, tags)
        if result.device_seconds:
            self._seconds.inc(result.device_seconds, tags)
        self._count()

    def _count(self) -> None:
        counts = {
            state: Counts(self._queue.studies(run.run_id)[0] for run in self._queue.in_state(state))
            for state in get_args(State)
        }
        for study in {study for found in counts.values() for study in found}:
            for state, found in counts.items():
                self._runs.set(found[study], {"study": study, "state": state})
