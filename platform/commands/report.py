"""Implements `crossarch report`."""

from pathlib import Path

import typer
from rich.console import Console

from crossarch.platform.commands.output import print_lines, print_report
from crossarch.platform.commands.publish import publish
from crossarch.platform.commands.requests import Selection
from crossarch.platform.commands.resolve import resolve
from crossarch.platform.commands.sites import tracking_uri
from crossarch.platform.errors import BadInputError
from crossarch.platform.report.markdown import render_markdown
from crossarch.platform.report.sweep.sheets import answers
from crossarch.platform.report.sweep.surface import surfaces
from crossarch.platform.report.tables import build_table
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import place_of


def show_report(selection: Selection, tracking: str | None, folder: Path | None, *, markdown: bool) -> None:
    """Prints the study's table and publishes its page, or prints Markdown and writes nothing.

    `folder` is the folder of the page; None for the study's default in the storage. Raises BadInputError if there is no
    result.
    """
    root = selection.root
    study, seeds = resolve(selection)
    results = Ledger(root).read()
    table = build_table(study, seeds, results)
    if table.counts["missing"] + table.counts["unavailable"] == len(table.runs):
        undistilled = "".join(f", and {name} is not distilled yet" for name in study.to_distil())
        raise BadInputError(
            f"study = {study.name!r} has no results in {place_of(root)!r}{undistilled}: "
            f"`crossarch run {selection.study}` first"
        )
    if markdown:
        typer.echo(render_markdown(table, answers(surfaces(study, table.seeds, results))), nl=False)
        return
    console = Console()
    print_report(study, table.seeds, root, console)
    print_lines(publish(study, table.seeds, root, tracking_uri(tracking, root), folder=folder), console)
