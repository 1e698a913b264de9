"""What the terminal shows while a study trains: runs by state, the last results, and the time left."""

import time
from collections.abc import Hashable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from crossarch.platform.report.wording import duration as in_words
from crossarch.platform.run.estimate import duration, kind, makespan, step_count
from crossarch.platform.run.plan import Plan, Task
from crossarch.platform.run.ready_queue import ReadyQueue
from crossarch.trainables.result import Point, RunResult


class TimeLeft:
    """An honest estimate of the time left: from runs done before, else from those under way, else none."""

    def __init__(self, pace: Mapping[Hashable, float], slots: int) -> None:
        """`pace` holds seconds a step by kind (`estimate.paces`)."""
        self.slots = slots
        self._history = dict(pace)
        self._observed: dict[Hashable, float] = {}
        self._first: dict[str, tuple[int, float]] = {}
        self._epoch: dict[str, int] = {}

    def point(self, config_id: str, task: Task, epoch: int, clock: float) -> None:
        """The task has done `epoch` epochs when `clock` shows so many seconds."""
        first_epoch, first_clock = self._first.setdefault(config_id, (epoch, clock))
        self._epoch[config_id] = epoch
        if epoch > first_epoch:
            steps = step_count(task.config) * (epoch - first_epoch) / task.config.epochs
            self._observed[kind(task.config)] = (clock - first_clock) / steps

    def seconds(self, queue: ReadyQueue) -> float | None:
        """Seconds until the queue is done; None while a kind of run in it has never been seen."""
        tasks = [*queue.in_state("running"), *queue.in_state("ready"), *queue.in_state("waiting")]
        remaining: dict[str, float] = {}
        for task in tasks:
            whole = duration(task.config, self._observed | self._history)
            if whole is None:
                return None
            remaining[task.run_id] = whole * (1 - self._epoch.get(task.run_id, 0) / task.config.epochs)
        return makespan(tasks, remaining, self.slots)


class TerminalProgress:
    """A listener that shows one live line on a terminal, and a line a run where there is none."""

    def __init__(
        self, console: Console, plan: Plan, queue: ReadyQueue, pace: Mapping[Hashable, float], slots: int
    ) -> None:
        self.console, self.queue = console, queue
        self.time_left = TimeLeft(pace, slots)
        self._labels = {m.run_id: " · ".join((m.arm, *m.cell)) for m in plan.members}
        self._total = len(plan.tasks)
        self._over = 0
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            transient=True,
        )
        self._line = self._bar.add_task("training", total=self._total, state="starting workers")

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self._bar.stop()

    def running(self, task: Task) -> None:
        """One more under way."""
        self._refresh()

    def point(self, task: Task, point: Point) -> None:
        """A little less time left."""
        self.time_left.point(task.run_id, task, point.epoch, time.monotonic())
        self._refresh()

    def done(self, task: Task, result: RunResult) -> None:
        """A line for the run, above the live one."""
        self._over += 1
        label = f"{self._labels.get(task.run_id, task.config.model.architecture)} · seed {task.config.seed}"
        accuracy = "" if result.test_accuracy is None else f"  {result.test_accuracy:5.1f} %"
        spent = f"  {in_words(result.device_seconds)}" if result.is_result else ""
        why = f"  {escape(result.error)}" if result.error else ""
        self._bar.console.print(
            f"{self._over:>4}/{self._total}  {result.outcome:<8}  {escape(label)}{accuracy}{spent}{why}",
            highlight=False,
            soft_wrap=True,
        )
        self._refresh()

    def _refresh(self) -> None:
        seconds = self.time_left.seconds(self.queue)
        counts = {state: len(self.queue.in_state(state)) for state in ("running", "waiting", "failed", "blocked")}
        parts = [f"{counts['running']} running"]
        if counts["waiting"]:
            parts.append(f"{counts['waiting']} waiting for a teacher")
        if counts["failed"] + counts["blocked"]:
            parts.append(f"{counts['failed'] + counts['blocked']} failed or blocked")
        parts.append("time left not known yet" if seconds is None else f"about {in_words(seconds)} left")
        self._bar.update(self._line, completed=self._over, state=", ".join(parts))
