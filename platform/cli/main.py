"""The command line: each command declares its options and calls its implementation in `platform.commands`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from crossarch.platform.cli.analyse import landscape, schedules
from crossarch.platform.cli.bench import bench_app, overhead
from crossarch.platform.cli.compare import compare
from crossarch.platform.cli.data import data_app
from crossarch.platform.cli.distill import distill
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
    StudyNames,
    Tracking,
)
from crossarch.platform.cli.recipe import settings, show
from crossarch.platform.cli.storage import clean, ledger_app, sync, ui
from crossarch.platform.cli.sweep import sweep
from crossarch.platform.commands.requests import Placement, Selection
from crossarch.platform.errors import BadInputError, FailedError
from crossarch.trainables.working_copy import StorageUnreachableError

app = typer.Typer(
    name="crossarch",
    help="Cross-architecture studies of distilled datasets: Ray Tune trains, a Parquet ledger records, MLflow shows.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: importing rich would take longer than everything else
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The console command. Exits with 0, 1 (something failed), 2 (bad input) or 130 (interrupted)."""
    try:
        status = app(standalone_mode=False)  # else typer prints errors in boxes of several lines
        raise SystemExit(status)
    except (BadInputError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        is_help = "\n" in message  # without any arguments
        sys.stderr.write(f"{message}\n" if is_help else f"crossarch: {message}\n")
        raise SystemExit(2) from None
    except (FailedError, StorageUnreachableError) as error:
        sys.stderr.write(f"crossarch: {error}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@app.command()
def studies() -> None:
    """List the studies, what they ask, and how many runs they are."""
    from crossarch.platform.commands import status

    status.list_studies()


@app.command()
def run(
    studies: StudyNames,
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
    """Train what the studies lack and show their tables. Ctrl-C ends tidily; running again continues."""
    from crossarch.platform.commands import run

    selections = [
        Selection(
            study=study,
            only=only,
            seeds=seeds,
            budget=budget,
            smoke=smoke,
            engine=engine,
            storage=storage,
        )
        for study in studies
    ]
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
    raise typer.Exit(run.run(selections, placement, dry_run=dry_run))


@app.command()
def status(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    engine: Engine = None,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
    only: Only = None,
) -> None:
    """Count the study's runs by outcome."""
    from crossarch.platform.commands import status

    selection = Selection(
        study=study,
        only=only,
        seeds=seeds,
        budget=budget,
        smoke=smoke,
        engine=engine,
        storage=storage,
    )
    status.show_status(selection)


@app.command()
def report(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    engine: Engine = None,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
    only: Only = None,
    tracking: Tracking = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; else reports/STUDY in storage.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, and write nothing.")] = False,
) -> None:
    """Show the study's table, and write its page. Each figure and table lies beside it as files."""
    from crossarch.platform.commands import report

    selection = Selection(
        study=study,
        only=only,
        seeds=seeds,
        budget=budget,
        smoke=smoke,
        engine=engine,
        storage=storage,
    )
    report.show_report(selection, tracking, out, markdown=markdown)


@app.command()
def train(
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="kd.alpha=0.7 epochs=100")
    ] = None,
    arm: Annotated[str, typer.Option(help="The recipe that the settings change: an arm of Table 1.")] = "baseline",
    budget: Budget = 1.0,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    resources: Resources = None,
    labels: Labels = None,
    grows_to: GrowsTo = None,
    data_root: DataRoot = None,
) -> None:
    """Train one run, and its teacher if it has one. It is quickstart's ConvNet on digits, changed as you say."""
    from crossarch.platform.commands import train as commands

    placement = Placement(
        storage=storage,
        tracking=tracking,
        address=address,
        gpus_per_run=gpus_per_run,
        resources=resources,
        labels=labels,
        grows_to=grows_to,
        data_root=data_root,
    )
    raise typer.Exit(commands.train(arm, settings or [], budget, placement))


for command in (sweep, show, settings, compare, distill, ui, sync, clean, schedules, landscape, overhead):
    app.command()(command)
app.add_typer(data_app, name="data")
app.add_typer(ledger_app, name="ledger")
app.add_typer(bench_app, name="bench")
