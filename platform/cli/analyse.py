"""The commands that show the method itself: its schedules, and where it ends."""

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
    choose_seeds,
    console,
    find_study,
    make_site,
    number_option,
    whole_number_option,
)
from crossarch.platform.errors import refusing
from crossarch.platform.store.storage import require_writable


def schedules(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = DEFAULT_STORAGE / "figures",
) -> None:
    """Draw keep rate and learning rate over epochs. For each arm of the study, as Figures 5 and 6."""
    from crossarch.platform.report.schedules import write_schedules

    for path in write_schedules(find_study(study, smoke, budget), require_writable(out, "out")):
        typer.echo(path)


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
    from crossarch.platform.report.landscape import render_landscapes, write_landscapes
    from crossarch.platform.scheduling.landscapes import evenly, landscapes
    from crossarch.platform.store.storage import copy_of
    from crossarch.trainables.training.batch import find_device
    from crossarch.trainables.training.execute import Workplace

    root = require_writable(storage)
    folder = require_writable(out or root / "figures", "out")
    chosen = find_study(study, smoke, budget, root, only)
    site = make_site(root, None, None, data_root)
    terminal = console()
    with refusing(), terminal.status("Measuring ...") as shown:
        found = landscapes(
            chosen,
            choose_seeds(chosen, seeds),
            Workplace(root=root, data_root=site.data_root, origin=copy_of(root).origin),
            eigenvalues=eigenvalues,
            distances=evenly(radius, points),
            device=find_device(None),
            say=lambda line: terminal.print(line, highlight=False, soft_wrap=True),
            tell=lambda progress: shown.update(f"Measuring {progress} ..."),
        )
    terminal.print(render_landscapes(chosen, found))
    for path in write_landscapes(chosen, found, folder):
        typer.echo(path)
