"""Ends poor runs of a sweep early: the median stopping rule, on validation accuracy alone, never on test data.

What is stopped depends on which runs were under way together, so a run that was stopped is no result.
"""

import contextlib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from crossarch.platform.errors import BadInputError
from crossarch.platform.scheduling.events import Listener
from crossarch.platform.scheduling.plan import Task
from crossarch.platform.scheduling.site import Site
from crossarch.platform.store.invocations import Member
from crossarch.platform.store.storage import copy_of
from crossarch.search_spaces.study import Study
from crossarch.search_spaces.sweep import Sweep
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.files import writing

FEWEST = 3
"""Runs to compare with, at least."""

Curve = Sequence[tuple[float, float]]
"""Validation accuracies in %, each with the share of the run's epochs, in (0, 1], that were done."""


def shortfall(own: Curve, others: Iterable[Curve], grace: float) -> float | None:
    """The median in % that a run stays below, by which it is to be stopped; None where it may go on.

    The median stopping rule (Golovin et al. 2017, Google Vizier; as Ray Tune has it): the best accuracy of the run so
    far is less than the median of the others' mean accuracies from `grace` to where it is now. Time is the share of a
    run's own epochs, as schedules follow it. Nothing is stopped before `grace`, and none by fewer than FEWEST others
    that came as far.
    """
    reached = max((share for share, _ in own), default=0.0)
    if reached < grace:
        return None
    means = []
    for curve in others:
        before = [accuracy for share, accuracy in curve if grace <= share <= reached]
        if before and max(share for share, _ in curve) >= reached:
            means.append(statistics.fmean(before))
    if len(means) < FEWEST or max(accuracy for _, accuracy in own) >= (median := statistics.median(means)):
        return None
    return median


def curve_of(result: RunResult) -> dict[float, float]:
    """Of a run that has ended: validation accuracy in % by the share of its epochs, the final one included."""
    epochs = result.config.epochs
    told = {point.epoch / epochs: point.validation_accuracy for point in result.curve}
    if result.validation_accuracy is not None:
        told[1.0] = result.validation_accuracy
    return {share: accuracy for share, accuracy in told.items() if accuracy is not None}


class EarlyStopping(Listener):
    """A listener that compares each run of a sweep with those of its cell and seed, and asks for the end of poor ones.

    Runs that others learn from or whose weights are kept, the sweep's default point and what is no point of it, are
    never stopped.
    """

    def __init__(self, grace: float, ask: Callable[[str, str], None]) -> None:
        """`grace` is in (0, 1); `ask` gets a run's id and why it is to end."""
        self._grace, self._ask = grace, ask
        self._groups: dict[str, tuple[str, ...]] = {}
        self._stoppable: set[str] = set()
        self._curves: dict[str, dict[float, float]] = {}

    @classmethod
    def at(cls, site: Site, invocation: str) -> Self | None:
        """That of an invocation; None where the site stops no run."""
        return None if site.stop_early is None else cls(site.stop_early, partial(ask, site.root, stops_of(invocation)))

    def know(self, study: Study, results: Mapping[str, RunResult], members: Iterable[Member]) -> None:
        """Members of a sweep, and `results` of earlier ones, by run id."""
        if not isinstance(study, Sweep):
            return
        fixed = {arm.name for arm in study.arms if arm.name not in study.points}
        for member in members:
            if member.role == "cell" and member.arm not in fixed:
                self._groups.setdefault(member.run_id, (study.name, *member.cell, member.run_id.rpartition("-s")[2]))
                if member.arm != study.method.name:
                    self._stoppable.add(member.run_id)
        for identity, result in results.items():
            self._curves.setdefault(identity, curve_of(result))

    def point(self, task: Task, point: Point) -> None:
        """Compares the run, where it was validated; what an earlier attempt at it reported still counts."""
        group = self._groups.get(task.run_id)
        if group is None or point.validation_accuracy is None:
            return
        own = self._curves.setdefault(task.run_id, {})
        own[point.epoch / task.config.epochs] = point.validation_accuracy
        if task.keeps_weights or task.run_id not in self._stoppable:
            return
        others = [
            tuple(curve.items())
            for identity, curve in self._curves.items()
            if identity != task.run_id and self._groups.get(identity) == group
        ]
        median = shortfall(tuple(own.items()), others, self._grace)
        if median is not None:
            best = max(own.values())
            why = f"validation accuracy {best:.1f} % at best, below the others' median, {median:.1f} %"
            self._ask(task.run_id, why)

    def done(self, task: Task, result: RunResult) -> None:
        """The whole curve, also what was reported to an earlier driver."""
        self._curves[task.run_id] = curve_of(result)


def check_sweeps(site: Site, studies: Iterable[Study]) -> None:
    """Raises BadInputError where runs are to be stopped early in a study that compares no points of a space."""
    for study in studies:
        if site.stop_early is not None and not isinstance(study, Sweep):
            raise BadInputError(
                f"stop_early = {site.stop_early:g} is for sweeps, as robustness is, not for {study.name}"
            )


def stops_of(invocation: str) -> str:
    """The name, below the storage, of the folder of what `ask` writes: among Tune's files, which go at the end."""
    return f"ray/{invocation}/stops"


def ask(root: Path, stops: str, identity: str, why: str) -> None:
    """Leaves a file for the run's worker, which looks for it after each report. Where none can be written, nothing."""
    with contextlib.suppress(OSError):
        copy_of(root).write(f"{stops}/{identity}", writing(why))


def forget(root: Path, invocation: str) -> None:
    """Removes what `ask` wrote for an invocation that is over, as far as the storage lets us."""
    with contextlib.suppress(OSError):
        copy_of(root).drop(f"{stops_of(invocation)}/")
