"""Commands `crossarch show` (the recipe of a run) and `crossarch settings` (all settings of the schema)."""

from typing import Annotated

import typer

from crossarch.platform.cli.options import DEFAULT_STORAGE, Budget, Engine, Smoke, Storage, StudyName
from crossarch.platform.commands.requests import Selection


def show(
    study: StudyName,
    cell: Annotated[
        list[str],
        typer.Option(metavar="AXIS=CHOICE[,...]", help="arm=full,architecture=ResNet18. May be repeated."),
    ],
    smoke: Smoke = False,
    budget: Budget = 1.0,
    engine: Engine = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Show one cell's recipe, its sources, the paper's number."""
    from crossarch.platform.commands import recipe

    selection = Selection(study=study, budget=budget, smoke=smoke, engine=engine, storage=storage)
    recipe.show_recipe(selection, cell)


def settings(
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="keep_rate: those that begin so alone.")] = "",
) -> None:
    """List what a run can be given: meaning, values, default, source."""
    from crossarch.platform.commands import recipe

    recipe.list_settings(prefix)
