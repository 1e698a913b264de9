"""Trains a queue of tasks as Ray Tune trials. Imports Ray: to be imported only where runs are trained.

A trial is a worker with a cohort of runs. One that died Tune does not start anew: `Cohorts` knows what is left.
"""

import logging
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from crossarch.platform.scheduling.cluster import Cluster
from crossarch.platform.scheduling.demand import Demand
from crossarch.platform.scheduling.estimate import step_count
from crossarch.platform.scheduling.events import Listener, tell_blocked
from crossarch.platform.scheduling.plan import Task
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.stopping import forget, stops_of
from crossarch.platform.scheduling.trial import train
from crossarch.platform.scheduling.version_check import versions
from crossarch.platform.scheduling.workers import Cohorts, Packing


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


def specify(task: Task) -> dict[str, Any]:
    """What a worker must know of one run, as plain values."""
    return {
        "run_id": task.run_id,
        "config": task.config.to_dict(),
        "keep_weights": task.keeps_weights,
        "steps": step_count(task.config),
    }


class QueueSearcher(NotSnapshotted, Searcher):
    """Gives Tune the queue's next tasks whenever a device is free."""

    def __init__(self, cohorts: Cohorts, site: Site, interrupt: Interrupt, name: str = "") -> None:
        super().__init__()
        self.cohorts, self.interrupt = cohorts, interrupt
        stops = {} if site.stop_early is None else {"stops": stops_of(name)}
        self.common = {**site.workplace, "versions": versions(), **stops}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The specification of a cohort; None while teachers are being waited for; FINISHED when nothing is left."""
        asked, queue = self.interrupt.asked, self.cohorts.queue
        cohort = None if asked else self.cohorts.give(trial_id)
        tell_blocked(queue, self.cohorts.listeners)
        if cohort:
            return {**self.common, "gpu_share": cohort.share, "runs": [*map(specify, cohort.left)]}
        return Searcher.FINISHED if asked or queue.over else None  # type: ignore[return-value]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the queue hears of it from `Events`, with the run's result."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune's snapshots are never restored."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class Events(NotSnapshotted, tune.Callback):
    """Tells the cohorts of Tune's trials."""

    def __init__(self, cohorts: Cohorts, interrupt: Interrupt) -> None:
        self.cohorts, self.interrupt = cohorts, interrupt

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has its worker."""
        self.cohorts.begin(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A report of its worker's."""
        self.cohorts.report(trial.trial_id, result)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Tune will replace the worker, whose machine was taken away: there is less for it to do now."""
        runs = trial.config["runs"]
        trial.config["runs"] = runs[len(runs) - self.cohorts.left(trial.trial_id) :]

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The worker has died, or never started."""
        self.cohorts.died(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Usual after the last result; otherwise the trial was stopped, as all are once the study is to end."""
        if not self.interrupt.asked:
            self.cohorts.ended(trial.trial_id)


def keep_credentials() -> None:
    """Keeps Tune from sending AWS_ variables to workers, which have their own, in a way that Ray logs."""
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
    """Trains all that the queue gives, each cohort by `work`, and returns whether it was interrupted."""
    interrupt, demand = Interrupt(), cluster.demand
    cohorts = Cohorts(queue, listeners, Packing(demand), most=site.cohort, slots=cluster.slots)
    trainable = tune.with_resources(work, lambda spec: request(demand.sharing(spec["gpu_share"])))
    plan = tune.TuneConfig(
        search_alg=QueueSearcher(cohorts, site, interrupt, name),
        num_samples=-1,
        max_concurrent_trials=cluster.slots,
        reuse_actors=True,
    )
    try:
        fit(trainable, site, name, Events(cohorts, interrupt), interrupt, tune_config=plan)
    finally:
        if site.stop_early is not None:
            forget(site.root, name)
    return interrupt.asked


def fit(
    trainable: Any,
    site: Site,
    name: str,
    callback: tune.Callback,
    interrupt: Interrupt,
    *,
    failures: int = 0,
    **how: Any,
) -> None:
    """Lets Tune train, `how` as its Tuner is told; workers that die are started anew so many times.

    Its own files live under `ray/name` in the site's storage folder until the end.
    """
    keep_credentials()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a worker that dies is tried again, or is in the ledger
    storage = site.root / "ray"
    run_config = tune.RunConfig(
        name=name,
        storage_path=str(storage),
        verbose=0,
        failure_config=tune.FailureConfig(max_failures=failures),
        callbacks=[callback],
        stop=interrupt,
    )
    tuner = tune.Tuner(trainable, run_config=run_config, **how)
    try:
        with interrupt.on_signals():
            tuner.fit()
    finally:
        shutil.rmtree(storage / name, ignore_errors=True)
