"""The command line: each command says what it does and calls the room that does it."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossarch.platform.validation import BadInputError, parse_changes, refusing, require_writable, validate

if TYPE_CHECKING:
    from rich.console import Console

    from crossarch.search_spaces.study import Study

DEFAULT_STORAGE = Path("crossarch-results")

app = typer.Typer(
    name="crossarch",
    help="Cross-architecture studies of distilled datasets: Ray Tune trains, a Parquet ledger records, MLflow shows.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help, as importing rich's would take longer than all the rest
    pretty_exceptions_enable=False,
)
ledger_app = typer.Typer(
    help="Carry runs to machines without Ray, and their results back.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(ledger_app, name="ledger")


def number(text: str) -> float:
    """An option's value. Raises BadParameter, which names the option, where it is none."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number") from None


def whole_number(text: str) -> int:
    """An option's value. Raises BadParameter, which names the option, where it is none."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number") from None


StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study's name: `crossarch studies` lists them.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="The study's smoke form: every arm and network, in a minute.")]
Budget = Annotated[
    float,
    typer.Option(parser=number, metavar="NUMBER", help="Factor on every epoch constant; schedules keep their shape."),
]
Seeds = Annotated[
    int | None,
    typer.Option(parser=whole_number, metavar="NUMBER", help="How many seeds, instead of the study's own number."),
]
Storage = Annotated[Path, typer.Option(help="Folder of ledger, weights, checkpoints and the embedded MLflow.")]
Tracking = Annotated[
    str | None, typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow's URI, instead of a SQLite file in storage.")
]
Address = Annotated[str | None, typer.Option(help="A running Ray cluster, instead of one of our own.")]


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
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _console() -> "Console":
    from rich.console import Console

    return Console()


def _study(name: str, smoke: bool, budget: float) -> "Study":
    from crossarch.search_spaces.catalog import find

    with refusing():
        study = find(name).scaled(budget)
        study = study.smoke() if smoke else study
        _check(study)
    return study


def _check(study: "Study") -> None:
    """Refuses, before anything is done, a study with a configuration that is not allowed."""
    for planned in study.expand(study.seeds[:1]):
        validate(planned.config.to_dict())


def _seeds(study: "Study", count: int | None) -> tuple[int, ...]:
    """The study's own seeds, or its first `count`, going on from the last."""
    if count is None:
        return study.seeds
    if not 1 <= count <= 1000:
        raise BadInputError(f"seeds = {count} is outside [1, 1000]")
    return (*study.seeds, *range(study.seeds[-1] + 1, study.seeds[-1] + 1 + count))[:count]


def _tracking(uri: str | None, root: Path) -> str:
    from crossarch.platform.record.mlflow_store import default_tracking_uri

    return uri or default_tracking_uri(root)


@app.command()
def studies() -> None:
    """List the studies, what they ask, and how many runs they are."""
    from crossarch.platform.report.listing import render_studies
    from crossarch.search_spaces.catalog import STUDIES

    _console().print(render_studies(STUDIES.values()))


@app.command()
def run(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    address: Address = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, and train nothing.")] = False,
) -> None:
    """Train what the study lacks and show its table. Ctrl-C ends tidily; running again continues."""
    chosen = _study(study, smoke, budget)
    root = require_writable(storage)
    if dry_run:
        from crossarch.platform.run.forecast import render_forecast
        from crossarch.platform.run.runner import plan_study

        _console().print(render_forecast(chosen, plan_study(chosen, _seeds(chosen, seeds), root), root))
        return
    raise typer.Exit(_train(chosen, _seeds(chosen, seeds), root, tracking, address))


def _train(study: "Study", seeds: tuple[int, ...], root: Path, tracking: str | None, address: str | None) -> int:
    """Runs the study and prints its table; the exit status."""
    from crossarch.platform.run.cluster import ClusterError
    from crossarch.platform.run.runner import run_study

    console = _console()
    try:
        ending = run_study(study, seeds, root, tracking=_tracking(tracking, root), address=address, console=console)
    except ConnectionError as error:
        raise BadInputError(str(error)) from error
    except ClusterError as error:
        typer.echo(f"crossarch: {error}", err=True)
        return 1
    _print_report(study, seeds, root, console)
    if ending.interrupted:
        console.print("\nInterrupted. The same command continues where this one stopped.")
    return ending.exit_status


def _print_report(study: "Study", seeds: tuple[int, ...], root: Path, console: "Console") -> None:
    from crossarch.platform.record.ledger import Ledger
    from crossarch.platform.report.tables import build_table
    from crossarch.platform.report.terminal import render_report

    console.print()
    console.print(render_report(build_table(study, seeds, Ledger(root).read()), console.width))


@app.command()
def status(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Count the study's runs by outcome."""
    from crossarch.platform.record.ledger import Ledger
    from crossarch.platform.report.tables import build_table
    from crossarch.platform.report.terminal import render_status

    chosen = _study(study, smoke, budget)
    table = build_table(chosen, _seeds(chosen, seeds), Ledger(storage).read())
    _console().print(render_status(table))


@app.command()
def report(
    study: StudyName,
    smoke: Smoke = False,
    budget: Budget = 1.0,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown, for a file or a README.")] = False,
) -> None:
    """Show the study's table from the ledger: mean, deviation and n over seeds, gap to the CNN."""
    from crossarch.platform.record.ledger import Ledger
    from crossarch.platform.report.markdown import render_markdown
    from crossarch.platform.report.tables import build_table

    chosen = _study(study, smoke, budget)
    results = Ledger(storage).read()
    table = build_table(chosen, _seeds(chosen, seeds), results)
    if len(table.missing) == len(table.runs):
        raise BadInputError(
            f"study = {chosen.name!r} has no results in {str(storage)!r}: `crossarch run {study}` first"
        )
    if markdown:
        typer.echo(render_markdown(table))
    else:
        _print_report(chosen, table.seeds, storage, _console())


@app.command()
def sync(storage: Storage = DEFAULT_STORAGE, tracking: Tracking = None) -> None:
    """Bring MLflow level with the ledger, from nothing if need be."""
    from crossarch.platform.record.ledger import Ledger
    from crossarch.platform.record.mlflow_store import TrackingError
    from crossarch.platform.record.sync import sync_study

    root = require_writable(storage)
    ledger = Ledger(root)
    for name in sorted({invocation.study for invocation in ledger.invocations()}):
        try:
            changes = sync_study(ledger, root, name, _tracking(tracking, root), anyway=True)
        except TrackingError as error:
            typer.echo(f"crossarch: {error}", err=True)
            raise typer.Exit(1) from error
        typer.echo(f"{name}: {changes} runs brought level" if changes else f"{name}: level")


@app.command()
def clean(
    storage: Storage = DEFAULT_STORAGE,
    weights: Annotated[
        bool, typer.Option("--weights", help="Teachers' weights too; a teacher still needed is trained again.")
    ] = False,
) -> None:
    """Remove what no run needs: checkpoints of finished runs, leftovers of killed ones."""
    from crossarch.platform.record.cleaning import clean_storage

    freed = clean_storage(require_writable(storage), weights=weights)
    typer.echo(f"{freed / 1e6:,.1f} MB freed")


@app.command()
def ui(
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    port: Annotated[int, typer.Option(parser=whole_number, metavar="NUMBER", help="On the loopback interface.")] = 5000,
) -> None:
    """Open MLflow's server on the results, on this machine only, until Ctrl-C."""
    if not 1 <= port <= 65535:
        raise BadInputError(f"port = {port} is outside [1, 65535]")
    root = require_writable(storage)
    typer.echo(f"MLflow: http://127.0.0.1:{port} (Ctrl-C ends it)")
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", _tracking(tracking, root)]
    command += ["--default-artifact-root", (root / "mlflow-artifacts").as_uri()]
    os.execve(sys.executable, command, environment)  # noqa: S606, no shell is wanted


@app.command()
def train(
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="kd.alpha=0.7 epochs=100")
    ] = None,
    arm: Annotated[str, typer.Option(help="The recipe that the settings change: baseline or full.")] = "baseline",
    budget: Budget = 1.0,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    address: Address = None,
) -> None:
    """Train one run, and its teacher if it has one: quickstart's ConvNet on digits, changed as you say."""
    from crossarch.search_spaces.single import single_run

    with refusing():
        chosen = single_run(arm, parse_changes(settings or [])).scaled(budget)
        _check(chosen)
    root = require_writable(storage)
    raise typer.Exit(_train(chosen, chosen.seeds, root, tracking, address))


@ledger_app.command("export")
def export_runs(
    study: StudyName,
    file: Annotated[Path, typer.Argument(help="JSON file to write.")],
    smoke: Smoke = False,
    budget: Budget = 1.0,
    seeds: Seeds = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write the runs that the study lacks, for `python -m crossarch.trainables.batch` on a machine without Ray."""
    from crossarch.platform.record.exchange import export_configs
    from crossarch.platform.run.runner import plan_study

    chosen = _study(study, smoke, budget)
    plan = plan_study(chosen, _seeds(chosen, seeds), storage)
    require_writable(file.parent)
    export_configs((task.config for task in plan.tasks), file)
    typer.echo(f"{len(plan.tasks)} runs written to {file}")


@ledger_app.command("import")
def import_runs(
    folder: Annotated[Path, typer.Argument(help="What `--out` of crossarch.trainables.batch was.")],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Admit the results of `python -m crossarch.trainables.batch` to the ledger."""
    from crossarch.platform.record.exchange import import_results

    with refusing():
        admitted, known = import_results(folder, require_writable(storage))
    typer.echo(f"{admitted} runs admitted, {known} known already")
