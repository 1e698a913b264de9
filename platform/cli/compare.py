"""The command `crossarch compare`."""

from pathlib import Path
from typing import Annotated

import typer

from crossarch.platform.cli.options import DEFAULT_STORAGE, Budget, Only, Smoke, Storage, console, find_study
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.store.storage import require_writable

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
    from crossarch.platform.report.comparison import common_keys, make_side, render_comparison, sheets_of, split_commit
    from crossarch.platform.report.comparison import compare as compare_sides
    from crossarch.platform.report.export import write_sheets
    from crossarch.platform.store.ledger import Ledger

    folder = require_writable(out, "out") if out else None
    sides = []
    for text, root in ((a, storage), (b, against or storage)):
        name, commit = split_commit(text)
        shown = f"{text} in {root}" if against else text
        sides.append((shown, find_study(name, smoke, budget, root, only), commit, root))
    (_, first, _, _), (_, second, _, _) = sides
    keys = tuple(key.strip() for key in by.split(",")) if by is not None else common_keys(first, second)
    if len(set(keys)) != len(keys):
        raise BadInputError(f"by = {by!r} names a key twice")
    with refusing():
        left, right = (make_side(text, study, Ledger(root), keys, commit) for text, study, commit, root in sides)
        found = compare_sides(left, right, keys)
    console().print(render_comparison(found))
    if folder:
        for path in write_sheets(sheets_of(found), folder):
            typer.echo(path)
