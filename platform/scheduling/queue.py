"""The order of work: a run is ready once its teacher is trained, and nothing waits while holding a device.

Of several studies the first comes first, and the next begins where nothing of it is ready.
"""

import math
from collections.abc import Callable, Iterable
from typing import Literal

from crossarch.platform.scheduling.plan import Task
from crossarch.trainables.config.result import Outcome

State = Literal["waiting", "ready", "running", "done", "failed", "blocked", "stopped"]
"""`ready`: nothing is lacking, though a worker may have been given it and have others to train first."""

More = Callable[[], list[Task] | None]
"""Asked for further tasks when nothing is ready, by a sampler say: none for now is an empty list, none ever is None."""


class ReadyQueue:
    """Hands out tasks, study by study and of each the teachers first, as soon as what they need is there."""

    def __init__(self, tasks: Iterable[Task], unfit: Iterable[str] = (), more: More = lambda: None) -> None:
        """`unfit` are runs known to have no weights to teach with (diverged before): their students are blocked."""
        self._tasks: dict[str, Task] = {}
        self._states: dict[str, State] = {}
        self._taken: set[str] = set()
        self._unfit = set(unfit)
        self._more = more
        self._exhausted = False
        self._stillborn: list[Task] = []
        self.add(tasks)

    def __len__(self) -> int:
        """How many tasks it has ever been given."""
        return len(self._tasks)

    def add(self, tasks: Iterable[Task]) -> None:
        """Further tasks; those known already are passed over. A teacher comes before its students."""
        for task in tasks:
            if task.run_id not in self._tasks:
                self._tasks[task.run_id] = task
                self._states[task.run_id] = self._first_state(task)
                if self._states[task.run_id] == "blocked":
                    self._stillborn.append(task)

    def _first_state(self, task: Task) -> State:
        if task.teacher_id in self._unfit:
            return "blocked"
        state = self._states.get(task.teacher_id or "", "done")
        ends = {"failed": "blocked", "blocked": "blocked", "stopped": "blocked"}
        return {"done": "ready", **ends}.get(state, "waiting")  # type: ignore[return-value]

    def blocked_on_arrival(self) -> list[tuple[Task, str]]:
        """Tasks that were blocked when they were added, and what became of their teachers; each is told once."""
        became = {"failed": "failed", "blocked": "was blocked", "stopped": "was stopped"}
        found = [
            (task, became.get(self._states.get(task.teacher_id or "", ""), "diverged")) for task in self._stillborn
        ]
        self._stillborn = []
        return found

    def take(self, most: int = 1, slots: int = 1) -> list[Task]:
        """The next tasks for one of `slots` workers, in the order to train them in; none while none is ready.

        At most `most`, and at most its share ⌈ready / slots⌉ (guided self-scheduling, Polychronopoulos & Kuck 1987):
        towards the end of a study no worker has several to itself while another has none.
        """
        ready = self._free()
        if not ready and not self._exhausted:
            more = self._more()
            self._exhausted = more is None
            self.add(more or ())
            ready = self._free()
        share = math.ceil(len(ready) / max(1, slots))
        order = list(dict.fromkeys(task.study for task in ready))
        tasks = sorted(ready, key=lambda task: (order.index(task.study), not task.teaches))[: min(most, share)]
        self._taken.update(task.run_id for task in tasks)
        return tasks

    def _free(self) -> list[Task]:
        return [task for task in self.in_state("ready") if task.run_id not in self._taken]

    def begin(self, identity: str) -> Task:
        """A task that was taken has got its device, and is running from now on."""
        self._states[identity] = "running"
        return self._tasks[identity]

    def put_back(self, identity: str) -> None:
        """Lets a task be taken again that was taken, whether or not it has begun."""
        self._states[identity] = "ready"
        self._taken.discard(identity)

    def finish(self, identity: str, outcome: Outcome) -> list[Task]:
        """Marks a task that was taken as over and releases or blocks its students; the newly blocked are returned."""
        ends: dict[Outcome, State] = {"failed": "failed", "blocked": "failed", "stopped": "stopped"}
        self._states[identity] = ends.get(outcome, "done")
        unfit = set() if outcome == "finished" else {identity}
        self._unfit |= unfit
        blocked: list[Task] = []
        for task in self._tasks.values():  # a teacher comes before its students, so one pass reaches everyone
            if self._states[task.run_id] != "waiting":
                continue
            if task.teacher_id in unfit:
                self._states[task.run_id] = "blocked"
                unfit.add(task.run_id)
                blocked.append(task)
            elif task.teacher_id == identity:
                self._states[task.run_id] = "ready"
        return blocked

    @property
    def over(self) -> bool:
        """Whether nothing is left that could ever be taken: one that was taken may be put back."""
        return self._exhausted and not any(state in ("ready", "waiting", "running") for state in self._states.values())

    def in_state(self, state: State) -> list[Task]:
        """The tasks in one state, in their order."""
        return [task for task in self._tasks.values() if self._states[task.run_id] == state]
