"""Commands `crossarch data ...`: the store of distilled sets."""

from pathlib import Path
from typing import Annotated

import typer

from crossarch.platform.cli.options import DEFAULT_STORAGE, DataRoot, Storage, number_option, whole_number_option

data_app = typer.Typer(
    help="Keep distilled sets, each with its whitening.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SetName = Annotated[str, typer.Argument(metavar="NAME", help="A set in the store: `crossarch data list`.")]


@data_app.command("add")
def add_set(
    path: Annotated[Path, typer.Argument(help="What was published: a file, or the folder of images and labels.")],
    dataset: Annotated[str, typer.Option(help="Real data set that was distilled: cifar10, for one.")],
    distiller: Annotated[str, typer.Option(help="Method that distilled it: frepo, mtt, dc, kip ...")],
    whitening: Annotated[
        str | None, typer.Option(help="Whitening its images are in; without it, short trainings find out, and you say.")
    ] = None,
    label_temperature: Annotated[float | None, number_option("t of softmax(y / t), for soft labels.")] = None,
    name: Annotated[str | None, typer.Option(help="In the store; else <dataset>-<distiller>-ipc<IPC>.")] = None,
    licence: Annotated[str, typer.Option(help="Its licence, if known.")] = "unknown",
    source: Annotated[str | None, typer.Option(help="Where it is from; else the file's name.")] = None,
    run: Annotated[int | None, whole_number_option("Of several runs in one file, from 0.")] = None,
    channel_order: Annotated[str | None, typer.Option(help="NCHW or NHWC, where the shape does not tell.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    data_root: DataRoot = None,
) -> None:
    """Check a published distilled set and put it into the store."""
    from crossarch.platform.commands import data

    data.add_set(
        path,
        dataset=dataset,
        distiller=distiller,
        whitening=whitening,
        label_temperature=label_temperature,
        name=name,
        licence=licence,
        source=source,
        run=run,
        channel_order=channel_order,
        storage=storage,
        data_root=data_root,
    )


@data_app.command("list")
def list_sets(storage: Storage = DEFAULT_STORAGE) -> None:
    """List the distilled sets, and what is damaged."""
    from crossarch.platform.commands import data_list

    data_list.list_sets(storage)


@data_app.command("show")
def show_set(
    name: SetName,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = DEFAULT_STORAGE / "figures",
    storage: Storage = DEFAULT_STORAGE,
    data_root: DataRoot = None,
) -> None:
    """Say all that is known of a set. Its images, their whitening undone, and its labels are drawn."""
    from crossarch.platform.commands import data

    data.show_set(name, out, storage, data_root)


@data_app.command("verify")
def verify_stored(name: SetName, storage: Storage = DEFAULT_STORAGE, data_root: DataRoot = None) -> None:
    """Check a set's whitening by training a ConvNet briefly. Exit status 1 where it is not the right one."""
    from crossarch.platform.commands import data

    raise typer.Exit(data.verify_stored(name, storage, data_root))
