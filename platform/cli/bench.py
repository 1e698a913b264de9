"""Commands that measure speed: of the engines, and the overhead of the method and the platform."""

from pathlib import Path
from typing import Annotated

import typer

from crossarch.platform.cli.options import number_option, whole_number, whole_number_option

bench_app = typer.Typer(
    help="Time the engines against the field's loop, or the platform.",
    invoke_without_command=True,
)

Out = Annotated[Path | None, typer.Option(help="JSON file to write.")]
Export = Annotated[Path | None, typer.Option(help="Write the runs for a bare machine, and time none.")]


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
    from crossarch.platform.commands import bench

    sizes = [whole_number(each) for each in ipc.split(",")]
    status = bench.time_engines(
        architectures.split(","), sizes, width, epochs, repeats, smoke=smoke, out=out, export=export
    )
    raise typer.Exit(status)


@bench_app.command()
def platform(
    runs: Annotated[int, whole_number_option("That train nothing.")] = 1000,
    cohorts: Annotated[str, typer.Option(metavar="NUMBER,...", help="Runs a worker gets at a time.")] = "1,8",
    reported: Annotated[int, whole_number_option("Finished, in a report.")] = 5000,
    out: Out = None,
) -> None:
    """Time the platform on runs that train nothing."""
    from crossarch.platform.commands import platform_cost

    sizes = [whole_number(each) for each in cohorts.split(",")]
    raise typer.Exit(platform_cost.time_platform(runs, sizes, reported, out))


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
    from crossarch.platform.commands import bench

    bench.time_overhead(architectures.split(","), width, batch, steps, repeats, out=out, export=export)
