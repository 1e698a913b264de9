"""Command `crossarch sweep`: sweeps the hyperparameters of a study's arm."""

from typing import Annotated

import typer

from crossarch.platform.cli.options import (
    DEFAULT_STORAGE,
    Address,
    Budget,
    Cohort,
    DataRoot,
    DryRun,
    Engine,
    GpusPerRun,
    GrowsTo,
    Labels,
    Only,
    Resources,
    Seeds,
    Smoke,
    StopEarly,
    Storage,
    StudyName,
    Tracking,
    whole_number_option,
)
from crossarch.platform.commands.requests import Placement, Selection, SweepRequest


def sweep(
    study: StudyName,
    arm: Annotated[str, typer.Option(help="The arm whose hyperparameters vary.")] = "full",
    search: Annotated[
        str | None,
        typer.Option(metavar="slices|grid|lhs|sobol|tpe", help="At which points. Without it: one factor at a time."),
    ] = None,
    samples: Annotated[int | None, whole_number_option("How many points, for lhs, sobol and tpe.")] = None,
    vary: Annotated[
        str | None,
        typer.Option(metavar="NAME[,NAME]...", help="The hyperparameters to vary, instead of all that the arm has."),
    ] = None,
    distilled: Annotated[
        str | None, typer.Option(metavar="SET", help="For robustness: a set of the paper's, cifar10-frepo-ipc10.")
    ] = None,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    engine: Engine = None,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    resources: Resources = None,
    labels: Labels = None,
    grows_to: GrowsTo = None,
    cohort: Cohort = 1,
    only: Only = None,
    data_root: DataRoot = None,
    stop_early: StopEarly = None,
    dry_run: DryRun = False,
) -> None:
    """Train an arm at many points of its hyperparameters. Its name, as `table2-full-sweep`, is a study's elsewhere."""
    from crossarch.platform.commands import run

    selection = Selection(
        study=study, only=only, seeds=seeds, budget=budget, smoke=smoke, engine=engine, storage=storage
    )
    placement = Placement(
        storage=storage,
        tracking=tracking,
        address=address,
        gpus_per_run=gpus_per_run,
        resources=resources,
        labels=labels,
        grows_to=grows_to,
        cohort=cohort,
        stop_early=stop_early,
        data_root=data_root,
    )
    request = SweepRequest(arm=arm, search=search, samples=samples, vary=vary, distilled=distilled)
    raise typer.Exit(run.run([selection], placement, dry_run=dry_run, sweep=request))
