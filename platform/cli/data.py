"""The commands `crossarch data ...`: distilled sets that cannot be misused."""

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossarch.platform.cli.options import (
    DEFAULT_STORAGE,
    DataRoot,
    Storage,
    console,
    number_option,
    whole_number_option,
)
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.store.storage import SETS, copy_of, require_writable

if TYPE_CHECKING:
    from crossarch.trainables.analysis.verification import Verdict


data_app = typer.Typer(
    help="Keep distilled sets, each with its whitening.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SetName = Annotated[str, typer.Argument(metavar="NAME", help="A set in the store: `crossarch data list`.")]


@contextmanager
def answering(data_root: Path | None) -> Iterator[None]:
    """`refusing`, also for what disk or network refuse; a broken pipe is not the user's.

    Raises BadInputError at once for a data root that is no folder.
    """
    if data_root is not None and not data_root.is_dir():
        raise BadInputError(f"data_root = {str(data_root)!r} is not a folder")
    try:
        with refusing():
            yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BadInputError(str(error)) from error


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
    from crossarch.platform.scheduling.data import store
    from crossarch.platform.scheduling.verification import record, verify_set
    from crossarch.trainables.config.datasets import DATASETS
    from crossarch.trainables.data.published_sets import Declared, take_in

    root = require_writable(storage)
    with answering(data_root):
        first = DATASETS[dataset].whitenings[0] if dataset in DATASETS else ""
        declared = Declared(
            dataset=dataset,
            distiller=distiller,
            whitening=whitening or first,
            name=name,
            label_temperature=label_temperature,
            source=source,
            licence=licence,
        )
        candidate = take_in(path, declared, run=run, channel_order=channel_order)
        for note in candidate.notes:
            typer.echo(f"Note: {note}")
        manifest = candidate.manifest
        if whitening is None:
            verdict = verify_set(candidate, None, root, data_root, console())
            manifest = record(dataclasses.replace(manifest, whitening=confirmed(verdict)), verdict)
        store(root).add(manifest, candidate.images, candidate.labels)
        copy_of(root).push(SETS)
    typer.echo(
        f"{manifest.name}: {len(candidate.images)} images, {manifest.label_form} labels, "
        f"whitening {manifest.whitening}, sha256 {manifest.sha256[:12]}"
    )


def confirmed(verdict: "Verdict") -> str:
    """The whitening that fits, once a person has said so. Raises BadInputError where none can, or did."""
    if verdict.fits is None:
        raise BadInputError("whitening = None: the trainings do not tell which it is; give --whitening")
    if not sys.stdin.isatty():
        raise BadInputError(f"whitening = None: {verdict.fits} fits; to confirm it, give --whitening {verdict.fits}")
    try:
        taken = typer.confirm(f"Take {verdict.fits}?")
    except typer.Abort:  # Ctrl-C or the end of input: typer's form of it
        raise KeyboardInterrupt from None
    if not taken:
        raise BadInputError("whitening = None: nothing was added; give --whitening")
    return verdict.fits


@data_app.command("list")
def list_sets(storage: Storage = DEFAULT_STORAGE) -> None:
    """List the distilled sets, and what is damaged."""
    from crossarch.platform.report.terminal import render_sets
    from crossarch.platform.scheduling.data import manifests

    sets = manifests(storage)
    console().print(render_sets(sets.manifests(), sets.damaged()))


@data_app.command("show")
def show_set(
    name: SetName,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = DEFAULT_STORAGE / "figures",
    storage: Storage = DEFAULT_STORAGE,
    data_root: DataRoot = None,
) -> None:
    """Say all that is known of a set. Its images, their whitening undone, and its labels are drawn."""
    from crossarch.platform.report.pictures import write_pictures
    from crossarch.platform.report.terminal import render_set
    from crossarch.platform.scheduling.data import library, store

    root, folder = require_writable(storage), require_writable(out, "out")
    with answering(data_root):
        manifest, images, labels = store(root).read(name)
        console().print(render_set(manifest))
        whitening = library(root, data_root, typer.echo).whitening(manifest.dataset, manifest.whitening)
        for path in write_pictures(manifest, whitening.invert(images), labels, folder):
            typer.echo(path)


@data_app.command("verify")
def verify_stored(name: SetName, storage: Storage = DEFAULT_STORAGE, data_root: DataRoot = None) -> None:
    """Check a set's whitening by training a ConvNet briefly. Exit status 1 where it is not the right one."""
    from crossarch.platform.scheduling.data import store
    from crossarch.platform.scheduling.verification import record, verify_set
    from crossarch.trainables.data.published_sets import Candidate

    root = require_writable(storage)
    with answering(data_root):
        manifest, images, labels = store(root).read(name)
        candidate = Candidate(manifest=manifest, images=images, labels=labels, notes=())
        verdict = verify_set(candidate, manifest.whitening, root, data_root, console())
        store(root).update(record(manifest, verdict))
        copy_of(root).push(SETS)
    raise typer.Exit(0 if verdict.fits == manifest.whitening else 1)
