"""Implements `crossarch studies` and `crossarch status`."""

from rich.console import Console

from crossarch.platform.commands.requests import Selection
from crossarch.platform.commands.resolve import resolve
from crossarch.platform.report.tables import build_table
from crossarch.platform.report.terminal import render_status, render_studies
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.catalog import STUDIES


def list_studies() -> None:
    """Prints all studies with their questions and numbers of runs."""
    Console().print(render_studies(STUDIES.values()))


def show_status(selection: Selection) -> None:
    """Prints the study's number of runs by outcome, and its sets that are not distilled yet."""
    study, seeds = resolve(selection)
    console = Console()
    console.print(render_status(build_table(study, seeds, Ledger(selection.root).read())))
    for name in study.to_distil():
        console.print(f"{name}: not distilled yet; `crossarch run {selection.study}` does so first", soft_wrap=True)
