"""Trains a queue of runs as Ray Tune trials.

A trial is a worker with a cohort of runs. Tune does not retry a trial whose worker has died: `Cohorts` puts its
remaining runs back into the queue, and they get a new trial.
"""

import logging
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

import crossarch.platform.scheduling.ray_environment  # noqa: F401, before Ray

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from crossarch.platform.scheduling.cluster import Cluster
from crossarch.platform.scheduling.demand import Demand
from crossarch.platform.scheduling.estimate import step_count
from crossarch.platform.scheduling.events import tell_blocked
from crossarch.platform.scheduling.listener import Listener
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.stopping import forget, stops_of
from crossarch.platform.scheduling.trial import train
from crossarch.platform.scheduling.version_check import versions
from crossarch.platform.scheduling.workers import Cohorts, Packing
from crossarch.search_spaces.study import PlannedRun


class NotSnapshotted:
    """Excludes an object from Tune's snapshots, which are never restored: the ledger is the record."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Interrupt(NotSnapshotted, tune.Stopper):
    """Stops all trials after SIGINT or SIGTERM."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """False: no single trial is stopped."""
        return False

    def stop_all(self) -> bool:
        """Whether a signal has asked for the end of the study."""
        return self.asked

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Handles signals: the first SIGINT or SIGTERM asks for the end, a second SIGINT raises KeyboardInterrupt."""

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


def specify(run: PlannedRun, *, keep_weights: bool) -> dict[str, Any]:
    """One run as plain values for a worker, which `trainables.tune.trainable` reads. Tune wants a trial so."""
    return {
        "run_id": run.run_id,
        "config": run.config.to_dict(),
        "keep_weights": keep_weights,
        "steps": step_count(run.config),
    }


class QueueSearcher(NotSnapshotted, Searcher):
    """Suggests the queue's next cohort to Tune whenever a device is free."""

    def __init__(self, cohorts: Cohorts, site: Site, interrupt: Interrupt, name: str = "") -> None:
        super().__init__()
        self.cohorts, self.interrupt = cohorts, interrupt
        stops = {} if site.stop_early is None else {"stops": stops_of(name)}
        self.common = {**site.workplace, "versions": versions(), **stops}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The specification of a cohort; None while no run is ready; FINISHED when the queue is over or interrupted."""
        asked, queue = self.interrupt.asked, self.cohorts.queue
        cohort = None if asked else self.cohorts.give(trial_id)
        tell_blocked(queue, self.cohorts.listeners)
        if cohort:
            runs = [specify(run, keep_weights=run.run_id in queue.keeps_weights) for run in cohort.left]
            return {**self.common, "gpu_share": cohort.share, "runs": runs}
        return Searcher.FINISHED if asked or queue.over else None  # type: ignore[return-value]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Does nothing: `Events` processes the end of a trial, with the run's result."""

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: Tune's snapshots are never restored."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: Tune's snapshots are never restored."""


class Events(NotSnapshotted, tune.Callback):
    """Forwards the events of Tune's trials to the cohorts."""

    def __init__(self, cohorts: Cohorts, interrupt: Interrupt) -> None:
        self.cohorts, self.interrupt = cohorts, interrupt

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial's worker has started."""
        self.cohorts.begin(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial's worker has reported."""
        self.cohorts.report(trial.trial_id, result)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Tune will replace the worker, whose node was preempted with notice.

        The new worker gets only the runs that are not over.
        """
        runs = trial.config["runs"]
        trial.config["runs"] = runs[len(runs) - self.cohorts.left(trial.trial_id) :]

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial's worker has died, or could not be started."""
        self.cohorts.died(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has ended: after its last result, or because the study was interrupted."""
        if not self.interrupt.asked:
            self.cohorts.ended(trial.trial_id)


def keep_credentials() -> None:
    """Keeps Tune from sending the driver's AWS_ variables to its workers in a runtime environment, which Ray logs.

    Every node has credentials of its own.
    """
    names = class_cache.ENV_VARS_TO_PROPAGATE
    names -= {name for name in names if name.startswith("AWS_")}


def request(demand: Demand) -> tune.PlacementGroupFactory:
    """A run's demand as Tune's resource request, with label selectors."""
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
    """Trains all runs of the queue, each cohort by the function `work`. Returns whether it was interrupted."""
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
    **options: Any,
) -> None:
    """Runs a Tuner until all trials have ended; nothing is raised for failed trials.

    Args:
        trainable: What each trial runs.
        site: Tune's files are in `ray/name` of its storage folder, and are deleted at the end.
        name: The name of the experiment.
        callback: Observes the trials.
        interrupt: Stops the trials after a signal.
        failures: How often a trial whose worker has died is restarted by Tune.
        options: Further arguments of the Tuner.
    """
    keep_credentials()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # deaths of workers are retried or recorded
    storage = site.root / "ray"
    run_config = tune.RunConfig(
        name=name,
        storage_path=str(storage),
        verbose=0,
        failure_config=tune.FailureConfig(max_failures=failures),
        callbacks=[callback],
        stop=interrupt,
    )
    tuner = tune.Tuner(trainable, run_config=run_config, **options)
    try:
        with interrupt.on_signals():
            tuner.fit()
    finally:
        shutil.rmtree(storage / name, ignore_errors=True)
