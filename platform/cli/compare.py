"""Command `crossarch compare`."""

from pathlib import Path
from typing import Annotated

import typer

from crossarch.platform.cli.options import DEFAULT_STORAGE, Budget, Only, Smoke, Storage
from crossarch.platform.commands.requests import Selection

_SIDE = "A study's name or file, with @COMMIT for the runs that a commit trained."


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help=_SIDE)],
    by: Annotated[
        str | None,
        typer.Option(
            metavar="KEY[,KEY]...",
            help="What tells cells apart: arm, axes, settings (kd.alpha); else arm and all axes that both have.",
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    against: Annotated[Path | None, typer.Option(metavar="DIR", help="Storage of B; else that of A.")] = None,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    only: Only = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the tables there: CSV, LaTeX, Markdown.")
    ] = None,
) -> None:
    """Set two studies side by side, or two commits of one. Differences with intervals, and costs.

    \b
    Two studies of one ledger:
      crossarch compare quickstart quickstart-budget-0.5
    One study in two ledgers, B's in another folder:
      crossarch compare table2 table2 --against elsewhere
    Two commits of one study:
      crossarch compare table2@cdc05aa table2@9616db4 --against elsewhere

    What a ledger has is not trained again: so that two commits train the same runs, give each a --storage of its own.
    """
    from crossarch.platform.commands import compare

    first, second = (
        Selection(study=name, only=only, budget=budget, smoke=smoke, storage=root)
        for name, root in ((a, storage), (b, against or storage))
    )
    compare.compare_studies(first, second, by, out, show_storage=against is not None)
