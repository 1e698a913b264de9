"""What the platform costs a run, on clusters of so many raylets on this machine: the numbers of SCALE.md.

    python k8s/scale.py 4 --runs 200 >> scale.jsonl

The runs train nothing, go through the real driver, ledger and MLflow, and are gone afterwards. One raylet has one
worker. A busy machine stretches seconds, but hardly the processor's seconds of the driver, which `cpu` names.
"""

import argparse
import json
import os
import resource
import secrets
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from crossarch.platform.commands.platform_cost import Stopwatch
from crossarch.platform.scheduling.cluster import WORKER_ENVIRONMENT, connected, keep_to_loopback
from crossarch.platform.scheduling.demand import Demand
from crossarch.platform.scheduling.events import LedgerListener, MlflowListener
from crossarch.platform.scheduling.plan import Plan, make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.tune import drive as drive_queue
from crossarch.platform.scheduling.untrained import made_up_study, nothing, untrained
from crossarch.platform.store.invocations import begin
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import Writer
from crossarch.search_spaces.study import PlannedRun, Study
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.environment import describe
from crossarch.trainables.training.execute import now

AGENTS = ("metrics_agent_port", "dashboard_agent_listen_port", "runtime_env_agent_port", "metrics_export_port")
"""Of each raylet: told, as it does not wait long for its agents to choose them."""

QUARTERS = 4


class Clock:
    """A listener that notes when runs end: by the wall, and by this process' use of the processor."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def running(self, run: PlannedRun) -> None:
        """Nothing."""

    def point(self, run: PlannedRun, point: Point) -> None:
        """Nothing."""

    def done(self, run: PlannedRun, result: RunResult) -> None:
        """One more."""
        self.ends.append((time.perf_counter(), time.process_time()))


def by_quarter(ends: list[tuple[float, float]], which: int) -> list[float]:
    """Seconds a run in each quarter of the runs; `which` is 0 for the wall's, 1 for the processor's.

    What grows from quarter to quarter grows with the number of runs that there have been. Raises ValueError for fewer
    than two runs a quarter.
    """
    if len(ends) < 2 * QUARTERS:
        raise ValueError(f"runs = {len(ends)} is less than {2 * QUARTERS}")
    bounds = [round(part * (len(ends) - 1) / QUARTERS) for part in range(QUARTERS + 1)]
    return [(ends[last][which] - ends[first][which]) / (last - first) for first, last in pairwise(bounds)]


def start(raylets: int, folder: Path) -> Any:
    """`ray.cluster_utils.Cluster` of so many nodes of one core, and a head that runs nothing; its token in `folder`."""
    keep_to_loopback()
    for name, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    token = folder / "token"
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from clusters import free_ports
    from patient_ray import be_patient
    from ray.cluster_utils import Cluster

    be_patient()
    options: dict[str, Any] = {"object_store_memory": 80_000_000, "include_log_monitor": False}
    cluster = Cluster()
    for number in range(raylets + 1):
        options |= zip(AGENTS, free_ports(len(AGENTS)), strict=True)
        cluster.add_node(num_cpus=min(number, 1), include_dashboard=False, **options)
    return cluster


def drive(raylets: int, study: Study, plan: Plan, root: Path) -> dict[str, Any]:
    """Seconds a run of the driver, of what it does for ledger and MLflow, and until MLflow has shown the last run."""
    site = Site(root=root, tracking=default_tracking_uri(root))
    queue, invocation = ReadyQueue([plan]), begin(study, plan.cells.values(), "scale")
    view, clock = Writer(site.tracking), Clock()
    ledger, told = Stopwatch(LedgerListener(Ledger(root), root)), Stopwatch(MlflowListener(view, study.name, queue))
    begun = time.perf_counter()
    cluster = start(raylets, root)
    started = time.perf_counter()
    try:
        with connected(cluster.address) as nodes:
            view.open(invocation)
            drive_queue(queue, [ledger, told, clock], nodes.serving(Demand(gpus=0)), site, invocation.id, nothing)
            driven = time.perf_counter()
            view.close(600)
    finally:
        cluster.shutdown()
    runs = len(plan.todo)
    return {
        "start_of_a_raylet": (started - begun) / (raylets + 1),
        "first_run_after": clock.ends[0][0] - started,
        "wall": by_quarter(clock.ends, 0),
        "cpu": by_quarter(clock.ends, 1),
        "ledger": ledger.seconds / runs,
        "mlflow_told": told.seconds / runs,
        "mlflow_awaited": (time.perf_counter() - driven) / runs,
    }


def sizes(root: Path) -> dict[str, float]:
    """Files and bytes a run of ledger and MLflow, and what merging and reading the ledger takes."""
    ledger = Ledger(root)
    runs = len(ledger.read())
    files = [path for path in (root / "ledger" / "runs").iterdir() if path.suffix == ".parquet"]
    loose = sum(path.stat().st_size for path in files)
    begun = time.perf_counter()
    ledger.read()
    read = time.perf_counter()
    ledger.compact(above=0)
    merged = time.perf_counter()
    ledger.read()
    again = time.perf_counter()
    (whole,) = [path.stat().st_size for path in (root / "ledger" / "runs").glob("*.parquet")]
    shown = sum(path.stat().st_size for path in root.glob("mlflow.db*"))
    return {
        "files": len(files) / runs,
        "bytes": loose / runs,
        "bytes_merged": whole / runs,
        "bytes_mlflow": shown / runs,
        "read": (read - begun) / runs,
        "merge": (merged - read) / runs,
        "read_merged": (again - merged) / runs,
    }


def measure(raylets: int, runs: int) -> dict[str, Any]:
    """One document: what was measured, on what, under which load."""
    document: dict[str, Any] = {"at": now(), "raylets": raylets, "runs": runs, "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        begun = time.process_time()
        study = made_up_study(runs)
        planned = list(study.expand())
        plan = make_plan(planned, {}, root / "weights", study=study.name)
        document["plan_cpu"] = (time.process_time() - begun) / runs
        if raylets:
            document |= drive(raylets, study, plan, root)
        else:
            ledger = Ledger(root)
            begun = time.perf_counter()
            for each in planned:
                ledger.write(untrained(each.config))
            document["ledger"] = (time.perf_counter() - begun) / runs
        document |= sizes(root)
    document["driver_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    document["environment"] = {key: value for key, value in describe("cpu").items() if key in ("cpu", "commit", "ray")}
    return document


def main() -> None:
    """One line of JSON; what is a list is a run's seconds in each quarter of the runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("raylets", type=int, help="with one worker each; 0 measures ledger and plan alone")
    parser.add_argument("--runs", type=int, default=200)
    chosen = parser.parse_args()
    if chosen.raylets < 0 or chosen.runs < 2 * QUARTERS:
        parser.error(f"raylets = {chosen.raylets} is below 0, or runs = {chosen.runs} below {2 * QUARTERS}")
    document = measure(chosen.raylets, chosen.runs)
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stderr.write(
        "".join(
            f"{name}: {statistics.fmean(value) if isinstance(value, list) else value:.4g}\n"
            for name, value in document.items()
            if isinstance(value, float | list)
        )
    )


if __name__ == "__main__":
    main()
