"""Which worker has which runs, how many share a GPU, and what becomes of them. Knows nothing of Ray.

A worker trains a cohort of runs, one after another; most often of one. It waits after each report until the driver has
heard it, so the driver knows which run is under way: the first of the cohort that is not over. What a worker that died
leaves behind goes back to the queue, and is given to the next.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from crossarch.platform.scheduling.demand import Demand, gpu_share
from crossarch.platform.scheduling.estimate import kind
from crossarch.platform.scheduling.events import Listener
from crossarch.platform.scheduling.plan import Task
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.trainables.config.result import Point, RunResult, result_from_dict
from crossarch.trainables.training.execute import blocked, now

RETRIES = 2
"""Times that a run is started anew, from its last checkpoint, when its worker dies."""
UNBEGUN = 32
"""Times that a run is given to another worker because none could be started for it: Ray finds out late what it lost."""

DIED = f"its worker died {RETRIES + 1} times: out of memory, killed, or its machine was lost"


class Packing:
    """The part of a GPU that each kind of runs gets: the demand's, until that proves too small."""

    def __init__(self, demand: Demand) -> None:
        self._least = demand.gpu_share
        self._shares: dict[Hashable, float] = {}

    def share(self, tasks: Iterable[Task]) -> float:
        """For one worker that trains all of `tasks`, in (0, 1]: the largest that one of them needs."""
        return max([self._least, *(self._shares.get(kind(task.config), 0.0) for task in tasks)])

    def loosen(self, task: Task, share: float) -> bool:
        """Lets half as many runs of the task's kind share a GPU; False where it had a whole one."""
        if share >= 1:
            return False
        key = kind(task.config)
        self._shares[key] = max(self._shares.get(key, 0.0), larger(share))
        return True


def larger(share: float) -> float:
    """1/⌊k/2⌋ for a share of 1/k, k > 1. Rounded as `gpu_share` does."""
    return gpu_share(1 / (round(1 / share) // 2))


@dataclass
class Cohort:
    """What one worker has to do."""

    left: list[Task]
    """Those that are not over, in the order of training."""
    share: float
    """Of a GPU."""
    begun: bool = False
    """Whether there ever was such a worker."""
    trains: bool = False
    """Whether the first of those left is under way."""


class Cohorts:
    """The queue's tasks among workers, each known by a name that no later one has; `listeners` hear of every run."""

    def __init__(
        self, queue: ReadyQueue, listeners: list[Listener], packing: Packing, *, most: int = 1, slots: int = 1
    ) -> None:
        """`most` tasks a worker, with `slots` workers at a time."""
        self.queue, self.listeners, self.packing = queue, listeners, packing
        self.most, self.slots = most, slots
        self.deaths = Counter[str]()
        """How often a run's worker has died, by run."""
        self.unbegun = Counter[str]()
        """How often a run's worker never started, by run."""
        self._cohorts: dict[str, Cohort] = {}

    def give(self, worker: str) -> Cohort | None:
        """What that worker is to do; None while no task is ready."""
        tasks = self.queue.take(self.most, self.slots)
        if tasks:
            self._cohorts[worker] = Cohort(tasks, self.packing.share(tasks))
        return self._cohorts.get(worker)

    def left(self, worker: str) -> int:
        """How many of its runs are not over, the last ones that it was given."""
        return len(self._cohorts[worker].left)

    def begin(self, worker: str) -> None:
        """The worker begins, or where it was replaced goes on with, the first run that is left, if any is."""
        cohort = self._cohorts.get(worker)
        if cohort is None or cohort.trains or not cohort.left:
            return
        cohort.begun = cohort.trains = True
        task = self.queue.begin(cohort.left[0].run_id)
        for listener in self.listeners:
            listener.running(task)

    def report(self, worker: str, told: Mapping[str, Any]) -> None:
        """A `point` of a run's curve; its `result`; or in a sentence why it `failed`, or that it is `out_of_memory`.

        After all but a point the worker begins the next run, unless it says that it `quits`.
        """
        cohort = self._cohorts.get(worker)
        if cohort is None or not cohort.trains:
            return
        match told:
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
        if not told.get("quits"):
            self.begin(worker)

    def died(self, worker: str) -> None:
        """It has died, or never started, which counts for the run that it trained, or would have first."""
        cohort = self._cohorts[worker]
        first = cohort.left[0].run_id if cohort.left else ""
        if cohort.trains:
            self.deaths[first] += 1
            if self.deaths[first] > RETRIES:
                self._fail(cohort, DIED)
        elif not cohort.begun:
            self.unbegun[first] += 1
            if self.unbegun[first] > UNBEGUN:
                self.begin(worker)  # as only what has begun can end
                self._fail(cohort, f"its worker could not be started {UNBEGUN + 1} times")
        self._put_back(cohort)

    def ended(self, worker: str) -> None:
        """The worker trains no more, as usual after its last result."""
        cohort = self._cohorts[worker]
        if cohort.trains:
            self._fail(cohort, "it ended without a result")
        self._put_back(cohort)

    def _put_back(self, cohort: Cohort) -> None:
        for task in cohort.left:
            self.queue.put_back(task.run_id)
        cohort.left, cohort.trains = [], False

    def _make_room(self, cohort: Cohort, reason: str) -> None:
        if self.packing.loosen(cohort.left[0], cohort.share):
            self.queue.put_back(self._leave(cohort).run_id)
        else:
            self._fail(cohort, reason)

    def _fail(self, cohort: Cohort, reason: str) -> None:
        config = cohort.left[0].config
        self._end(cohort, RunResult(config=config, outcome="failed", error=reason, finished_at=now()))

    def _end(self, cohort: Cohort, result: RunResult) -> None:
        task = self._leave(cohort)
        self._tell(task, result)
        for student in self.queue.finish(task.run_id, result.outcome):
            outcome = result.outcome if student.teacher_id == task.run_id else "was blocked"
            self._tell(student, blocked(student.config, student.teacher_id or "", outcome))

    def _leave(self, cohort: Cohort) -> Task:
        cohort.trains = False
        return cohort.left.pop(0)

    def _tell(self, task: Task, result: RunResult) -> None:
        for listener in self.listeners:
            listener.done(task, result)
