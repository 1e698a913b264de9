"""Command `crossarch distill`: dataset distillation into the store."""

from typing import Annotated

import typer

from crossarch.platform.cli.options import (
    DEFAULT_STORAGE,
    Address,
    DataRoot,
    GpusPerRun,
    GrowsTo,
    Labels,
    Resources,
    Storage,
    Tracking,
    whole_number_option,
)
from crossarch.platform.commands.requests import Placement


def distill(
    distiller: Annotated[str, typer.Argument(metavar="DISTILLER", help="The method: frepo.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="width=0.5 learning_rate=0.001")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Real data set: digits, cifar10, cifar100, tiny_imagenet.")] = "digits",
    ipc: Annotated[int, whole_number_option("Distilled images a class.")] = 10,
    steps: Annotated[int | None, whole_number_option("Instead of the data set's own number.")] = None,
    seed: Annotated[int, whole_number_option("Of all that is random.")] = 0,
    name: Annotated[str | None, typer.Option(help="In the store; else <dataset>-<distiller>-ipc<IPC>.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    resources: Resources = None,
    labels: Labels = None,
    grows_to: GrowsTo = None,
    data_root: DataRoot = None,
) -> None:
    """Distil a data set and put it into the store. Ctrl-C ends tidily; running again continues."""
    from crossarch.platform.commands import distill

    options = {"images_per_class": ipc, "seed": seed} | ({} if steps is None else {"steps": steps})
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
    raise typer.Exit(distill.distill(distiller, dataset, settings or [], options, name, placement))
