"""The command line: each command says what it does and calls the room that does it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    Configs,
    DataRoot,
    Design,
    Distilled,
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
    Vary,
    check_study,
    choose_seeds,
    console,
    find_study,
    form_of,
    make_demand,
    make_site,
    parse_changes,
    tracking_uri,
)
from crossarch.platform.cli.storage import clean, ledger_app, sync, ui
from crossarch.platform.errors import BadInputError, FailedError, refusing
from crossarch.platform.store.storage import place_of, require_writable
from crossarch.trainables.working_copy import StorageUnreachableError

if TYPE_CHECKING:
    from rich.console import Console

    from crossarch.platform.scheduling.site import Site
    from crossarch.search_spaces.study import Study


app = typer.Typer(
    name="crossarch",
    help="Cross-architecture studies of distilled datasets: Ray Tune trains, a Parquet ledger records, MLflow shows.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help, as importing rich's would take longer than all the rest
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The console command. Exits with 0, 1 (something failed), 2 (bad input) or 130 (interrupted)."""
    try:
        status = app(standalone_mode=False)  # else typer frames what is wrong in boxes of several lines
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
    from crossarch.platform.report.terminal import render_studies
    from crossarch.search_spaces.catalog import STUDIES

    console().print(render_studies(STUDIES.values()))


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
    design: Design = None,
    configs: Configs = None,
    vary: Vary = None,
    distilled: Distilled = None,
    data_root: DataRoot = None,
    stop_early: StopEarly = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and train nothing.")] = False,
) -> None:
    """Train what the studies lack and show their tables. Ctrl-C ends tidily; running again continues."""
    root = require_writable(storage)
    demand = make_demand(gpus_per_run, resources, labels)
    site = make_site(root, tracking, address, data_root, demand, grows_to, cohort, stop_early)
    forms = [form_of(name, design, configs, vary, distilled) for name in studies]
    chosen = [_choose(form, smoke, budget, seeds, root, only, engine) for form in forms]
    names = [each.name for each, _ in chosen]
    for name in names:
        if names.count(name) > 1:
            raise BadInputError(f"study = {name!r} is given twice")
    if dry_run:
        from crossarch.platform.scheduling.forecast import render_forecasts
        from crossarch.platform.scheduling.runner import plans_of

        console().print(render_forecasts(plans_of(chosen, site), root))
        return
    raise typer.Exit(_train(chosen, site))


def _choose(
    name: str,
    smoke: bool,
    budget: float,
    seeds: int | None,
    root: Path,
    only: list[str] | None,
    engine: str | None,
) -> "tuple[Study, tuple[int, ...]]":
    """The study with the points that its sampler has chosen so far, if it has one, and the seeds."""
    from crossarch.platform.scheduling.sampling import grown_from

    chosen = find_study(name, smoke, budget, root, only, engine)
    numbers = choose_seeds(chosen, seeds)
    return grown_from(chosen, numbers, root), numbers


def _train(chosen: "list[tuple[Study, tuple[int, ...]]]", site: "Site") -> int:
    """Runs the studies and prints their tables; the exit status."""
    from crossarch.platform.scheduling.runner import run_studies

    terminal = console()
    endings = run_studies(chosen, site, terminal)
    for ending, (_, seeds) in zip(endings, chosen, strict=True):
        if not ending.study.to_distil():  # else nothing could be trained
            _print_report(ending.study, seeds, site.root, terminal)
            _publish(ending.study, seeds, site.root, site.tracking, terminal, anew=False)
    if any(ending.interrupted for ending in endings):
        terminal.print("\nInterrupted. The same command continues where this one stopped.")
    return max(ending.exit_status for ending in endings)


def _print_report(study: "Study", seeds: tuple[int, ...], root: Path, terminal: "Console") -> None:
    from crossarch.platform.report.tables import build_table
    from crossarch.platform.report.terminal import render_answers, render_report
    from crossarch.platform.store.ledger import Ledger

    results = Ledger(root).read()
    terminal.print()
    terminal.print(render_report(build_table(study, seeds, results), terminal.width))
    terminal.print(render_answers(study, seeds, results))


def _publish(
    study: "Study",
    seeds: tuple[int, ...],
    root: Path,
    tracking: str,
    terminal: "Console",
    *,
    folder: Path | None = None,
    anew: bool = True,
) -> None:
    from crossarch.platform.report.publish import publish

    for line in ("", *publish(study, seeds, root, tracking, folder=folder, anew=anew)):
        terminal.print(line, markup=False, highlight=False, soft_wrap=True)


@app.command()
def status(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    engine: Engine = None,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
    only: Only = None,
    design: Design = None,
    configs: Configs = None,
    vary: Vary = None,
    distilled: Distilled = None,
) -> None:
    """Count the study's runs by outcome."""
    from crossarch.platform.report.tables import build_table
    from crossarch.platform.report.terminal import render_status
    from crossarch.platform.store.ledger import Ledger

    form = form_of(study, design, configs, vary, distilled)
    chosen, numbers = _choose(form, smoke, budget, seeds, storage, only, engine)
    table = build_table(chosen, numbers, Ledger(storage).read())
    terminal = console()
    terminal.print(render_status(table))
    for name in chosen.to_distil():
        terminal.print(f"{name}: not distilled yet; `crossarch run {study}` does so first", soft_wrap=True)


@app.command()
def report(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    engine: Engine = None,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
    only: Only = None,
    design: Design = None,
    configs: Configs = None,
    vary: Vary = None,
    distilled: Distilled = None,
    tracking: Tracking = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; else reports/STUDY in storage.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, and write nothing.")] = False,
) -> None:
    """Show the study's table, and write its page. Each figure and table lies beside it as files."""
    from crossarch.platform.report.markdown import render_markdown
    from crossarch.platform.report.sweep.sheets import answers
    from crossarch.platform.report.sweep.surface import surfaces
    from crossarch.platform.report.tables import build_table
    from crossarch.platform.store.ledger import Ledger

    form = form_of(study, design, configs, vary, distilled)
    chosen, numbers = _choose(form, smoke, budget, seeds, storage, only, engine)
    results = Ledger(storage).read()
    table = build_table(chosen, numbers, results)
    if table.counts["missing"] + table.counts["unavailable"] == len(table.runs):
        undistilled = "".join(f", and {name} is not distilled yet" for name in chosen.to_distil())
        raise BadInputError(
            f"study = {chosen.name!r} has no results in {place_of(storage)!r}{undistilled}: "
            f"`crossarch run {study}` first"
        )
    if markdown:
        typer.echo(render_markdown(table, answers(surfaces(chosen, table.seeds, results))), nl=False)
        return
    terminal = console()
    _print_report(chosen, table.seeds, storage, terminal)
    _publish(chosen, table.seeds, storage, tracking_uri(tracking, storage), terminal, folder=out)


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
    from crossarch.platform.scheduling.data import bound
    from crossarch.search_spaces.single import single_run

    with refusing():
        root = require_writable(storage)
        chosen = bound(single_run(arm, parse_changes(settings or [])).scaled(budget), root)
        check_study(chosen)
    site = make_site(root, tracking, address, data_root, make_demand(gpus_per_run, resources, labels), grows_to)
    raise typer.Exit(_train([(chosen, chosen.seeds)], site))


for command in (compare, distill, ui, sync, clean, schedules, landscape, overhead):
    app.command()(command)
app.add_typer(data_app, name="data")
app.add_typer(ledger_app, name="ledger")
app.add_typer(bench_app, name="bench")
