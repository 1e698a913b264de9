"""Early stopping of runs of a sweep by the median stopping rule, on validation accuracy only, never on test data.

Which runs are stopped depends on which runs trained concurrently, so a stopped run does not count as a result.
"""

import contextlib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from crossarch.platform.errors import BadInputError
from crossarch.platform.scheduling.listener import Listener
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.site import Site
from crossarch.platform.store.storage import copy_of
from crossarch.search_spaces.study import PlannedRun, Study
from crossarch.search_spaces.sweep import Sweep
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.files import writing

FEWEST = 3
"""Minimum number of other runs to compare with."""

Curve = Sequence[tuple[float, float]]
"""Pairs of the share of the run's epochs that were done, in (0, 1], and the validation accuracy in %."""


def shortfall(own: Curve, others: Iterable[Curve], grace: float) -> float | None:
    """The median stopping rule (Golovin et al. 2017, Google Vizier; as Ray Tune implements it).

    A run is stopped if its best accuracy so far is less than the median of the other runs' mean accuracies between
    `grace` and the time that it has reached. Time is the share of a run's own epochs, as schedules depend on that. No
    run is stopped before `grace`, nor by comparison with fewer than FEWEST others that have come as far.

    Args:
        own: The curve of the run.
        others: The curves of the runs that it is compared with.
        grace: In (0, 1), a share of a run's epochs.

    Returns:
        The median in % if the run is to be stopped, else None.
    """
    reached = max((share for share, _ in own), default=0.0)
    if reached < grace:
        return None
    means = []
    for curve in others:
        before = [accuracy for share, accuracy in curve if grace <= share <= reached]
        if before and max(share for share, _ in curve) >= reached:
            means.append(statistics.fmean(before))
    if len(means) < FEWEST:
        return None
    median = statistics.median(means)
    best = max(accuracy for _, accuracy in own)
    return None if best >= median else median


def curve_of(result: RunResult) -> dict[float, float]:
    """Validation accuracies in % of a run that has ended, by the share of its epochs, in (0, 1], the final included."""
    epochs = result.config.epochs
    accuracies = {point.epoch / epochs: point.validation_accuracy for point in result.curve}
    if result.validation_accuracy is not None:
        accuracies[1.0] = result.validation_accuracy
    return {share: accuracy for share, accuracy in accuracies.items() if accuracy is not None}


class EarlyStopping(Listener):
    """Compares each run of a sweep with the runs of its cell and seed, and requests the end of poor ones.

    Never stopped are teachers and other runs whose weights are kept, runs of the sweep's default point, and runs that
    are not points of the sweep.
    """

    def __init__(self, grace: float, ask: Callable[[str, str], None], queue: ReadyQueue) -> None:
        """`grace` is in (0, 1). `ask` is called with a run's id and the reason at each report that it should end."""
        self._grace, self._ask, self._queue = grace, ask, queue
        self._groups: dict[str, tuple[str, ...]] = {}
        self._stoppable: set[str] = set()
        self._curves: dict[str, dict[float, float]] = {}

    @classmethod
    def at(cls, site: Site, invocation: str, queue: ReadyQueue) -> Self | None:
        """The early stopping of an invocation; None if the site has none configured."""
        if site.stop_early is None:
            return None
        return cls(site.stop_early, partial(ask, site.root, stops_of(invocation)), queue)

    def know(self, study: Study, results: Mapping[str, RunResult], cells: Iterable[PlannedRun]) -> None:
        """Registers the runs of a sweep, whose points will be reported, and `results` of earlier runs by run id."""
        if not isinstance(study, Sweep):
            return
        fixed = {arm.name for arm in study.arms if arm.name not in study.points}
        for run in cells:
            if run.arm not in fixed:
                self._groups.setdefault(run.run_id, (study.name, *run.cell, str(run.config.seed)))
                if run.arm != study.method.name:
                    self._stoppable.add(run.run_id)
        for identity, result in results.items():
            self._curves.setdefault(identity, curve_of(result))

    def point(self, run: PlannedRun, point: Point) -> None:
        """Compares the run, if the point has a validation accuracy. Reports of earlier attempts at it still count."""
        group = self._groups.get(run.run_id)
        if group is None or point.validation_accuracy is None:
            return
        own = self._curves.setdefault(run.run_id, {})
        own[point.epoch / run.config.epochs] = point.validation_accuracy
        if run.run_id in self._queue.keeps_weights or run.run_id not in self._stoppable:
            return
        others = [
            tuple(curve.items())
            for identity, curve in self._curves.items()
            if identity != run.run_id and self._groups.get(identity) == group
        ]
        median = shortfall(tuple(own.items()), others, self._grace)
        if median is not None:
            best = max(own.values())
            why = f"validation accuracy {best:.1f} % at best, below the others' median, {median:.1f} %"
            self._ask(run.run_id, why)

    def done(self, run: PlannedRun, result: RunResult) -> None:
        """Replaces the run's curve by that of its result, which includes points reported to an earlier driver."""
        self._curves[run.run_id] = curve_of(result)


def check_sweeps(site: Site, studies: Iterable[Study]) -> None:
    """Raises BadInputError if early stopping is configured and one of `studies` is not a sweep."""
    for study in studies:
        if site.stop_early is not None and not isinstance(study, Sweep):
            raise BadInputError(
                f"stop_early = {site.stop_early:g} is for sweeps, as robustness is, not for {study.name}"
            )


def stops_of(invocation: str) -> str:
    """The folder below the storage of the files that `ask` writes: among Tune's, which are deleted at the end."""
    return f"ray/{invocation}/stops"


def ask(root: Path, stops: str, identity: str, why: str) -> None:
    """Writes a file that tells the run's worker to stop; it looks for that after each report. Ignores OSError."""
    with contextlib.suppress(OSError):
        copy_of(root).write(f"{stops}/{identity}", writing(why))


def forget(root: Path, invocation: str) -> None:
    """Deletes the files that `ask` wrote for an invocation that has ended. Ignores OSError."""
    with contextlib.suppress(OSError):
        copy_of(root).drop(f"{stops_of(invocation)}/")
