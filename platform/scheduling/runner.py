"""Runs studies: trains the runs that the ledger lacks as one queue, records them, and syncs MLflow."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from crossarch.platform.errors import refusing
from crossarch.platform.scheduling.cluster import Cluster, on_demand
from crossarch.platform.scheduling.data import bound
from crossarch.platform.scheduling.distil import INTERRUPTED, Draw, distil_for
from crossarch.platform.scheduling.estimate import paces
from crossarch.platform.scheduling.events import LedgerListener, MetricsListener, MlflowListener, tell_blocked
from crossarch.platform.scheduling.listener import Listener
from crossarch.platform.scheduling.parts import Chosen, Ending, Part
from crossarch.platform.scheduling.plan import Plan, merged, plan_study
from crossarch.platform.scheduling.prepare import prepare
from crossarch.platform.scheduling.progress import TerminalProgress
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.sampling import supplying
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.stopping import EarlyStopping, check_sweeps
from crossarch.platform.scheduling.tune import drive
from crossarch.platform.store.invocations import Invocation, needed
from crossarch.platform.store.lease import Lease, leased
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.tracking import TrackingError, Writer, sync_study
from crossarch.search_spaces.study import Study

VIEW_PATIENCE = 30.0
"""Seconds to wait, after the last run, until MLflow has received all events."""


def plans_of(chosen: Sequence[Chosen], site: Site) -> list[tuple[Study, Plan]]:
    """The plans of `run_studies`, without training. Raises BadInputError as `run_studies` does."""
    check_sweeps(site, [study for study, _ in chosen])
    keeps = site.keeps_stopped
    return [(study, plan_study(study, seeds, site.root, keeps_stopped=keeps)) for study, seeds in chosen]


def run_study(study: Study, seeds: tuple[int, ...], site: Site, console: Console, draw: Draw | None = None) -> Ending:
    """`run_studies` for a single study."""
    (ending,) = run_studies([(study, seeds)], site, console, draw)
    return ending


def run_studies(chosen: Sequence[Chosen], site: Site, console: Console, draw: Draw | None = None) -> list[Ending]:
    """Distils the missing sets, trains the missing runs, records them, and syncs MLflow.

    All studies are planned before the first run and trained as one queue, in their order: shared runs are trained once,
    and workers are reused across studies. If a dataset distillation fails, nothing is trained.

    Args:
        chosen: Studies and their seeds.
        site: Where they are trained and recorded.
        console: The terminal.
        draw: Draws the pictures of distilled sets for MLflow; None for no pictures.

    Raises:
        BadInputError: Data cannot be obtained, another driver is training one of the runs, or early stopping is
            requested for a study that is not a sweep. Also as `on_demand`.
        ClusterError: As `on_demand`.
        OSError: The ledger cannot be written.
    """
    ledger = Ledger(site.root)
    interrupted = False
    check_sweeps(site, [study for study, _ in chosen])
    tell = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    names = ", ".join(study.name for study, _ in chosen)
    with on_demand(site, tell) as cluster, leased(site.root, names, tell) as lease:
        chosen, status = _distilled(chosen, site, console, cluster, lease, draw)
        if status:
            return [_untrained(study, seeds, site.root, status) for study, seeds in chosen]
        parts = [Part(study, seeds, site) for study, seeds in chosen]
        plan = merged([part.plan for part in parts])
        if plan.todo:
            lease.claim([claim for part in parts for claim in part.claims])
            prepare((run.config for run in plan.todo), site.root, site.data_root, console.print)
            interrupted = _train(parts, plan, ledger, site, console, cluster)
        for part in parts:
            if not part.plan.todo and not part.is_recorded(ledger):
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
    chosen: Sequence[Chosen],
    site: Site,
    console: Console,
    cluster: Callable[[], Cluster],
    lease: Lease,
    draw: Draw | None,
) -> tuple[list[Chosen], int]:
    """Distils the missing sets.

    Returns the studies, bound to their stored sets, and the exit status of the last dataset distillation.
    """
    lacking = {f"set {name}" for study, _ in chosen for name in study.to_distil()}
    if not lacking:
        return list(chosen), 0
    lease.claim(lacking)
    done: list[Chosen] = []
    for study, seeds in chosen:
        with refusing():
            study = bound(study, site.root)  # to the sets that were distilled for earlier studies
        study, status = distil_for(study, site, console, cluster, draw)
        if status:
            return [*done, (study, seeds), *chosen[len(done) + 1 :]], status
        done.append((study, seeds))
    return done, 0


def _untrained(study: Study, seeds: tuple[int, ...], root: Path, status: int) -> Ending:
    lacking = Counter(missing=len(plan_study(study, seeds, root).runs))
    return Ending(study=study, outcomes=lacking, interrupted=status == INTERRUPTED)


def _train(
    parts: Sequence[Part], plan: Plan, ledger: Ledger, site: Site, console: Console, start: Callable[[], Cluster]
) -> bool:
    """Trains the runs of all parts as one queue, with points chosen by samplers. Returns whether it was interrupted.

    Nothing is written before the cluster is connected. No cluster is started if all runs are blocked.
    """
    history = ledger.read().values()
    diverged = (identity for identity, result in plan.results.items() if result.outcome == "diverged")
    supplies = [part.supply for part in parts if part.supply]
    queue = ReadyQueue([part.plan for part in parts], unfit=diverged, more=supplying(supplies))
    at_work = [(part, part.begin(), Writer(site.tracking)) for part in parts if part.plan.todo]
    try:
        cluster = start() if queue.in_state("ready") else None
        with TerminalProgress(console, queue, paces(history), cluster.slots if cluster else 0) as progress:
            listeners: list[Listener] = [LedgerListener(ledger, site.root)]
            for part, invocation, view in at_work:
                listeners.append(_shown(part, invocation, view, ledger, queue))
            listeners += [progress, *supplies]
            stopping = EarlyStopping.at(site, at_work[0][1].id, queue)
            listeners += [stopping] if stopping else []
            for part, invocation, _ in reversed(at_work):  # the first study's labels of a shared run win
                know = partial(_know, stopping, progress, named=len(parts) > 1)
                know(part.study, part.plan)
                if part.supply:
                    part.supply.told = partial(_grown, know, invocation, ledger)
            progress.compare(plan.results)
            tell_blocked(queue, listeners)
            if cluster is None:
                return False
            listeners.append(MetricsListener(queue))
            return drive(queue, listeners, cluster, site, at_work[0][1].id)
    finally:
        until = time.monotonic() + VIEW_PATIENCE
        for _, _, view in at_work:
            view.close(max(0.0, until - time.monotonic()))


def _shown(part: Part, invocation: Invocation, view: Writer, ledger: Ledger, queue: ReadyQueue) -> MlflowListener:
    """Records the invocation in the ledger and opens it in MLflow. Returns the listener that forwards its events."""
    earlier = ledger.invocations(invocation.study)
    ledger.write_invocation(invocation)
    view.open(invocation, earlier=earlier, results=part.plan.results)
    return MlflowListener(view, invocation.study, queue)


def _know(stopping: EarlyStopping | None, progress: TerminalProgress, study: Study, plan: Plan, *, named: bool) -> None:
    progress.know(study, plan.runs.values(), named=named)
    if stopping:
        stopping.know(study, plan.results, plan.cells.values())


def _grown(
    know: Callable[[Study, Plan], None], invocation: Invocation, ledger: Ledger, study: Study, plan: Plan
) -> None:
    """Registers points that a sampler has chosen, and adds their runs to the recorded invocation."""
    know(study, plan)
    ledger.write_invocation(dataclasses.replace(invocation, **needed(study, plan.cells.values())))
