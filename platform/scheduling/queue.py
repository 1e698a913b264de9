"""The queue of runs: a run is ready once its teacher is trained, so that no run waits while it holds a device.

With several studies, runs of the first come first; runs of a later study are handed out when none of an earlier one is
ready.
"""

import math
from collections.abc import Callable, Iterable
from typing import Literal

from crossarch.platform.scheduling.plan import Plan
from crossarch.search_spaces.study import PlannedRun
from crossarch.trainables.config.result import Outcome

State = Literal["waiting", "ready", "running", "done", "failed", "blocked", "stopped"]
"""`ready`: it can be trained. A worker may have it already, and other runs to train first."""

More = Callable[[], list[Plan] | None]
"""Returns further plans when no run is ready, from a sampler say: an empty list for none yet, None for no more."""


class ReadyQueue:
    """Hands out each run once, as soon as its teacher is trained: study by study, in each the teachers first."""

    def __init__(self, plans: Iterable[Plan], unfit: Iterable[str] = (), more: More = lambda: None) -> None:
        """`unfit` are ids of runs without weights to teach with (diverged before): their students are blocked."""
        self.keeps_weights: set[str] = set()
        """The ids of the runs whose weights are kept."""
        self._runs: dict[str, PlannedRun] = {}
        self._studies: dict[str, list[str]] = {}
        self._teaching: set[str] = set()
        self._states: dict[str, State] = {}
        self._taken: set[str] = set()
        self._unfit = set(unfit)
        self._more = more
        self._exhausted = False
        self._blocked_on_arrival: list[PlannedRun] = []
        for plan in plans:
            self.add(plan)

    def __len__(self) -> int:
        """Number of runs ever added."""
        return len(self._runs)

    def add(self, plan: Plan) -> None:
        """Adds what a study has to train; a run that another study has added is shared with it."""
        self.keeps_weights |= plan.keeps_weights
        for run in plan.todo:
            studies = self._studies.setdefault(run.run_id, [])
            if plan.study not in studies:
                studies.append(plan.study)
            if run.run_id in self._runs:
                continue
            self._runs[run.run_id] = run
            if run.teacher is not None:
                self._teaching.add(run.teacher.run_id)
            self._states[run.run_id] = self._first_state(run)
            if self._states[run.run_id] == "blocked":
                self._blocked_on_arrival.append(run)

    def studies(self, identity: str) -> tuple[str, ...]:
        """The names of the studies that a run is trained for; the first is the one that it is handed out with."""
        return tuple(self._studies[identity])

    def _first_state(self, run: PlannedRun) -> State:
        if run.teacher is None:
            return "ready"
        if run.teacher.run_id in self._unfit:
            return "blocked"
        match self._states.get(run.teacher.run_id, "done"):
            case "done":
                return "ready"
            case "failed" | "blocked" | "stopped":
                return "blocked"
            case _:
                return "waiting"

    def blocked_on_arrival(self) -> list[tuple[PlannedRun, str]]:
        """Runs that were blocked when added, with their teacher's outcome in words; each is returned once."""
        outcomes = {"failed": "failed", "blocked": "was blocked", "stopped": "was stopped"}
        blocked = [
            (run, outcomes.get(self._states.get(run.teacher.run_id, ""), "diverged"))
            for run in self._blocked_on_arrival
            if run.teacher is not None
        ]
        self._blocked_on_arrival = []
        return blocked

    def take(self, most: int = 1, slots: int = 1) -> list[PlannedRun]:
        """The next runs for one of `slots` workers, in the order of training; empty while none is ready.

        At most `most` runs, and at most the share ⌈ready / slots⌉ (guided self-scheduling, Polychronopoulos & Kuck
        1987), so that towards the end of a study no worker has several runs while another has none.
        """
        ready = self._free()
        if not ready and not self._exhausted:
            more = self._more()
            self._exhausted = more is None
            for plan in more or ():
                self.add(plan)
            ready = self._free()
        share = math.ceil(len(ready) / max(1, slots))
        order = list(dict.fromkeys(self._studies[run.run_id][0] for run in ready))
        runs = sorted(
            ready, key=lambda run: (order.index(self._studies[run.run_id][0]), run.run_id not in self._teaching)
        )[: min(most, share)]
        self._taken.update(run.run_id for run in runs)
        return runs

    def _free(self) -> list[PlannedRun]:
        return [run for run in self.in_state("ready") if run.run_id not in self._taken]

    def begin(self, identity: str) -> PlannedRun:
        """Marks a run that was taken as running, and returns it."""
        self._states[identity] = "running"
        return self._runs[identity]

    def put_back(self, identity: str) -> None:
        """Makes a run that was taken ready again, whether or not it has begun."""
        self._states[identity] = "ready"
        self._taken.discard(identity)

    def finish(self, identity: str, outcome: Outcome) -> list[PlannedRun]:
        """Marks a taken run as over, and its students as ready or blocked. Returns the newly blocked runs."""
        ends: dict[Outcome, State] = {"failed": "failed", "blocked": "failed", "stopped": "stopped"}
        self._states[identity] = ends.get(outcome, "done")
        unfit = set() if outcome == "finished" else {identity}
        self._unfit |= unfit
        blocked: list[PlannedRun] = []
        for run in self._runs.values():  # teachers come before their students, so one pass suffices
            if self._states[run.run_id] != "waiting" or run.teacher is None:
                continue
            if run.teacher.run_id in unfit:
                self._states[run.run_id] = "blocked"
                unfit.add(run.run_id)
                blocked.append(run)
            elif run.teacher.run_id == identity:
                self._states[run.run_id] = "ready"
        return blocked

    @property
    def over(self) -> bool:
        """Whether no run can be taken any more. False while one is running, as it may be put back."""
        return self._exhausted and not any(state in ("ready", "waiting", "running") for state in self._states.values())

    def in_state(self, state: State) -> list[PlannedRun]:
        """The runs in `state`, in the order in which they were added."""
        return [run for run in self._runs.values() if self._states[run.run_id] == state]
