"""Implements `crossarch sync` and `crossarch ui`: MLflow as a view of the ledger."""

import os
import sys
from pathlib import Path

import typer

from crossarch.platform.commands.sites import tracking_uri
from crossarch.platform.errors import BadInputError
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import require_writable
from crossarch.platform.store.tracking import pages, sync_study


def sync(storage: Path, tracking: str | None) -> None:
    """Syncs MLflow from the ledger, study by study."""
    root = require_writable(storage)
    ledger = Ledger(root)
    for name in sorted({invocation.study for invocation in ledger.invocations()}):
        changes = sync_study(ledger, root, name, tracking_uri(tracking, root), anyway=True)
        typer.echo(f"{name}: {changes} runs brought level" if changes else f"{name}: level")


def serve(storage: Path, tracking: str | None, port: int) -> None:
    """Replaces this process by MLflow's server, at `port` of the loopback interface.

    Raises BadInputError if `port` is not a valid port.
    """
    if not 1 <= port <= 65535:
        raise BadInputError(f"port = {port} is outside [1, 65535]")
    root = require_writable(storage)
    addresses = pages(tracking_uri(tracking, root))
    server = f"http://127.0.0.1:{port}"
    for name, address in sorted(addresses.items()):
        typer.echo(f"{name}: {server}{address}")
    typer.echo(f"MLflow: {server} (Ctrl-C ends it)")
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1"]  # one worker process: four take four times as long to start
    command += ["--backend-store-uri", tracking_uri(tracking, root)]
    command += ["--default-artifact-root", (root / "mlflow-artifacts").as_uri()]
    os.execve(sys.executable, command, environment)  # noqa: S606, without a shell
