"""Implements `crossarch landscape`."""

import dataclasses
from pathlib import Path

import typer
from rich.console import Console

from crossarch.platform.commands.requests import Placement, Selection
from crossarch.platform.commands.resolve import resolve
from crossarch.platform.commands.sites import make_site
from crossarch.platform.errors import refusing
from crossarch.platform.report.landscape import render_landscapes, write_landscapes
from crossarch.platform.scheduling.landscapes import evenly, landscapes
from crossarch.platform.store.storage import copy_of, require_writable
from crossarch.trainables.training.batch import find_device
from crossarch.trainables.training.execute import Workplace


def measure_landscapes(
    selection: Selection,
    data_root: Path | None,
    folder: Path | None,
    *,
    eigenvalues: int,
    radius: float,
    points: int,
) -> None:
    """Measures the loss landscape of each of the study's finished runs, prints a table, and draws them.

    Args:
        selection: The study and the storage with its runs.
        data_root: Folder with real data sets that are already downloaded, if any.
        folder: Folder for the figures; None for `figures` in the storage.
        eigenvalues: Number of eigenvalues of the Hessian.
        radius: Half the side of the loss plane, as a distance in parameter space.
        points: Odd number of points along each side of the plane.
    """
    root = require_writable(selection.root)
    folder = require_writable(folder or root / "figures", "out")
    study, seeds = resolve(dataclasses.replace(selection, storage=root))
    site = make_site(root, Placement(storage=root, data_root=data_root))
    console = Console()
    with refusing(), console.status("Measuring ...") as shown:
        found = landscapes(
            study,
            seeds,
            Workplace(root=root, data_root=site.data_root, origin=copy_of(root).origin),
            eigenvalues=eigenvalues,
            distances=evenly(radius, points),
            device=find_device(None),
            say=lambda line: console.print(line, highlight=False, soft_wrap=True),
            tell=lambda progress: shown.update(f"Measuring {progress} ..."),
        )
    console.print(render_landscapes(study, found))
    for path in write_landscapes(study, found, folder):
        typer.echo(path)
