"""The commands `crossarch ledger ...`."""

from pathlib import Path
from typing import Annotated

import typer

from crossarch.platform.options import (
    DEFAULT_STORAGE,
    Budget,
    Engine,
    Only,
    Seeds,
    Smoke,
    Storage,
    StudyName,
    choose_seeds,
    find_study,
)
from crossarch.platform.validation import BadInputError, refusing, require_writable

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
    """Write the runs that the study lacks to a file. `python -m crossarch.trainables.batch` trains them without Ray."""
    from crossarch.platform.record.exchange import check_file, export_configs
    from crossarch.platform.run.runner import plan_study
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
    folder: Annotated[Path, typer.Argument(help="What `--out` of crossarch.trainables.batch was.")],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Admit results that were trained elsewhere to the ledger. `python -m crossarch.trainables.batch` made them."""
    from crossarch.platform.record.exchange import import_results

    with refusing():
        admitted, known = import_results(folder, require_writable(storage))
    typer.echo(f"{admitted} runs admitted, {known} known already")
