"""Implements `crossarch ledger export`, `ledger import` and `ledger migrate`."""

from pathlib import Path

import typer

from crossarch.platform.commands.requests import Selection
from crossarch.platform.commands.resolve import resolve
from crossarch.platform.errors import BadInputError, FailedError, refusing
from crossarch.platform.scheduling.plan import plan_study
from crossarch.platform.store.exchange import check_file, export_configs, import_results
from crossarch.platform.store.migrate import BACKUP
from crossarch.platform.store.migrate import migrate as migrate_ledger
from crossarch.platform.store.storage import place_of, require_writable
from crossarch.search_spaces.catalog import find_form
from crossarch.search_spaces.distillations import command
from crossarch.search_spaces.study import Study


def export_runs(selection: Selection, file: Path) -> None:
    """Writes the configurations of the study's missing runs to `file`.

    Raises BadInputError if `file` cannot be written, or a set that the study creates has not been distilled yet.
    """
    study, seeds = resolve(selection)
    check_file(file)
    for name, config in study.to_distil().items():
        raise BadInputError(f"data.distilled_set = {name!r} is not distilled yet: `{command(config, name)}` first")
    plan = plan_study(study, seeds, selection.root)
    require_writable(file.parent)
    export_configs((run.config for run in plan.todo), file)
    typer.echo(f"{len(plan.todo)} runs written to {file}")


def import_runs(folder: Path, storage: Path) -> None:
    """Imports results trained elsewhere into the ledger. Raises BadInputError if there are none."""
    with refusing():
        admitted, known = import_results(folder, require_writable(storage))
    typer.echo(f"{admitted} runs admitted, {known} known already")


def migrate(storage: Path) -> None:
    """Migrates the ledger in `storage` to the current schema, and prints a summary.

    Raises FailedError if some runs could not be migrated; the others have been.
    """
    done = migrate_ledger(require_writable(storage), _known_study)
    if not done.runs and not done.refused and not done.invocations:
        typer.echo(f"{place_of(storage)} is of the present schema")
        return
    typer.echo(
        f"{len(done.runs)} runs, {done.invocations} invocations and {done.renamed} files of weights and landscapes "
        f"have their present ids; the former ledger is in {place_of(storage / BACKUP)}"
    )
    if done.view:
        typer.echo("MLflow's file is there, too: `crossarch sync` makes it anew")
    if done.refused:
        first, why = next(iter(done.refused.items()))
        raise FailedError(f"{len(done.refused)} runs could not be migrated and are in the backup alone, {first}: {why}")


def _known_study(name: str) -> Study | None:
    try:
        return find_form(name)
    except ValueError:
        return None
