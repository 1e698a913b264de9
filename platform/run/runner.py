"""Runs a study: takes away what the ledger has, trains the rest, and brings the records level."""

import dataclasses
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from crossarch.platform.record.invocations import Invocation, Member, begin
from crossarch.platform.record.lease import leased
from crossarch.platform.record.ledger import Ledger
from crossarch.platform.record.mlflow_store import TrackingError
from crossarch.platform.record.mlflow_writer import Writer
from crossarch.platform.record.storage import weights_elsewhere
from crossarch.platform.record.sync import sync_study
from crossarch.platform.run.cluster import Cluster, on_demand
from crossarch.platform.run.data import available, prepare
from crossarch.platform.run.estimate import paces
from crossarch.platform.run.listeners import LedgerListener, Listener, MlflowListener, tell_blocked
from crossarch.platform.run.metrics import MetricsListener
from crossarch.platform.run.plan import Plan, make_plan
from crossarch.platform.run.progress import TerminalProgress
from crossarch.platform.run.ready_queue import ReadyQueue
from crossarch.platform.run.sampling import Supply, growth_of
from crossarch.platform.run.site import Site
from crossarch.search_spaces.study import Study
from crossarch.trainables.result import RunResult

VIEW_PATIENCE = 30.0
"""Seconds that MLflow gets, after the last run, to show what it has been told."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an invocation ended."""

    study: Study
    """Bound to the sets that it was trained on, with the points that its sampler has chosen, if it has one."""
    outcomes: Counter[str]
    """Of all members; those never trained count as `missing`."""
    interrupted: bool = False

    @property
    def exit_status(self) -> int:
        """0 all finished, 1 something did not, 130 interrupted."""
        if self.interrupted:
            return 130
        return 0 if set(self.outcomes) <= {"finished"} else 1


def plan_study(study: Study, seeds: tuple[int, ...], root: Path) -> Plan:
    """The study's plan against the ledger under `root`, runs whose data no store has left out.

    Raises BadInputError where that is all of them.
    """
    planned, results = available(study.expand(seeds), root), Ledger(root).read()
    return make_plan(
        planned, results, root / "weights", analysed=study.keeps_weights, elsewhere=weights_elsewhere(root)
    )


def outcomes(plan: Plan, results: dict[str, RunResult]) -> Counter[str]:
    """How many members ended how; those without a result are `missing`."""
    return Counter(results[m.run_id].outcome if m.run_id in results else "missing" for m in plan.members)


def run_study(study: Study, seeds: tuple[int, ...], site: Site, console: Console) -> Ending:
    """Distils and trains what the study lacks, records it, and brings MLflow level.

    Where a distillation does not end well, nothing is trained. Raises BadInputError where data cannot be had or another
    driver trains one of the runs, ConnectionError where the site's cluster does not answer, ClusterError where Ray does
    not start here, OSError where the ledger cannot be written.
    """
    ledger = Ledger(site.root)
    interrupted = False
    tell = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    with on_demand(site, tell) as cluster, leased(site.root, study.name, tell) as lease:
        if study.to_distil():
            lease.claim([f"set {name}" for name in study.to_distil()])
            from crossarch.platform.run.distillation import INTERRUPTED, distil_for

            study, status = distil_for(study, site, console, cluster)
            if status:
                lacking = Counter(missing=len(plan_study(study, seeds, site.root).members))
                return Ending(study=study, outcomes=lacking, interrupted=status == INTERRUPTED)
        growth = growth_of(study, seeds)
        study = growth.advance(ledger.read()) if growth else study
        plan = plan_study(study, seeds, site.root)
        if plan.tasks:
            lease.claim([task.run_id for task in plan.tasks] + ([f"sampler {study.name}"] if growth else []))
            prepare((task.config for task in plan.tasks), site.root, site.data_root, console.print)
            supply = Supply(growth, plan, seeds, site.root) if growth else None
            interrupted = _train(study, plan, ledger, site, console, cluster, supply)
        else:
            known = {member.run_id for earlier in ledger.invocations(study.name) for member in earlier.members}
            if not known.issuperset(plan.configs):
                ledger.write_invocation(_invocation(study, plan))
    if growth:
        study = growth.sweep
        plan = plan_study(study, seeds, site.root)
    ledger.compact()
    try:
        sync_study(ledger, site.root, study.name, site.tracking)
    except TrackingError as error:
        console.print(f"MLflow is not level with the ledger: {error} `crossarch sync` makes it so.", style="yellow")
    return Ending(study=study, outcomes=outcomes(plan, ledger.read(plan.configs)), interrupted=interrupted)


def _invocation(study: Study, plan: Plan) -> Invocation:
    command = " ".join(["crossarch", *sys.argv[1:]])
    return begin(study=study.name, question=study.question, command=command, members=plan.members)


def _train(
    study: Study,
    plan: Plan,
    ledger: Ledger,
    site: Site,
    console: Console,
    start: Callable[[], Cluster],
    supply: Supply | None = None,
) -> bool:
    """Trains the plan's tasks, and those of `supply` that come after; whether it was interrupted.

    Writes nothing before there is a cluster to train on.

    Where all tasks are blocked there is nothing to train, and no cluster is started.
    """
    invocation = _invocation(study, plan)
    history = ledger.read().values()
    diverged = (identity for identity, result in plan.results.items() if result.outcome == "diverged")
    queue = ReadyQueue(plan.tasks, unfit=diverged, **({"more": supply.more} if supply else {}))
    view = Writer(site.tracking)
    try:
        cluster = start() if queue.in_state("ready") else None
        with TerminalProgress(console, plan, queue, paces(history), cluster.slots if cluster else 0) as progress:
            earlier = ledger.invocations(study.name)
            ledger.write_invocation(invocation)
            view.open(study.name, study.question, invocation, earlier=earlier, results=plan.results)
            listeners: list[Listener] = [LedgerListener(ledger, site.root), MlflowListener(view), progress]
            if supply:
                listeners.append(supply)
                supply.told = lambda members: _tell_members(members, invocation, ledger, progress)
            tell_blocked(queue, listeners)
            if cluster is None:
                return False
            from crossarch.platform.run.tune_driver import drive  # needs Ray

            listeners.append(MetricsListener(study.name, queue))
            return drive(queue, listeners, cluster, site, invocation.id)
    finally:
        view.close(VIEW_PATIENCE)


def _tell_members(
    members: tuple[Member, ...], invocation: Invocation, ledger: Ledger, progress: TerminalProgress
) -> None:
    """An invocation has got further members."""
    ledger.write_invocation(dataclasses.replace(invocation, members=members))
    progress.know(members)
