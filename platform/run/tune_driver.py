"""Trains a queue of tasks as Ray Tune trials. Imports Ray: to be imported only where runs are trained."""

import logging
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from crossarch.platform.run.agreement import versions
from crossarch.platform.run.cluster import Cluster
from crossarch.platform.run.demand import Demand
from crossarch.platform.run.estimate import step_count
from crossarch.platform.run.listeners import Listener, tell_blocked
from crossarch.platform.run.plan import Task
from crossarch.platform.run.ready_queue import ReadyQueue
from crossarch.platform.run.site import Site
from crossarch.platform.run.trial import train
from crossarch.trainables.result import Point, RunResult, result_from_dict
from crossarch.trainables.run import blocked, now

RETRIES = 2
"""Times that a run is started anew, from its last checkpoint, when its worker dies."""
UNBEGUN = 10
"""Times that Tune is asked anew for a run whose worker it could not start; it tries RETRIES + 1 times at each."""


class NotSnapshotted:
    """Stays out of Tune's snapshots of the experiment, which are never restored: the ledger is the record."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Interrupt(NotSnapshotted, tune.Stopper):
    """Ends the study early once it has been asked to."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped."""
        return False

    def stop_all(self) -> bool:
        """Whether all trials are to stop."""
        return self.asked

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM asks for an end, a second SIGINT raises KeyboardInterrupt."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self.asked and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked = True

        old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


class QueueSearcher(NotSnapshotted, Searcher):
    """Gives Tune the queue's next task whenever a device is free."""

    def __init__(
        self,
        queue: ReadyQueue,
        site: Site,
        interrupt: Interrupt,
        listeners: Iterable[Listener] = (),
        gpu_share: float = 1.0,
    ) -> None:
        """`listeners` hear of further tasks that are blocked when the queue gets them."""
        super().__init__()
        self.queue, self.interrupt, self.listeners = queue, interrupt, tuple(listeners)
        self.common = {**site.workplace, "gpu_share": gpu_share, "versions": versions()}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The specification of a run; None while teachers are being waited for; FINISHED when nothing is left."""
        task = None if self.interrupt.asked else self.queue.take()
        tell_blocked(self.queue, self.listeners)
        if task is not None:
            return {
                **self.common,
                "run_id": task.run_id,
                "config": task.config.to_dict(),
                "keep_weights": task.keeps_weights,
                "steps": step_count(task.config),
            }
        return Searcher.FINISHED if self.interrupt.asked or self.queue.over else None  # type: ignore[return-value]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the queue hears of it from `Events`, with the run's result."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune's snapshots are never restored."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class Events(NotSnapshotted, tune.Callback):
    """Turns Tune's callbacks into the queue's and the listeners'."""

    def __init__(self, queue: ReadyQueue, listeners: list[Listener], interrupt: Interrupt) -> None:
        self.tasks = queue
        self.listeners = listeners
        self.interrupt = interrupt
        self.running: dict[str, Task] = {}
        self.unbegun = Counter[str]()
        """How often a run's worker never started, by run."""

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has its worker, perhaps after its last one died."""
        identity = trial.config["run_id"]
        if identity not in self.running:
            self.running[identity] = next(self._taken(identity))
            for listener in self.listeners:
                listener.running(self.running[identity])

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A point of the curve, the run's result, or why its worker trains nothing."""
        task = self.running.get(trial.config["run_id"])
        if task is not None and result.get("result"):
            self._over(task, result_from_dict(result["result"]))
        elif result.get("failed"):
            self._lost(trial, result["failed"])
        elif task is not None and result.get("point"):
            for listener in self.listeners:
                listener.point(task, Point(**result["point"]))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The worker has died too often. One that never started is asked for again: Ray finds out late what it lost."""
        identity = trial.config["run_id"]
        if identity not in self.running and any(self._taken(identity)):
            self.unbegun[identity] += 1
            if self.unbegun[identity] <= UNBEGUN:
                self.tasks.put_back(identity)
                return
            self.running[identity] = next(self._taken(identity))
        self._lost(trial, f"its worker died {RETRIES + 1} times: out of memory, killed, or its machine was lost")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Usual after a result; otherwise the trial was stopped."""
        if not self.interrupt.asked:
            self._lost(trial, "it ended without a result")

    def _taken(self, identity: str) -> Iterator[Task]:
        """The task of that run, if it was taken and is not over."""
        return (task for task in self.tasks.in_state("running") if task.run_id == identity)

    def _lost(self, trial: Trial, reason: str) -> None:
        task = self.running.get(trial.config["run_id"])
        if task is not None:
            self._over(task, RunResult(config=task.config, outcome="failed", error=reason, finished_at=now()))

    def _over(self, task: Task, result: RunResult) -> None:
        del self.running[task.run_id]
        self._tell(task, result)
        failed = not result.is_result
        for student in self.tasks.finish(task.run_id, can_teach=result.outcome == "finished", failed=failed):
            outcome = result.outcome if student.teacher_id == task.run_id else "was blocked"
            self._tell(student, blocked(student.config, student.teacher_id or "", outcome))

    def _tell(self, task: Task, result: RunResult) -> None:
        for listener in self.listeners:
            listener.done(task, result)


def keep_credentials() -> None:
    """Keeps Tune from sending the driver's AWS_ variables to its workers in a runtime environment, which Ray logs.

    Every node has credentials of its own.
    """
    names = class_cache.ENV_VARS_TO_PROPAGATE
    names -= {name for name in names if name.startswith("AWS_")}


def request(demand: Demand) -> tune.PlacementGroupFactory:
    """A run's demand, as Tune asks for it."""
    selectors: dict[str, Any] = {"bundle_label_selector": [dict(demand.labels)]} if demand.labels else {}
    return tune.PlacementGroupFactory([demand.bundle], **selectors)


def drive(
    queue: ReadyQueue,
    listeners: list[Listener],
    cluster: Cluster,
    site: Site,
    name: str,
    work: Callable[[dict[str, Any]], None] = train,
) -> bool:
    """Trains all that the queue gives, each run by `work`, and returns whether it was interrupted.

    Tune's own files live under `ray/name` in the site's storage folder until the end.
    """
    interrupt = Interrupt()
    keep_credentials()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a worker that dies is tried again, or is in the ledger
    storage = site.root / "ray"
    tuner = tune.Tuner(
        tune.with_resources(work, request(cluster.demand)),
        tune_config=tune.TuneConfig(
            search_alg=QueueSearcher(queue, site, interrupt, listeners, cluster.demand.gpu_share),
            num_samples=-1,
            max_concurrent_trials=cluster.slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(storage),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[Events(queue, listeners, interrupt)],
            stop=interrupt,
        ),
    )
    try:
        with interrupt.on_signals():
            tuner.fit()
    finally:
        shutil.rmtree(storage / name, ignore_errors=True)
    return interrupt.asked
