"""Runs studies: takes away what the ledger has, trains the rest as one queue, and brings the records level."""

import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from crossarch.platform.errors import refusing
from crossarch.platform.scheduling.cluster import Cluster, on_demand
from crossarch.platform.scheduling.data import bound, prepare
from crossarch.platform.scheduling.estimate import paces
from crossarch.platform.scheduling.events import LedgerListener, Listener, MetricsListener, MlflowListener, tell_blocked
from crossarch.platform.scheduling.plan import Plan, merged, plan_study
from crossarch.platform.scheduling.progress import TerminalProgress
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.sampling import Growth, Supply, growth_of, supplying
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.stopping import EarlyStopping, check_sweeps
from crossarch.platform.store.invocations import Invocation, Member, begin
from crossarch.platform.store.lease import Lease, leased
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.tracking import TrackingError, Writer, sync_study
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.result import RunResult

VIEW_PATIENCE = 30.0
"""Seconds that MLflow gets, after the last run, to show what it has been told."""

Chosen = tuple[Study, tuple[int, ...]]
"""A study and its seeds."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How the invocation of a study ended."""

    study: Study
    """Bound to the sets that it was trained on, with the points that its sampler has chosen, if it has one."""
    outcomes: Counter[str]
    """Of all members; those never trained count as `missing`."""
    interrupted: bool = False

    @property
    def exit_status(self) -> int:
        """0 all finished or were stopped early, as asked, 1 something did not, 130 interrupted."""
        if self.interrupted:
            return 130
        return 0 if set(self.outcomes) <= {"finished", "stopped"} else 1


class Part:
    """A study of an invocation of one or several: what it lacks, and what its sampler, if it has one, still chooses."""

    def __init__(self, study: Study, seeds: tuple[int, ...], site: Site) -> None:
        """Plans `study`. Raises as `plan_study` does."""
        self.seeds, self._root = seeds, site.root
        self.growth: Growth | None = growth_of(study, seeds, keeps_stopped=site.keeps_stopped)
        self.study = self.growth.advance(Ledger(site.root).read()) if self.growth else study
        self.plan = plan_study(self.study, seeds, site.root, keeps_stopped=site.keeps_stopped)
        self.supply = Supply(self.growth, self.plan, seeds, site.root) if self.growth and self.plan.tasks else None

    @property
    def claims(self) -> list[str]:
        """What no other driver may have at the same time."""
        sampler = [f"sampler {self.study.name}"] if self.supply else []
        return [task.run_id for task in self.plan.tasks] + sampler

    def begin(self) -> Invocation:
        """An invocation of it that begins now."""
        command = " ".join(["crossarch", *sys.argv[1:]])
        study = self.study
        return begin(study=study.name, question=study.question, command=command, members=self.plan.members)

    def ending(self, ledger: Ledger, *, interrupted: bool) -> Ending:
        """How it ended, its sampler's points included."""
        study = self.growth.sweep if self.growth else self.study
        plan = plan_study(study, self.seeds, self._root) if self.growth else self.plan
        return Ending(study=study, outcomes=outcomes(plan, ledger.read(plan.configs)), interrupted=interrupted)


def plans_of(chosen: Sequence[Chosen], site: Site) -> list[tuple[Study, Plan]]:
    """What `run_studies` would train now. Raises BadInputError as it does."""
    check_sweeps(site, [study for study, _ in chosen])
    keeps = site.keeps_stopped
    return [(study, plan_study(study, seeds, site.root, keeps_stopped=keeps)) for study, seeds in chosen]


def outcomes(plan: Plan, results: dict[str, RunResult]) -> Counter[str]:
    """How many members ended how; those without a result are `missing`."""
    return Counter(results[m.run_id].outcome if m.run_id in results else "missing" for m in plan.members)


def run_study(study: Study, seeds: tuple[int, ...], site: Site, console: Console) -> Ending:
    """`run_studies` of one."""
    (ending,) = run_studies([(study, seeds)], site, console)
    return ending


def run_studies(chosen: Sequence[Chosen], site: Site, console: Console) -> list[Ending]:
    """Distils and trains what the studies lack, records it, and brings MLflow level.

    All are planned before the first run, and trained as one queue in their order: what they share is trained once, and
    workers stay from one to the next. Where a distillation does not end well, nothing is trained. Raises BadInputError
    where data cannot be had, another driver trains one of the runs, or a study that is no sweep is to be stopped early,
    OSError where the ledger cannot be written, and as `on_demand` says.
    """
    ledger = Ledger(site.root)
    interrupted = False
    check_sweeps(site, [study for study, _ in chosen])
    tell = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    names = ", ".join(study.name for study, _ in chosen)
    with on_demand(site, tell) as cluster, leased(site.root, names, tell) as lease:
        chosen, status = _distilled(chosen, site, console, cluster, lease)
        if status:
            return [_untrained(study, seeds, site.root, status) for study, seeds in chosen]
        parts = [Part(study, seeds, site) for study, seeds in chosen]
        plan = merged([part.plan for part in parts])
        if plan.tasks:
            lease.claim([claim for part in parts for claim in part.claims])
            prepare((task.config for task in plan.tasks), site.root, site.data_root, console.print)
            interrupted = _train(parts, plan, ledger, site, console, cluster)
        for part in (part for part in parts if not part.plan.tasks):
            known = {member.run_id for earlier in ledger.invocations(part.study.name) for member in earlier.members}
            if not known.issuperset(part.plan.configs):
                ledger.write_invocation(part.begin())
    endings = [part.ending(ledger, interrupted=interrupted) for part in parts]
    ledger.compact()
    try:
        for ending in endings:
            sync_study(ledger, site.root, ending.study.name, site.tracking)
    except TrackingError as error:
        console.print(f"MLflow is not level with the ledger: {error} `crossarch sync` makes it so.", style="yellow")
    return endings


def _distilled(
    chosen: Sequence[Chosen], site: Site, console: Console, cluster: Callable[[], Cluster], lease: Lease
) -> tuple[list[Chosen], int]:
    """The studies, bound to the sets that they make themselves, and the exit status of the last distillation."""
    lacking = {f"set {name}" for study, _ in chosen for name in study.to_distil()}
    if not lacking:
        return list(chosen), 0
    lease.claim(lacking)
    from crossarch.platform.scheduling.distil import distil_for

    done: list[Chosen] = []
    for study, seeds in chosen:
        with refusing():
            study = bound(study, site.root)  # to what was distilled for those before it
        study, status = distil_for(study, site, console, cluster)
        if status:
            return [*done, (study, seeds), *chosen[len(done) + 1 :]], status
        done.append((study, seeds))
    return done, 0


def _untrained(study: Study, seeds: tuple[int, ...], root: Path, status: int) -> Ending:
    from crossarch.platform.scheduling.distil import INTERRUPTED

    lacking = Counter(missing=len(plan_study(study, seeds, root).members))
    return Ending(study=study, outcomes=lacking, interrupted=status == INTERRUPTED)


def _train(
    parts: Sequence[Part], plan: Plan, ledger: Ledger, site: Site, console: Console, start: Callable[[], Cluster]
) -> bool:
    """Trains the tasks of `plan`, the parts' as one, and those that their samplers choose; whether it was interrupted.

    Writes nothing before there is a cluster to train on; none is started where all tasks are blocked.
    """
    history = ledger.read().values()
    diverged = (identity for identity, result in plan.results.items() if result.outcome == "diverged")
    supplies = [part.supply for part in parts if part.supply]
    queue = ReadyQueue(plan.tasks, unfit=diverged, more=supplying(supplies))
    at_work = [(part, part.begin(), Writer(site.tracking)) for part in parts if part.plan.tasks]
    try:
        cluster = start() if queue.in_state("ready") else None
        with TerminalProgress(console, plan, queue, paces(history), cluster.slots if cluster else 0) as progress:
            listeners: list[Listener] = [LedgerListener(ledger, site.root)]
            for part, invocation, view in at_work:
                listeners.append(_shown(part, invocation, view, ledger))
            listeners += [progress, *supplies]
            stopping = EarlyStopping.at(site, at_work[0][1].id)
            listeners += [stopping] if stopping else []
            for part, invocation, _ in reversed(at_work):  # of a run that several share, the first one's place is told
                name = part.study.name if len(parts) > 1 else ""
                progress.know(part.plan.members, name)
                knows = partial(stopping.know, part.study, part.plan.results) if stopping else None
                if knows:
                    knows(part.plan.members)
                if part.supply:
                    part.supply.told = partial(_tell_members, name, invocation, ledger, progress, knows)
            tell_blocked(queue, listeners)
            if cluster is None:
                return False
            from crossarch.platform.scheduling.tune import drive  # needs Ray

            listeners.append(MetricsListener(queue))
            return drive(queue, listeners, cluster, site, at_work[0][1].id)
    finally:
        until = time.monotonic() + VIEW_PATIENCE
        for _, _, view in at_work:
            view.close(max(0.0, until - time.monotonic()))


def _shown(part: Part, invocation: Invocation, view: Writer, ledger: Ledger) -> MlflowListener:
    """Records the invocation and begins to show it."""
    earlier = ledger.invocations(invocation.study)
    ledger.write_invocation(invocation)
    view.open(invocation, earlier=earlier, results=part.plan.results)
    return MlflowListener(view, invocation.study, part.plan.configs)


def _tell_members(
    study: str,
    invocation: Invocation,
    ledger: Ledger,
    progress: TerminalProgress,
    knows: Callable[[tuple[Member, ...]], None] | None,
    members: tuple[Member, ...],
) -> None:
    if knows:
        knows(members)
    ledger.write_invocation(dataclasses.replace(invocation, members=members))
    progress.know(members, study)
