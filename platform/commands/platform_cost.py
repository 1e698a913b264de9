"""Overhead of the platform: runs without training pass through the real driver, ledger, MLflow and report."""

import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
from rich.console import Console

from crossarch.platform.commands.publish import write_report
from crossarch.platform.errors import BadInputError
from crossarch.platform.scheduling.cluster import connected
from crossarch.platform.scheduling.events import LedgerListener, MlflowListener
from crossarch.platform.scheduling.listener import Listener
from crossarch.platform.scheduling.plan import Plan, make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.runner import VIEW_PATIENCE, run_study
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.tune import drive
from crossarch.platform.scheduling.untrained import made_up_study, nothing, untrained
from crossarch.platform.store.invocations import begin
from crossarch.platform.store.ledger import RUNS, Ledger
from crossarch.platform.store.level import default_tracking_uri, mark_level, study_digest
from crossarch.platform.store.parquet import write_table
from crossarch.platform.store.schema import SCHEMA, SCHEMA_VERSION, to_row
from crossarch.platform.store.storage import require_writable
from crossarch.platform.store.tracking import Writer
from crossarch.search_spaces.study import Study
from crossarch.trainables.environment import describe
from crossarch.trainables.files import write_json
from crossarch.trainables.training.execute import now


def measure(driven: int, cohorts: Iterable[int], reported: int, console: Console) -> dict[str, Any]:
    """Measures the platform's overhead in temporary folders.

    Args:
        driven: Number of runs that the driver processes.
        cohorts: Numbers of runs per worker, measured one after another.
        reported: Number of finished runs in the reported study.
        console: The terminal.

    Returns:
        A document for JSON, with the conditions of the measurement.
    """
    document: dict[str, Any] = {
        "measured_at": now(),
        "environment": dict(describe("cpu")),
        "load_average": os.getloadavg()[0],
        "driven": driven,
        "cohorts": [],
    }
    for cohort in cohorts:
        with tempfile.TemporaryDirectory() as folder:
            document["cohorts"].append({"cohort": cohort, **_drive(made_up_study(driven), Path(folder), cohort)})
    with tempfile.TemporaryDirectory() as folder:
        document |= {"reported": reported, **_report(made_up_study(reported), Path(folder), console)}
    return document


def _drive(study: Study, root: Path, cohort: int) -> dict[str, float]:
    """Milliseconds per run: total, until the first run's end, in the ledger and for MLflow; and number of lost runs."""
    site = Site(root=root, tracking=default_tracking_uri(root), cohort=cohort)
    plan = make_plan(study.expand(), {}, root / "weights", study=study.name)
    queue = ReadyQueue([plan])
    invocation = begin(study, plan.cells.values(), "bench platform")
    ledger, view = Ledger(root), Writer(site.tracking)
    timed = [Stopwatch(LedgerListener(ledger, root)), Stopwatch(MlflowListener(view, study.name, queue))]
    with connected(None) as cluster:
        begun = time.perf_counter()
        view.open(invocation)
        drive(queue, cast("list[Listener]", timed), cluster, site, invocation.id, nothing)
        driven = time.perf_counter()
        view.close(VIEW_PATIENCE)
        closed = time.perf_counter()
    lost = len(plan.todo) - len(ledger.read())
    seconds = {
        "whole": closed - begun,
        "start": (timed[0].first_done or closed) - begun,
        "ledger": timed[0].seconds,
        "mlflow_told": timed[1].seconds,
        "mlflow_awaited": closed - driven,
    }
    return {f"ms_{name}": 1000 * value / len(plan.todo) for name, value in seconds.items()} | {"lost": lost}


def _report(study: Study, root: Path, console: Console) -> dict[str, float]:
    """Wall-clock and CPU seconds for the report of a finished study and for another `run` of it, with MLflow synced."""
    site, plan = finished_study(study, root)
    clocks = time.perf_counter, time.process_time
    begun = [clock() for clock in clocks]
    write_report(study, study.seeds, root, root / "report", anew=True)
    reported = [clock() for clock in clocks]
    ending = run_study(study, study.seeds, site, console)
    again = [clock() for clock in clocks]
    seconds = {
        f"{what}_{unit}": until - since
        for what, earlier, later in (("report", begun, reported), ("run_again", reported, again))
        for unit, since, until in zip(("seconds", "cpu_seconds"), earlier, later, strict=True)
    }
    return seconds | {"not_finished": len(plan.runs) - ending.outcomes["finished"]}


def finished_study(study: Study, root: Path) -> tuple[Site, Plan]:
    """Fills `root` with a finished study: MLflow's file is empty but recorded as synced. Returns its site and plan."""
    site = Site(root=root, tracking=default_tracking_uri(root))
    planned = list(study.expand())
    rows = [to_row(untrained(each.config)) for each in planned]
    write_table(root / RUNS / "compact-bench.parquet", pa.Table.from_pylist(rows, schema=SCHEMA), SCHEMA_VERSION)
    ledger = Ledger(root)
    results = ledger.read()
    plan = make_plan(planned, results, root / "weights", study=study.name)
    ledger.write_invocation(begin(study, plan.cells.values(), "bench platform"))
    (root / "mlflow.db").touch()
    mark_level(root, site.tracking, study.name, study_digest(ledger.invocations(study.name), results))
    return site, plan


class Stopwatch:
    """Wraps a listener and sums the seconds spent in its methods."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.seconds = 0.0
        self.first_done: float | None = None
        """`time.perf_counter` at the first call of `done`; None before."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.listener, name)

        def timed(*arguments: Any) -> None:
            begun = time.perf_counter()
            if name == "done" and self.first_done is None:
                self.first_done = begun
            method(*arguments)
            self.seconds += time.perf_counter() - begun

        return timed


def time_platform(driven: int, cohorts: Sequence[int], reported: int, out: Path | None) -> int:
    """Measures the platform's overhead and prints it.

    Returns the exit status: 1 if a run was lost or did not finish, else 0. Raises BadInputError if a number is below 1,
    or `out` cannot be written.
    """
    if out:
        require_writable(out.parent, "out")
    if min(driven, reported, *cohorts) < 1:
        told = ",".join(map(str, cohorts))
        raise BadInputError(f"runs = {driven}, cohorts = {told}, reported = {reported}: at least 1 of each is needed")
    console = Console()
    document = measure(driven, cohorts, reported, console)
    if out:
        write_json(out, document)
    lines = [line for each in document["cohorts"] for line in each.items()]
    lines += [(name, value) for name, value in document.items() if isinstance(value, float | int)]
    for name, value in lines:
        console.print(f"{name.replace('_', ' ')}: {value:.3g}" if isinstance(value, float) else f"{name}: {value}")
    lost = any(each["lost"] for each in document["cohorts"])
    return 1 if lost or document["not_finished"] else 0
