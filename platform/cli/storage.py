"""Commands that maintain a storage folder: export and import of runs, migration, MLflow, clean-up."""

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
    whole_number_option,
)
from crossarch.platform.commands.requests import Selection

ledger_app = typer.Typer(
    help="Carry runs to machines without Ray and back; migrate a ledger.",
    no_args_is_help=True,
    rich_markup_mode=None,
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
    from crossarch.platform.commands import exchange as commands

    selection = Selection(
        study=study, only=only, seeds=seeds, budget=budget, smoke=smoke, engine=engine, storage=storage
    )
    commands.export_runs(selection, file)


@ledger_app.command("import")
def import_runs(
    folder: Annotated[Path, typer.Argument(help="What `--out` of crossarch.trainables.training.batch was.")],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Admit results that were trained elsewhere to the ledger. `crossarch.trainables.training.batch` made them."""
    from crossarch.platform.commands import exchange as commands

    commands.import_runs(folder, storage)


@ledger_app.command("migrate")
def migrate(storage: Storage = DEFAULT_STORAGE) -> None:
    """Bring a ledger of schema 2 to the present one. Nothing is trained again; the former files are kept."""
    from crossarch.platform.commands import exchange as commands

    commands.migrate(storage)


def sync(storage: Storage = DEFAULT_STORAGE, tracking: Tracking = None) -> None:
    """Bring MLflow level with the ledger, from nothing if need be."""
    from crossarch.platform.commands import tracking as commands

    commands.sync(storage, tracking)


def clean(
    storage: Storage = DEFAULT_STORAGE,
    weights: Annotated[
        bool, typer.Option("--weights", help="Teachers' weights too; a teacher still needed is trained again.")
    ] = False,
) -> None:
    """Remove what no run needs. That is checkpoints of finished runs, leftovers of killed ones."""
    from crossarch.platform.commands import clean as commands

    commands.clean(storage, weights=weights)


def ui(
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    port: Annotated[int, whole_number_option("On the loopback interface.")] = 5000,
) -> None:
    """Open MLflow's server on the results, until Ctrl-C. It serves this machine only."""
    from crossarch.platform.commands import tracking as commands

    commands.serve(storage, tracking, port)
