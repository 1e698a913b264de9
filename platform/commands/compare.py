"""Implements `crossarch compare`."""

import dataclasses
from pathlib import Path

import typer
from rich.console import Console

from crossarch.platform.commands.requests import Selection
from crossarch.platform.commands.resolve import find_study
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.report.comparison import (
    Side,
    common_keys,
    compare,
    make_side,
    render_comparison,
    sheets_of,
    split_commit,
)
from crossarch.platform.report.export import write_sheets
from crossarch.platform.scheduling.sampling import recorded_forms
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import require_writable
from crossarch.search_spaces.study import Study


def compare_studies(a: Selection, b: Selection, by: str | None, folder: Path | None, *, show_storage: bool) -> None:
    """Prints two studies side by side and optionally writes the tables.

    Args:
        a: The first study; its name may end in `@COMMIT`.
        b: The second study, likewise.
        by: Comma-separated keys by which cells are matched; None for the arm and the common axes.
        folder: Folder for the tables; None to write none.
        show_storage: Whether each side's storage is added to its name.

    Raises:
        BadInputError: The studies cannot be compared.
    """
    folder = require_writable(folder, "out") if folder else None
    sides = []
    for selection in (a, b):
        name, commit = split_commit(selection.study)
        shown = f"{selection.study} in {selection.root}" if show_storage else selection.study
        sides.append((shown, find_study(dataclasses.replace(selection, study=name)), selection.root, commit))
    (_, first, _, _), (_, second, _, _) = sides
    keys = tuple(key.strip() for key in by.split(",")) if by is not None else common_keys(first, second)
    if len(set(keys)) != len(keys):
        raise BadInputError(f"by = {by!r} names a key twice")
    with refusing():
        left, right = (recorded_side(*side, keys) for side in sides)
        found = compare(left, right, keys)
    Console().print(render_comparison(found))
    if folder:
        for path in write_sheets(sheets_of(found), folder):
            typer.echo(path)


def recorded_side(name: str, study: Study, root: Path, commit: str | None, keys: tuple[str, ...]) -> Side:
    """`make_side` for the runs in the ledger of the storage folder `root`."""
    ledger = Ledger(root)
    form = recorded_forms(study, ledger)[-1]
    return make_side(name, form, ledger.read(), ledger.versions(), keys, commit, place=str(root))
