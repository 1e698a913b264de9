"""Implements `crossarch data add`, `show` and `verify`."""

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.report.pictures import write_pictures
from crossarch.platform.report.terminal import render_set
from crossarch.platform.scheduling.prepare import library, store
from crossarch.platform.scheduling.verification import record, verify_set
from crossarch.platform.store.storage import SETS, copy_of, require_writable
from crossarch.trainables.analysis.verification import Verdict
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.data.published_sets import Candidate, Declared, take_in


@contextmanager
def answering(data_root: Path | None) -> Iterator[None]:
    """As `refusing`, but also converts OSError to BadInputError, except for a broken pipe.

    Raises BadInputError immediately if `data_root` is not a folder.
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


def add_set(
    path: Path,
    *,
    dataset: str,
    distiller: str,
    whitening: str | None,
    label_temperature: float | None,
    name: str | None,
    licence: str,
    source: str | None,
    run: int | None,
    channel_order: str | None,
    storage: Path,
    data_root: Path | None,
) -> None:
    """Checks the published set at `path` and adds it to the store.

    Args:
        path: The published file.
        dataset: Declared data set.
        distiller: Declared distiller.
        whitening: Declared whitening; None to determine it by short trainings, to be confirmed by the user.
        label_temperature: Declared label temperature; None for the default rule.
        name: Name in the store; None for the default rule.
        licence: Declared licence.
        source: Declared source; None for the default rule.
        run: Index of the set in a file with several, if any.
        channel_order: Declared order of the channels, if any.
        storage: The storage folder.
        data_root: Folder with real data sets, if any.

    Raises:
        BadInputError: A value is not allowed, or the set is not as declared.
    """
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
            verdict = verify_set(candidate, None, root, data_root, Console())
            manifest = record(dataclasses.replace(manifest, whitening=confirmed(verdict)), verdict)
        store(root).add(manifest, candidate.images, candidate.labels)
        copy_of(root).push(SETS)
    typer.echo(
        f"{manifest.name}: {len(candidate.images)} images, {manifest.label_form} labels, "
        f"whitening {manifest.whitening}, sha256 {manifest.sha256[:12]}"
    )


def confirmed(verdict: Verdict) -> str:
    """The whitening that fits, after confirmation by the user. Raises BadInputError if none fits or is confirmed."""
    if verdict.fits is None:
        raise BadInputError("whitening = None: the trainings do not tell which it is; give --whitening")
    if not sys.stdin.isatty():
        raise BadInputError(f"whitening = None: {verdict.fits} fits; to confirm it, give --whitening {verdict.fits}")
    try:
        taken = typer.confirm(f"Take {verdict.fits}?")
    except typer.Abort:  # typer raises it for Ctrl-C and the end of input
        raise KeyboardInterrupt from None
    if not taken:
        raise BadInputError("whitening = None: nothing was added; give --whitening")
    return verdict.fits


def show_set(name: str, folder: Path, storage: Path, data_root: Path | None) -> None:
    """Prints a set's manifest and writes pictures of its images, with whitening inverted, and labels to `folder`."""
    root, folder = require_writable(storage), require_writable(folder, "out")
    with answering(data_root):
        manifest, images, labels = store(root).read(name)
        Console().print(render_set(manifest))
        whitening = library(root, data_root, typer.echo).whitening(manifest.dataset, manifest.whitening)
        for path in write_pictures(manifest, whitening.invert(images), labels, folder):
            typer.echo(path)


def verify_stored(name: str, storage: Path, data_root: Path | None) -> int:
    """Checks a set's whitening by training a ConvNet briefly, and records the verdict.

    Returns the exit status: 0 if the recorded whitening fits, else 1.
    """
    root = require_writable(storage)
    with answering(data_root):
        manifest, images, labels = store(root).read(name)
        candidate = Candidate(manifest=manifest, images=images, labels=labels, notes=())
        verdict = verify_set(candidate, manifest.whitening, root, data_root, Console())
        store(root).update(record(manifest, verdict))
        copy_of(root).push(SETS)
    return 0 if verdict.fits == manifest.whitening else 1
