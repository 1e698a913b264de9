"""Prints a study's table and messages about its report."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from crossarch.platform.report.tables import build_table
from crossarch.platform.report.terminal import render_answers, render_report
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.study import Study


def print_report(study: Study, seeds: tuple[int, ...], root: Path, console: Console) -> None:
    """Prints the study's table and the answers of a sweep, from the ledger below `root`."""
    results = Ledger(root).read()
    console.print()
    console.print(render_report(build_table(study, seeds, results), console.width))
    console.print(render_answers(study, seeds, results))


def print_lines(lines: Iterable[str], console: Console) -> None:
    """Prints an empty line, then each line without markup."""
    for line in ("", *lines):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
