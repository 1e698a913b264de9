"""What Prometheus sees of a study that trains, through the metrics of Ray's nodes, which put `ray_` before each name.

    crossarch_runs{study, state}                    runs now: waiting, ready, running, done, failed, blocked, stopped
    crossarch_runs_ended_total{study, outcome}      that this driver ended: finished, diverged, failed, blocked, stopped
    crossarch_device_seconds_total{study, outcome}  seconds that those have held their device
    crossarch_steps_per_second{architecture}        of each run that trains, told by its worker (`Pace`)

A run that several studies share counts in the first of them. A scrape of any node's metrics port finds those of the
processes there.
"""

from collections import Counter as Counts
from typing import get_args

from crossarch.platform.run.listeners import Listener
from crossarch.platform.run.plan import Task
from crossarch.platform.run.ready_queue import ReadyQueue, State
from crossarch.trainables.result import RunResult


class MetricsListener(Listener):
    """Keeps the driver's metrics level with the queue."""

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
