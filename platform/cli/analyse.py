"""Commands that analyse the method: `crossarch schedules` and `crossarch landscape`."""

from pathlib import Path
from typing import Annotated

import typer

from crossarch.platform.cli.options import (
    DEFAULT_STORAGE,
    Budget,
    DataRoot,
    Only,
    Seeds,
    Smoke,
    Storage,
    StudyName,
    number_option,
    whole_number_option,
)
from crossarch.platform.commands.requests import Selection


def schedules(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = DEFAULT_STORAGE / "figures",
) -> None:
    """Draw keep rate and learning rate over epochs. For each arm of the study, as Figures 5 and 6."""
    from crossarch.platform.commands import schedules

    schedules.draw_schedules(Selection(study=study, smoke=smoke, budget=budget), out)


def landscape(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
    only: Only = None,
    data_root: DataRoot = None,
    eigenvalues: Annotated[int, whole_number_option("Of the Hessian.")] = 20,
    radius: Annotated[float, number_option("Of the plane, in parameters.")] = 1.0,
    points: Annotated[int, whole_number_option("Along each side of it.")] = 21,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; else figures/ in the storage folder.")] = None,
) -> None:
    """Measure curvature where runs ended, draw the loss around. For the study's runs, as Figure 8."""
    from crossarch.platform.commands import landscape

    selection = Selection(study=study, only=only, seeds=seeds, budget=budget, smoke=smoke, storage=storage)
    landscape.measure_landscapes(selection, data_root, out, eigenvalues=eigenvalues, radius=radius, points=points)
