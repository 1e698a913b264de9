"""The terminal's view of a study in training: runs by state, the last results, and the time left."""

import time
from collections.abc import Hashable, Iterable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from crossarch.platform.scheduling.estimate import kind, makespan, step_count
from crossarch.platform.scheduling.listener import Listener
from crossarch.platform.scheduling.queue import ReadyQueue, State
from crossarch.platform.text import duration as in_words
from crossarch.platform.text import one_line
from crossarch.search_spaces.study import PlannedRun, Study
from crossarch.trainables.config.result import Point, RunResult


class TimeLeft:
    """Estimates the time left, from the pace of finished runs, or else of those in training; without these, None."""

    def __init__(self, pace: Mapping[Hashable, float], slots: int) -> None:
        """`pace` is seconds per step by kind (`estimate.paces`), `slots` the number of concurrent runs."""
        self.slots = slots
        self._history = dict(pace)
        self._observed: dict[Hashable, float] = {}
        self._first: dict[str, tuple[int, float]] = {}
        self._epoch: dict[str, int] = {}
        self._sizes: dict[str, tuple[Hashable, int]] = {}
        """Kind and steps of each run, by run id: a cache."""

    def point(self, run: PlannedRun, epoch: int, clock: float) -> None:
        """Records that the run has done `epoch` epochs at the time `clock`, in seconds."""
        first_epoch, first_clock = self._first.setdefault(run.run_id, (epoch, clock))
        self._epoch[run.run_id] = epoch
        if epoch > first_epoch:
            steps = step_count(run.config) * (epoch - first_epoch) / run.config.epochs
            self._observed[kind(run.config)] = (clock - first_clock) / steps

    def seconds(self, queue: ReadyQueue) -> float | None:
        """Seconds until the queue is done; None while it has a kind of run whose pace is unknown."""
        runs = [*queue.in_state("running"), *queue.in_state("ready"), *queue.in_state("waiting")]
        pace = self._observed | self._history
        remaining: dict[str, float] = {}
        for run in runs:
            if run.run_id not in self._sizes:
                self._sizes[run.run_id] = kind(run.config), step_count(run.config)
            alike, steps = self._sizes[run.run_id]
            if alike not in pace:
                return None
            remaining[run.run_id] = pace[alike] * steps * (1 - self._epoch.get(run.run_id, 0) / run.config.epochs)
        return makespan(runs, remaining, self.slots)


class Live(Progress):
    """A progress bar, and below it the state of the runs, truncated to the terminal's width."""

    state = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The progress bar and the line below it."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self.state, no_wrap=True, overflow="ellipsis")


class TerminalProgress(Listener):
    """Shows a live view on a terminal; otherwise prints one line per run."""

    def __init__(self, console: Console, queue: ReadyQueue, pace: Mapping[Hashable, float], slots: int) -> None:
        self.console, self.queue = console, queue
        self.time_left = TimeLeft(pace, slots)
        self._labels: dict[str, str] = {}
        self._over = 0
        self._best: tuple[float, str] | None = None
        self._bar = Live(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self._line = self._bar.add_task("training", total=len(queue), left="starting workers")
        self._bar.state = one_line(state_of(self.queue, self._best))

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self._bar.stop()

    def know(self, study: Study, runs: Iterable[PlannedRun], *, named: bool = False) -> None:
        """Adds the labels of runs of a study: those of arm and cell, after the study's name if `named`."""
        first = (study.name,) if named else ()
        self._labels |= {run.run_id: " · ".join((*first, *study.names(run))) for run in runs}

    def compare(self, results: Mapping[str, RunResult]) -> None:
        """Takes results of earlier runs, by run id, into the best so far."""
        for identity, result in results.items():
            self._compare(identity, result)
        self._bar.state = one_line(state_of(self.queue, self._best))

    def running(self, run: PlannedRun) -> None:
        """Refreshes the view."""
        self._refresh()

    def point(self, run: PlannedRun, point: Point) -> None:
        """Updates the time left."""
        self.time_left.point(run, point.epoch, time.monotonic())
        self._refresh()

    def done(self, run: PlannedRun, result: RunResult) -> None:
        """Prints a line for the run, above the live view."""
        self._over += 1
        self._compare(run.run_id, result)
        label = self._label(run.run_id, result)
        accuracy = "" if result.test_accuracy is None else f"  {result.test_accuracy:5.1f} %"
        spent = f"  {in_words(result.device_seconds)}" if result.is_result or result.outcome == "stopped" else ""
        why = f"  {escape(result.error)}" if result.error else ""
        self._bar.console.print(
            f"{self._over:>4}/{len(self.queue)}  {result.outcome:<8}  {escape(label)}{accuracy}{spent}{why}",
            highlight=False,
            soft_wrap=True,
        )
        self._refresh()

    def _label(self, identity: str, result: RunResult) -> str:
        """`full · ResNet18 · seed 0`."""
        name = self._labels.get(identity, result.config.model.architecture)
        return f"{name} · seed {result.config.seed}"

    def _compare(self, identity: str, result: RunResult) -> None:
        """Keeps the highest test accuracy after a final epoch. It is only displayed; nothing is chosen by it."""
        accuracy = result.test_accuracy
        if result.outcome == "finished" and accuracy is not None and (self._best is None or accuracy > self._best[0]):
            self._best = (accuracy, self._label(identity, result))

    def _refresh(self) -> None:
        if not self.console.is_terminal:
            return
        seconds = self.time_left.seconds(self.queue)
        left = "time left not known yet" if seconds is None else f"about {in_words(seconds)} left"
        self._bar.state = one_line(state_of(self.queue, self._best))
        self._bar.update(self._line, completed=self._over, total=len(self.queue), left=left)


def state_of(queue: ReadyQueue, best: tuple[float, str] | None) -> str:
    """`2 running, 3 ready, 4 waiting for a teacher, 1 failed; best so far 93.1 % (full · ResNet18 · seed 0)`."""
    shown: tuple[State, ...] = ("running", "ready", "waiting", "failed", "blocked", "stopped")
    words = {"waiting": "waiting for a teacher", "stopped": "stopped early"}
    counts = {state: len(queue.in_state(state)) for state in shown}
    parts = [f"{n} {words.get(state, state)}" for state, n in counts.items() if n or state == "running"]
    best_so_far = f"; best so far {best[0]:.1f} % ({best[1]})" if best else ""
    return ", ".join(parts) + best_so_far
