"""What the terminal shows while a study trains: runs by state, the last results, and the time left."""

import time
from collections.abc import Hashable, Iterable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from crossarch.platform.scheduling.estimate import kind, makespan, step_count
from crossarch.platform.scheduling.events import Listener
from crossarch.platform.scheduling.plan import Plan, Task
from crossarch.platform.scheduling.queue import ReadyQueue, State
from crossarch.platform.store.invocations import Member
from crossarch.platform.text import duration as in_words
from crossarch.platform.text import one_line
from crossarch.trainables.config.result import Point, RunResult


class TimeLeft:
    """An honest estimate of the time left: from runs done before, else from those under way, else none."""

    def __init__(self, pace: Mapping[Hashable, float], slots: int) -> None:
        """`pace` holds seconds a step by kind (`estimate.paces`)."""
        self.slots = slots
        self._history = dict(pace)
        self._observed: dict[Hashable, float] = {}
        self._first: dict[str, tuple[int, float]] = {}
        self._epoch: dict[str, int] = {}
        self._sizes: dict[str, tuple[Hashable, int]] = {}
        """Kind and steps of each task that was ever asked for."""

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
        pace = self._observed | self._history
        remaining: dict[str, float] = {}
        for task in tasks:
            if task.run_id not in self._sizes:
                self._sizes[task.run_id] = kind(task.config), step_count(task.config)
            alike, steps = self._sizes[task.run_id]
            if alike not in pace:
                return None
            remaining[task.run_id] = pace[alike] * steps * (1 - self._epoch.get(task.run_id, 0) / task.config.epochs)
        return makespan(tasks, remaining, self.slots)


class Live(Progress):
    """A bar, and below it the state of the runs, cut where the terminal ends."""

    state = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar and the line below it."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self.state, no_wrap=True, overflow="ellipsis")


class TerminalProgress(Listener):
    """A listener that shows one live view on a terminal, and a line a run where there is none."""

    def __init__(
        self, console: Console, plan: Plan, queue: ReadyQueue, pace: Mapping[Hashable, float], slots: int
    ) -> None:
        self.console, self.queue = console, queue
        self.time_left = TimeLeft(pace, slots)
        self._labels: dict[str, str] = {}
        self.know(plan.members)
        self._over = 0
        self._best: tuple[float, str] | None = None
        for identity, result in plan.results.items():
            self._compare(identity, result)
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

    def know(self, members: Iterable[Member], study: str = "") -> None:
        """The places in their study, which is named where there are several, of runs that are told of from now on."""
        self._labels |= {m.run_id: " · ".join(filter(None, (study, m.arm, *m.cell))) for m in members}

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
        self._compare(task.run_id, result)
        label = self._label(task.run_id, result)
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
        """Keeps the highest test accuracy after a final epoch: to be looked at, nothing is chosen by it."""
        found = result.test_accuracy
        if result.outcome == "finished" and found is not None and (self._best is None or found > self._best[0]):
            self._best = (found, self._label(identity, result))

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
    told = f"; best so far {best[0]:.1f} % ({best[1]})" if best else ""
    return ", ".join(parts) + told
