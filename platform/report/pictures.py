"""What a distilled set looks like, for the eye and for a page: images without their whitening, and labels, as PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave
from torch import Tensor

from crossarch.platform.text import one_line
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.run import DistilledData, RealData
from crossarch.trainables.data.distilled_sets import Store
from crossarch.trainables.data.library import Library
from crossarch.trainables.data.manifest import Manifest

CELL_INCHES = 0.55
MOST_COLUMNS = 20
MOST_ROWS = 20
GAP = 3
"""Pixels between two images."""


def write_pictures(manifest: Manifest, images: Tensor, labels: Tensor, folder: Path) -> list[Path]:
    """Writes `NAME-images.png` and `NAME-labels.png`; images (N, C, H, W) in [0, 1], labels (N,) or (N, classes)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{manifest.name}-images.png", folder / f"{manifest.name}-labels.png"]
    for path, figure in zip(paths, (image_grid(manifest, images), label_histogram(manifest, labels)), strict=True):
        figure.savefig(path, dpi=150)
    return paths


def image_grid(manifest: Manifest, images: Tensor) -> Figure:
    """A grid of `first_images` in the set's order."""
    shown, columns, more = first_images(manifest, images)
    sheet = side_by_side(shown.clamp(0, 1), columns).squeeze(-1).numpy()
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(CELL_INCHES * columns, CELL_INCHES * rows + 0.5), layout="constrained")
    cell = figure.subplots()
    cell.set_axis_off()
    cell.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    figure.suptitle(f"{manifest.name}, whitening {manifest.whitening} undone{more}", fontsize=8)
    return figure


def first_images(manifest: Manifest, images: Tensor) -> tuple[Tensor, int, str]:
    """What is shown of a set: at most 20 x 20 images; how many a row, up to 20 of a class; and if not all, a remark."""
    columns = min(MOST_COLUMNS, manifest.images_per_class if manifest.images_per_class > 1 else 10)
    shown = images[: columns * MOST_ROWS]
    return shown, columns, f", the first {len(shown)} of {len(images)}" if len(shown) < len(images) else ""


def side_by_side(images: Tensor, columns: int, gap: int = GAP) -> Tensor:
    """Images (N, C, H, W) in rows of `columns`, `gap` white pixels between them, as one of (height, width, C)."""
    count, channels, high, wide = images.shape
    rows = -(-count // columns)
    sheet = images.new_ones(channels, rows * (high + gap) - gap, columns * (wide + gap) - gap)
    for index, image in enumerate(images):
        top, left = index // columns * (high + gap), index % columns * (wide + gap)
        sheet[:, top : top + high, left : left + wide] = image
    return sheet.movedim(0, -1)


def label_histogram(manifest: Manifest, labels: Tensor) -> Figure:
    """Images a class for hard labels; for soft ones, how often each class is the largest entry."""
    soft = labels.ndim == 2
    classes = labels.argmax(1) if soft else labels
    width = labels.shape[1] if soft else int(labels.max()) + 1
    counts = classes.bincount(minlength=width).tolist()
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(width), counts, color="#4477aa")
    axes.set_xlabel("class")
    axes.set_ylabel("images" if not soft else "images with it as largest entry")
    axes.set_title(f"{manifest.name}: {manifest.label_form} labels", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """What there is to see of one distilled set."""

    name: str
    told: str
    """What it is, or why it is not shown."""
    png: bytes | None = None
    columns: int = 0


def mosaics(study: Study, seeds: Sequence[int], store: Store, library: Library) -> list[Mosaic]:
    """The sets that the study's runs name, each once; nothing is downloaded or fitted on data that are not here."""
    sets = (plan.config.data for plan in study.expand(tuple(seeds[:1])))
    names = dict.fromkeys(data.distilled_set for data in sets if isinstance(data, DistilledData))
    return [mosaic(name, store, library) for name in names]


def real_data(study: Study, seeds: Sequence[int]) -> list[str]:
    """A sentence for each selection of real images that the study's runs train on."""
    found = dict.fromkeys(
        f"{data.images_per_class} real images a class of {data.dataset}, drawn by each run's seed"
        for plan in study.expand(tuple(seeds[:1]))
        if isinstance(data := plan.config.data, RealData)
    )
    return list(found)


def mosaic(name: str, store: Store, library: Library) -> Mosaic:
    """One set, if the store has it undamaged and its whitening can be undone with what the library has."""
    try:
        manifest, images, _ = store.read(name)
        fitted = library.fitted(manifest.dataset, manifest.whitening)
    except (OSError, ValueError) as error:
        return Mosaic(name=name, told=f"Not shown: {one_line(str(error))}.")
    images_a_class = f"{manifest.images_per_class} image{'s' if manifest.images_per_class > 1 else ''} a class"
    told = (
        f"{manifest.distiller}, {manifest.dataset}, {images_a_class}, "
        f"{manifest.label_form} labels, SHA-256 {manifest.sha256[:12]}"
    )
    if fitted is None:
        return Mosaic(name=name, told=f"{told}. Not shown: the fit of its whitening {manifest.whitening} is not here.")
    shown, columns, some = first_images(manifest, images)
    png = to_png(tile(fitted.invert(shown), columns))
    return Mosaic(name=name, told=f"{told}; whitening {manifest.whitening} undone{some}.", png=png, columns=columns)


def tile(images: Tensor, columns: int) -> np.ndarray[Any, Any]:
    """Images (N, C, H, W) row by row in one picture (H', W', 3) of bytes; values beyond [0, 1] are cut, gaps white."""
    whole = side_by_side(images.clamp(0, 1).expand(-1, 3, -1, -1), columns, gap=1)
    return (whole * 255).round().byte().numpy()


def to_png(picture: np.ndarray[Any, Any]) -> bytes:
    """A picture (H, W, 3) of bytes as a PNG file."""
    file = io.BytesIO()
    imsave(file, picture, format="png")
    return file.getvalue()
