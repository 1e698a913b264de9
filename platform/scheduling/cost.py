"""What the platform itself costs: runs that train nothing, through the real driver, ledger, MLflow and report."""

import dataclasses
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
from rich.console import Console

from crossarch.platform.report.publish import write_report
from crossarch.platform.scheduling.cluster import connected
from crossarch.platform.scheduling.events import LedgerListener, Listener, MlflowListener
from crossarch.platform.scheduling.plan import Plan, make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.runner import VIEW_PATIENCE, run_study
from crossarch.platform.scheduling.site import Site
from crossarch.platform.store.invocations import begin
from crossarch.platform.store.ledger import RUNS, Ledger
from crossarch.platform.store.parquet import write_table
from crossarch.platform.store.schema import SCHEMA, SCHEMA_VERSION, to_row
from crossarch.platform.store.tracking import Writer, default_tracking_uri, mark_level, study_digest
from crossarch.search_spaces.single import single_run
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig, from_dict
from crossarch.trainables.environment import describe
from crossarch.trainables.training.execute import now


def nothing(spec: dict[str, Any]) -> None:
    """A Tune function trainable that trains nothing and reports a result of each run."""
    from ray import tune

    from crossarch.platform.scheduling.trial import taken

    for run in taken(spec)["runs"]:
        tune.report({"result": untrained(from_dict(run["config"])).to_dict()})


def untrained(config: RunConfig) -> RunResult:
    """A result at chance, never for a ledger that is kept."""
    values = {"test_accuracy": 10.0, "test_loss": 2.3, "validation_accuracy": 10.0, "finished_at": now()}
    return RunResult(config=config, outcome="finished", **values, started_at=now())  # type: ignore[arg-type]


def made_up_study(runs: int) -> Study:
    """One arm of one network with so many seeds."""
    return dataclasses.replace(single_run("baseline", {}), seeds=tuple(range(runs)))


def measure(driven: int, cohorts: Iterable[int], reported: int, console: Console) -> dict[str, Any]:
    """What the platform takes for `driven` runs, in each of `cohorts`, and for `reported` finished ones.

    All in folders that are gone afterwards.
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
    """Milliseconds a run, in all and of these until the first run's end, in the ledger and for MLflow."""
    site = Site(root=root, tracking=default_tracking_uri(root), cohort=cohort)
    plan = make_plan(study.expand(), {}, root / "weights")
    invocation = begin(study=study.name, question=study.question, command="bench platform", members=plan.members)
    ledger, view = Ledger(root), Writer(site.tracking)
    timed = [Stopwatch(LedgerListener(ledger, root)), Stopwatch(MlflowListener(view))]
    with connected(None) as cluster:
        from crossarch.platform.scheduling.tune import drive  # needs Ray, which reads its environment when imported

        begun = time.perf_counter()
        view.open(invocation)
        drive(ReadyQueue(plan.tasks), cast("list[Listener]", timed), cluster, site, invocation.id, nothing)
        driven = time.perf_counter()
        view.close(VIEW_PATIENCE)
        closed = time.perf_counter()
    lost = len(plan.tasks) - len(ledger.read())
    seconds = {
        "whole": closed - begun,
        "start": (timed[0].first_done or closed) - begun,
        "ledger": timed[0].seconds,
        "mlflow_told": timed[1].seconds,
        "mlflow_awaited": closed - driven,
    }
    return {f"ms_{name}": 1000 * value / len(plan.tasks) for name, value in seconds.items()} | {"lost": lost}


def _report(study: Study, root: Path, console: Console) -> dict[str, float]:
    """Seconds, and the processor's, for the report of a finished study, and for `run` on it, MLflow level already."""
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
    return seconds | {"not_finished": len(plan.members) - ending.outcomes["finished"]}


def finished_study(study: Study, root: Path) -> tuple[Site, Plan]:
    """Fills `root` as a finished study leaves it; MLflow's file is empty and only noted to be level."""
    site = Site(root=root, tracking=default_tracking_uri(root))
    planned = list(study.expand())
    rows = [to_row(untrained(each.config)) for each in planned]
    write_table(root / RUNS / "compact-bench.parquet", pa.Table.from_pylist(rows, schema=SCHEMA), SCHEMA_VERSION)
    ledger = Ledger(root)
    results = ledger.read()
    plan = make_plan(planned, results, root / "weights")
    ledger.write_invocation(
        begin(study=study.name, question=study.question, command="bench platform", members=plan.members)
    )
    (root / "mlflow.db").touch()
    mark_level(root, site.tracking, study.name, study_digest(ledger.invocations(study.name), results))
    return site, plan


class Stopwatch:
    """A listener, and the seconds that it has taken."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.seconds = 0.0
        self.first_done: float | None = None
        """When `done` was first called, by `time.perf_counter`."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.listener, name)

        def timed(*arguments: Any) -> None:
            begun = time.perf_counter()
            if name == "done" and self.first_done is None:
                self.first_done = begun
            method(*arguments)
            self.seconds += time.perf_counter() - begun

        return timed
