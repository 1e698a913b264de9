"""Assigns runs to workers and GPU shares to runs, and handles their results and failures. Independent of Ray.

A worker trains a cohort of runs, usually of one, one after another. After each report it waits until the driver has
processed it, so the driver knows which run is in training: the first of the cohort that is not over. Runs that a dead
worker has not finished go back to the queue.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from crossarch.platform.scheduling.demand import Demand, gpu_share
from crossarch.platform.scheduling.estimate import kind
from crossarch.platform.scheduling.listener import Listener
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.search_spaces.study import PlannedRun
from crossarch.trainables.config.result import Point, RunResult, result_from_dict
from crossarch.trainables.training.execute import blocked, now

RETRIES = 2
"""Maximum restarts of a run, from its last checkpoint, after its worker has died."""
MAX_REASSIGNMENTS = 32
"""Maximum reassignments of a run after failed actor starts. Large, as Ray notices late that it has lost a node."""

DIED = f"its worker died {RETRIES + 1} times: out of memory, killed, or its machine was lost"


class Packing:
    """The share of a GPU that each kind of run gets: at first the demand's, more after an out-of-memory error."""

    def __init__(self, demand: Demand) -> None:
        self._least = demand.gpu_share
        self._shares: dict[Hashable, float] = {}

    def share(self, runs: Iterable[PlannedRun]) -> float:
        """The share, in (0, 1], of a worker that trains all of `runs`: the largest that any of them needs."""
        return max([self._least, *(self._shares.get(kind(run.config), 0.0) for run in runs)])

    def loosen(self, run: PlannedRun, share: float) -> bool:
        """After an out-of-memory error at `share` of a GPU, halves the runs per GPU for the run's kind.

        Returns False, and changes nothing, if the GPU was already exclusive.
        """
        if share >= 1:
            return False
        key = kind(run.config)
        self._shares[key] = max(self._shares.get(key, 0.0), larger(share))
        return True


def larger(share: float) -> float:
    """The next larger share: 1/⌊k/2⌋ for a share of 1/k, k > 1. Rounded as by `gpu_share`."""
    return gpu_share(1 / (round(1 / share) // 2))


@dataclass
class Cohort:
    """The runs assigned to one worker."""

    left: list[PlannedRun]
    """The runs that are not over, in the order of training."""
    share: float
    """The worker's share of a GPU, in (0, 1]."""
    begun: bool = False
    """Whether the worker has ever started."""
    trains: bool = False
    """Whether the first of the runs left is in training."""


class Cohorts:
    """Distributes the queue's runs among workers, identified by unique names, and notifies `listeners` of each run."""

    def __init__(
        self, queue: ReadyQueue, listeners: list[Listener], packing: Packing, *, most: int = 1, slots: int = 1
    ) -> None:
        """Workers get at most `most` runs at a time; `slots` workers run concurrently."""
        self.queue, self.listeners, self.packing = queue, listeners, packing
        self.most, self.slots = most, slots
        self.deaths = Counter[str]()
        """Number of deaths of workers while they trained a run, by run id."""
        self.unbegun = Counter[str]()
        """Number of failed starts of workers that were to train a run first, by run id."""
        self._cohorts: dict[str, Cohort] = {}

    def give(self, worker: str) -> Cohort | None:
        """Assigns a cohort to a new worker; None while no run is ready."""
        runs = self.queue.take(self.most, self.slots)
        if runs:
            self._cohorts[worker] = Cohort(runs, self.packing.share(runs))
        return self._cohorts.get(worker)

    def left(self, worker: str) -> int:
        """Number of the worker's runs that are not over; they are the last of its cohort."""
        return len(self._cohorts[worker].left)

    def begin(self, worker: str) -> None:
        """Marks the worker's first remaining run, if any, as running. A worker that was replaced continues that run."""
        cohort = self._cohorts.get(worker)
        if cohort is None or cohort.trains or not cohort.left:
            return
        cohort.begun = cohort.trains = True
        run = self.queue.begin(cohort.left[0].run_id)
        for listener in self.listeners:
            listener.running(run)

    def report(self, worker: str, report: Mapping[str, Any]) -> None:
        """Processes a worker's report on its current run; ignored if that is over.

        The report has one of the keys `point` (of the curve), `result`, `failed` (a sentence that says why) and
        `out_of_memory` (likewise). After all but a point the worker begins its next run, unless the report has `quits`.
        """
        cohort = self._cohorts.get(worker)
        if cohort is None or not cohort.trains:
            return
        match report:
            case {"point": dict(point)}:
                for listener in self.listeners:
                    listener.point(cohort.left[0], Point(**point))
                return
            case {"result": dict(result)}:
                self._end(cohort, result_from_dict(result))
            case {"failed": str(reason)}:
                self._fail(cohort, reason)
            case {"out_of_memory": str(reason)}:
                self._make_room(cohort, reason)
            case _:
                return
        if not report.get("quits"):
            self.begin(worker)

    def died(self, worker: str) -> None:
        """The worker has died, or could not be started.

        This counts against one run only, the one it trained or would have trained first, which fails after RETRIES
        deaths or MAX_REASSIGNMENTS failed starts. Its other runs go back to the queue.
        """
        cohort = self._cohorts[worker]
        first = cohort.left[0].run_id if cohort.left else ""
        if cohort.trains:
            self.deaths[first] += 1
            if self.deaths[first] > RETRIES:
                self._fail(cohort, DIED)
        elif not cohort.begun:
            self.unbegun[first] += 1
            if self.unbegun[first] > MAX_REASSIGNMENTS:
                self.begin(worker)  # only a run that has begun can end
                self._fail(cohort, f"its worker could not be started {MAX_REASSIGNMENTS + 1} times")
        self._put_back(cohort)

    def ended(self, worker: str) -> None:
        """The worker has ended, normally after its last result; a run still in training has failed."""
        cohort = self._cohorts[worker]
        if cohort.trains:
            self._fail(cohort, "it ended without a result")
        self._put_back(cohort)

    def _put_back(self, cohort: Cohort) -> None:
        for run in cohort.left:
            self.queue.put_back(run.run_id)
        cohort.left, cohort.trains = [], False

    def _make_room(self, cohort: Cohort, reason: str) -> None:
        """Puts the current run back, to be retried with a larger share of a GPU; fails it if it had a whole one."""
        if self.packing.loosen(cohort.left[0], cohort.share):
            self.queue.put_back(self._leave(cohort).run_id)
        else:
            self._fail(cohort, reason)

    def _fail(self, cohort: Cohort, reason: str) -> None:
        config = cohort.left[0].config
        self._end(cohort, RunResult(config=config, outcome="failed", error=reason, finished_at=now()))

    def _end(self, cohort: Cohort, result: RunResult) -> None:
        run = self._leave(cohort)
        self._tell(run, result)
        for student in self.queue.finish(run.run_id, result.outcome):
            teacher = student.teacher.run_id if student.teacher else ""
            outcome = result.outcome if teacher == run.run_id else "was blocked"
            self._tell(student, blocked(student.config, teacher, outcome))

    def _leave(self, cohort: Cohort) -> PlannedRun:
        cohort.trains = False
        return cohort.left.pop(0)

    def _tell(self, run: PlannedRun, result: RunResult) -> None:
        for listener in self.listeners:
            listener.done(run, result)
