"""Shows a study in MLflow while it trains, from a thread of its own that nobody ever waits for."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from crossarch.platform.record.invocations import Invocation, Member
from crossarch.platform.record.mlflow import Experiment, View
from crossarch.platform.record.mlflow_description import (
    Measurement,
    describe,
    describe_running,
    owners,
    point_metrics,
)
from crossarch.platform.record.mlflow_store import TrackingError, tracked
from crossarch.trainables.config import RunConfig
from crossarch.trainables.result import Point, RunResult

_POINTS_WAITING = 10_000
"""Live points beyond these are dropped: the run's result brings them again."""
_BREATH = 0.5
"""Seconds from one delivery to the next: what comes meanwhile goes together, and the points of a run that ends not
at all, as its result brings them."""
_LONGEST_PAUSE = 300.0
"""Seconds. After the n-th failure in a row the writer leaves MLflow alone for 2^n seconds, up to these."""


@dataclass(frozen=True, kw_only=True)
class _Opened:
    invocations: tuple[Invocation, ...]
    current: Invocation
    results: dict[str, RunResult]


@dataclass(frozen=True, kw_only=True)
class _Started:
    run_id: str
    number: int
    config: RunConfig
    environment: Mapping[str, Any]
    instant: int


@dataclass(frozen=True, kw_only=True)
class _Done:
    run_id: str
    number: int
    result: RunResult


@dataclass(frozen=True, kw_only=True)
class _Reported:
    run_id: str
    metrics: list[Measurement]


_Event = _Opened | _Started | _Done | _Reported


class Writer:
    """MLflow's view of one invocation, live. No method raises or waits, but for `close`.

    What could not be delivered is tried again after a pause, and once more on closing. `clock` gives seconds.
    """

    def __init__(self, tracking_uri: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.last_error: str | None = None
        """The latest failure, in one sentence."""
        self.failures = 0
        self._wanted: dict[str, int] = {}
        self._events: queue.SimpleQueue[_Event | None] = queue.SimpleQueue()
        """None is the last."""
        self._points_waiting = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._courier = _Courier(tracking_uri, clock)
        self._thread: threading.Thread | None = None

    def open(
        self,
        current: Invocation,
        *,
        earlier: Iterable[Invocation] = (),
        results: Mapping[str, RunResult] | None = None,
    ) -> None:
        """Begins, once, to show `current`: first the study's `earlier` invocations and `results`, then what comes."""
        invocations = (*(invocation for invocation in earlier if invocation.id != current.id), current)
        self._wanted[current.id] = 0
        self._events.put(_Opened(invocations=invocations, current=current, results=dict(results or {})))
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)
        self._thread.start()

    def running(self, run_id: str, config: RunConfig, environment: Mapping[str, Any] | None = None) -> None:
        """A member has begun, or begins again."""
        number = self._want(run_id)
        self._events.put(
            _Started(run_id=run_id, number=number, config=config, environment=environment or {}, instant=_now())
        )

    def point(self, run_id: str, point: Point) -> None:
        """A run that is `running` has reported; dropped where too many reports wait."""
        with self._lock:
            if self._points_waiting >= _POINTS_WAITING:
                return
            self._points_waiting += 1
        self._events.put(_Reported(run_id=run_id, metrics=point_metrics(point, _now())))

    def done(self, result: RunResult) -> None:
        """A run has ended."""
        run_id = result.run_id
        self._events.put(_Done(run_id=run_id, number=self._want(run_id), result=result))

    def close(self, timeout: float) -> int:
        """Ends the invocation in at most `timeout` seconds; how many runs, it included, are not level."""
        self._events.put(None)
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout)
        return sum(self._courier.shown.get(name) != number for name, number in self._wanted.items())

    def _want(self, run_id: str) -> int:
        self._wanted[run_id] = self._wanted.get(run_id, 0) + 1
        return self._wanted[run_id]

    def _work(self) -> None:
        closed = False
        while not closed:
            for event in self._waiting():
                if event:
                    self._courier.take(event)
                closed = closed or event is None
            error = self._courier.deliver(last=closed)
            if error is not None:
                self.failures += 1
                self.last_error = error
            self._closing.wait(_BREATH)

    def _waiting(self) -> list[_Event | None]:
        """All that wait; none where it is time to try again first."""
        try:
            events = [self._events.get(timeout=self._courier.patience())]
        except queue.Empty:
            return []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                break
        with self._lock:
            self._points_waiting -= sum(isinstance(event, _Reported) for event in events)
        return events


class _Courier:
    """The thread's side: what is to be shown, and the attempts to show it. Only its thread calls it."""

    def __init__(self, tracking_uri: str, clock: Callable[[], float]) -> None:
        self.shown: dict[str, int] = {}
        """The number of the latest event of each run, and 0 of the closed invocation, that MLflow has."""
        self._view = View(tracking_uri)
        self._clock = clock
        self._experiment: Experiment | None = None
        self._opened: _Opened | None = None
        self._owners: dict[str, tuple[Invocation, Member]] = {}
        self._running: dict[str, _Started] = {}
        self._points: dict[str, list[Measurement]] = {}
        self._taken: dict[str, int] = {}
        self._failures_in_a_row = 0
        self._again_at = 0.0

    def take(self, event: _Event) -> None:
        """Remembers what is to be shown."""
        match event:
            case _Opened():
                self._opened = event
                self._owners = owners(event.invocations)
            case _Started():
                self._running[event.run_id] = event
                self._taken[event.run_id] = event.number
            case _Reported():
                if event.run_id in self._running:
                    self._points.setdefault(event.run_id, []).extend(event.metrics)
            case _Done() if self._opened is not None:
                self._opened.results[event.run_id] = event.result
                self._running.pop(event.run_id, None)
                self._taken[event.run_id] = event.number

    def patience(self) -> float | None:
        """Seconds until the next attempt; None where nothing waits for one."""
        behind = self._experiment is None or self._points or self._behind()
        return max(0.0, self._again_at - self._clock()) if behind and self._opened is not None else None

    def deliver(self, *, last: bool) -> str | None:
        """Brings MLflow level as far as it lets us; why it could not, or None. `last` ends the invocation."""
        if self._opened is None or (self._clock() < self._again_at and not last):
            return None
        try:
            with tracked(self._view.tracking_uri):
                self._deliver(self._opened, last=last)
        except TrackingError as error:
            self._experiment = None  # what arrived is unknown: look again
            self._failures_in_a_row += 1
            self._again_at = self._clock() + min(2.0**self._failures_in_a_row, _LONGEST_PAUSE)
            return str(error)
        self._failures_in_a_row = 0
        return None

    def _deliver(self, opened: _Opened, *, last: bool) -> None:
        if self._experiment is None or last:
            self._open_or_close(opened, last=last)
        if last:
            return
        for run_id in self._behind():
            self._show(opened, run_id)
        for run_id in list(self._points):
            if self._experiment is not None and run_id in self._running:
                self._experiment.add_points(run_id, self._points[run_id])
            del self._points[run_id]

    def _open_or_close(self, opened: _Opened, *, last: bool) -> None:
        """Levels the whole study, as `View.level` would; on closing, what still runs counts as interrupted."""
        experiment = self._experiment or self._view.experiment(opened.current.study, opened.current.question)
        experiment.level(
            opened.invocations,
            opened.results,
            current=None if last else opened.current.id,
            training=() if last else self._running,
        )
        self._experiment = experiment
        if last:
            self.shown |= self._taken | {opened.current.id: 0}

    def _show(self, opened: _Opened, run_id: str) -> None:
        if self._experiment is None:
            return
        owner = self._owners.get(run_id)
        started = self._running.get(run_id)
        if owner is not None:
            invocation, member = owner
            if started is not None:
                description = describe_running(
                    started.config, started.environment, member, invocation, started=started.instant
                )
            else:
                description = describe(opened.results[run_id], member, invocation)
            self._experiment.show(description, parent=invocation.id)
        self.shown[run_id] = self._taken[run_id]

    def _behind(self) -> list[str]:
        return [run_id for run_id, number in self._taken.items() if self.shown.get(run_id) != number]


def _now() -> int:
    """Milliseconds since 1970."""
    return round(time.time() * 1000)
