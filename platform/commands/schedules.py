"""Implements `crossarch schedules`."""

from pathlib import Path

import typer

from crossarch.platform.commands.requests import Selection
from crossarch.platform.commands.resolve import resolve
from crossarch.platform.report.schedules import write_schedules
from crossarch.platform.store.storage import require_writable


def draw_schedules(selection: Selection, folder: Path) -> None:
    """Draws keep rate and learning rate of the study's arms, writes the figures to `folder` and prints the files."""
    study, _ = resolve(selection)
    for path in write_schedules(study, require_writable(folder, "out")):
        typer.echo(path)
