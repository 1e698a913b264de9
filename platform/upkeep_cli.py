"""The commands that look after a storage folder: MLflow level with the ledger, leftovers, the server."""

import os
import sys
from typing import Annotated

import typer

from crossarch.platform.options import DEFAULT_STORAGE, Storage, Tracking, tracking_uri, whole_number_option
from crossarch.platform.validation import BadInputError, require_writable


def sync(storage: Storage = DEFAULT_STORAGE, tracking: Tracking = None) -> None:
    """Bring MLflow level with the ledger, from nothing if need be."""
    from crossarch.platform.record.ledger import Ledger
    from crossarch.platform.record.sync import sync_study

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
    from crossarch.platform.record.cleaning import clean_storage

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
    from crossarch.platform.record.mlflow_saved_view import pages

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
