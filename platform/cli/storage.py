"""The commands that look after a storage folder: the ledger's runs carried out and back, MLflow, leftovers."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from crossarch.platform.cli.options import (
    DEFAULT_STORAGE,
    Budget,
    Engine,
    Only,
    Seeds,
    Smoke,
    Storage,
    StudyName,
    Tracking,
    choose_seeds,
    find_study,
    tracking_uri,
    whole_number_option,
)
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.store.storage import require_writable

ledger_app = typer.Typer(
    help="Carry runs to machines without Ray, and their results back.", no_args_is_help=True, rich_markup_mode=None
)


@ledger_app.command("export")
def export_runs(
    study: StudyName,
    file: Annotated[Path, typer.Argument(help="JSON file to write.")],
    smoke: Smoke = False,
    budget: Budget = 1.0,
    engine: Engine = None,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
    only: Only = None,
) -> None:
    """Write the runs that the study lacks to a file. `crossarch.trainables.training.batch` trains them without Ray."""
    from crossarch.platform.scheduling.plan import plan_study
    from crossarch.platform.store.exchange import check_file, export_configs
    from crossarch.search_spaces.distillations import command

    chosen = find_study(study, smoke, budget, storage, only, engine)
    check_file(file)
    for name, config in chosen.to_distil().items():
        raise BadInputError(f"data.distilled = {name!r} is not distilled yet: `{command(config, name)}` first")
    plan = plan_study(chosen, choose_seeds(chosen, seeds), storage)
    require_writable(file.parent)
    export_configs((task.config for task in plan.tasks), file)
    typer.echo(f"{len(plan.tasks)} runs written to {file}")


@ledger_app.command("import")
def import_runs(
    folder: Annotated[Path, typer.Argument(help="What `--out` of crossarch.trainables.training.batch was.")],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Admit results that were trained elsewhere to the ledger. `crossarch.trainables.training.batch` made them."""
    from crossarch.platform.store.exchange import import_results

    with refusing():
        admitted, known = import_results(folder, require_writable(storage))
    typer.echo(f"{admitted} runs admitted, {known} known already")


def sync(storage: Storage = DEFAULT_STORAGE, tracking: Tracking = None) -> None:
    """Bring MLflow level with the ledger, from nothing if need be."""
    from crossarch.platform.store.ledger import Ledger
    from crossarch.platform.store.tracking import sync_study

    root = require_writable(storage)
    ledger = Ledger(root)
    for name in sorted({invocation.study for invocation in ledger.invocations()}):
        changes = sync_study(ledger, root, name, tracking_uri(tracking, root), anyway=True)
        typer.echo(f"{name}: {changes} runs brought level" if changes else f"{name}: level")


def clean(
    storage: Storage = DEFAULT_STORAGE,
    weights: Annotated[
        bool, typer.Option("--weights", help="Teachers' weights too; a teacher still needed is trained again.")
    ] = False,
) -> None:
    """Remove what no run needs. That is checkpoints of finished runs, leftovers of killed ones."""
    from crossarch.platform.store.cleaning import clean_storage

    freed = clean_storage(require_writable(storage), weights=weights)
    typer.echo(f"{freed / 1e6:,.1f} MB freed")


def ui(
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    port: Annotated[int, whole_number_option("On the loopback interface.")] = 5000,
) -> None:
    """Open MLflow's server on the results, until Ctrl-C. It serves this machine only."""
    if not 1 <= port <= 65535:
        raise BadInputError(f"port = {port} is outside [1, 65535]")
    from crossarch.platform.store.tracking import pages

    root = require_writable(storage)
    addresses = pages(tracking_uri(tracking, root))
    server = f"http://127.0.0.1:{port}"
    for name, address in sorted(addresses.items()):
        typer.echo(f"{name}: {server}{address}")
    typer.echo(f"MLflow: {server} (Ctrl-C ends it)")
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1"]  # one reader: four take four times as long to start
    command += ["--backend-store-uri", tracking_uri(tracking, root)]
    command += ["--default-artifact-root", (root / "mlflow-artifacts").as_uri()]
    os.execve(sys.executable, command, environment)  # noqa: S606, no shell is wanted
