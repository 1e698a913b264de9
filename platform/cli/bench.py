"""The commands that time: what the engines gain, and what the method and the platform cost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from crossarch.platform.cli.options import check_study, console, number_option, whole_number, whole_number_option
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.store.storage import require_writable

bench_app = typer.Typer(
    help="Time the engines against the field's loop, or the platform.",
    invoke_without_command=True,
)

Out = Annotated[Path | None, typer.Option(help="JSON file to write.")]
Export = Annotated[Path | None, typer.Option(help="Write the runs for a bare machine, and time none.")]


def _check_writable(**files: Path | None) -> None:
    for option, file in files.items():
        if file:
            require_writable(file.parent, option)


@contextmanager
def _timing() -> Iterator[Callable[[str], None]]:
    """Gives what is told of that which is timed now."""
    with console().status("Timing ...") as shown:
        yield lambda what: shown.update(f"Timing {what} ...")


@bench_app.callback()
def bench(
    context: typer.Context,
    architectures: Annotated[str, typer.Option(metavar="NAME,...", help="Networks.")] = "convnet,resnet18",
    ipc: Annotated[str, typer.Option(metavar="NUMBER,...", help="Images a class.")] = "1,10,50",
    width: Annotated[float, number_option("Of all networks.")] = 1.0,
    epochs: Annotated[int | None, whole_number_option("Of a turn; else as far as engines look ahead.")] = None,
    repeats: Annotated[int, whole_number_option("Turns of every loop.")] = 15,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Small networks, few turns: checks results, not times.")
    ] = False,
    out: Out = None,
    export: Export = None,
) -> None:
    """Time the field's loop, the readable loop and the fast ones, in turns."""
    if context.invoked_subcommand:
        return
    from crossarch.platform.report.overhead import export_timed, render_bench, timed_bench
    from crossarch.trainables.analysis.engine_speed import diverged, measure
    from crossarch.trainables.analysis.step_cost import FEWEST_REPEATS
    from crossarch.trainables.files import write_json
    from crossarch.trainables.training.batch import find_device

    _check_writable(out=out, export=export)
    if smoke:
        ipc, width, epochs, repeats = "1", 1 / 32, 1, FEWEST_REPEATS
    with refusing():
        runs = timed_bench(architectures.split(","), [whole_number(each) for each in ipc.split(",")], width)
        if export:
            export_timed(runs, export)
            return
        with _timing() as tell:
            document = measure(
                runs,
                epochs=epochs,
                repeats=repeats,
                device=find_device(None),
                on_run=tell,
            )
    if out:
        write_json(out, document)
    console().print(render_bench(document))
    if lost := diverged(document):
        console().print(f"The loss is not finite: {'; '.join(lost)}.", style="red")
        raise typer.Exit(1)


@bench_app.command()
def platform(
    runs: Annotated[int, whole_number_option("That train nothing.")] = 1000,
    cohorts: Annotated[str, typer.Option(metavar="NUMBER,...", help="Runs a worker gets at a time.")] = "1,8",
    reported: Annotated[int, whole_number_option("Finished, in a report.")] = 5000,
    out: Out = None,
) -> None:
    """Time the platform on runs that train nothing."""
    from crossarch.platform.scheduling.cost import measure
    from crossarch.trainables.files import write_json

    _check_writable(out=out)
    sizes = [whole_number(each) for each in cohorts.split(",")]
    if min(runs, reported, *sizes) < 1:
        raise BadInputError(f"runs = {runs}, cohorts = {cohorts}, reported = {reported}: at least 1 of each is needed")
    document = measure(runs, sizes, reported, console())
    if out:
        write_json(out, document)
    lines = [line for each in document["cohorts"] for line in each.items()]
    lines += [(name, value) for name, value in document.items() if isinstance(value, float | int)]
    for name, value in lines:
        console().print(f"{name.replace('_', ' ')}: {value:.3g}" if isinstance(value, float) else f"{name}: {value}")
    if any(each["lost"] for each in document["cohorts"]) or document["not_finished"]:
        raise typer.Exit(1)


def overhead(
    architectures: Annotated[
        str, typer.Option(metavar="NAME,...", help="Networks beside the ConvNet, which teaches.")
    ] = "resnet18,alexnet,vgg11,resnet50",
    width: Annotated[float, number_option("Of all networks.")] = 0.125,
    batch: Annotated[int, whole_number_option("Images a step.")] = 10,
    steps: Annotated[int, whole_number_option("Timed steps of a turn.")] = 3,
    repeats: Annotated[int, whole_number_option("Turns of every arm.")] = 51,
    out: Out = None,
    export: Export = None,
) -> None:
    """Time a training step of every arm: what the method costs."""
    from crossarch.platform.report.overhead import export_timed, render_overhead, timed_runs
    from crossarch.search_spaces.overhead import overhead_study
    from crossarch.trainables.analysis.step_cost import measure
    from crossarch.trainables.files import write_json
    from crossarch.trainables.training.batch import find_device

    _check_writable(out=out, export=export)
    with refusing():
        study = overhead_study(architectures.split(","), width, batch)
        check_study(study)
        if export:
            export_timed(timed_runs(study), export)
            return
        with _timing() as tell:
            document = measure(
                timed_runs(study),
                steps=steps,
                repeats=repeats,
                device=find_device(None),
                on_network=tell,
            )
    if out:
        write_json(out, document)
    console().print(render_overhead(document))
