"""Access to the data in a storage folder, and preparation of real images before training. Imports torch."""

from collections.abc import Callable, Iterable
from pathlib import Path

from crossarch.platform.errors import BadInputError
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import RealData, RunConfig
from crossarch.trainables.data.distilled_sets import Store
from crossarch.trainables.data.library import Library


def store(root: Path) -> Store:
    """Store of distilled sets in the storage folder `root`."""
    return Store(root / "data" / "distilled")


def library(root: Path, raw: Path | None, tell: Callable[[str], None]) -> Library:
    """Library of real data sets; `raw` is a folder with data sets that are already downloaded."""
    return Library(root / "data", raw, on_progress=tell)


def prepare(configs: Iterable[RunConfig], root: Path, raw: Path | None, tell: Callable[[str], None]) -> None:
    """Prepares the real data of `configs`, so that workers do not prepare them concurrently. Raises as `make_ready`."""
    wanted = sorted({(each.data.dataset, each.data.whitening, isinstance(each.data, RealData)) for each in configs})
    parts = [
        (dataset, whitening, part)
        for dataset, whitening, from_real in wanted
        for part in ("train", "validation", "test")
        if from_real or part != "train"
    ]
    make_ready(parts, root, raw, tell)


def make_ready(
    parts: Iterable[tuple[str, str, str]], root: Path, raw: Path | None, tell: Callable[[str], None]
) -> None:
    """Downloads, decodes and whitens parts of real data sets, unless that has been done.

    Args:
        parts: (data set, whitening, part) triples; parts are `train`, `validation` and `test`.
        root: The storage folder.
        raw: Folder with data sets that are already downloaded, if any.
        tell: Called with progress messages.

    Raises:
        BadInputError: Data cannot be obtained or are not as expected.
    """
    wanted = [part for part in parts if DATASETS[part[0]].archive]
    if not wanted:
        return
    real = library(root, raw, tell)
    try:
        for part in wanted:
            real.part(*part)
    except (OSError, ValueError) as error:
        raise BadInputError(str(error)) from error
