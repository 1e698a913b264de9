"""What a study trains on: its distilled sets as pictures, their whitening undone where its fit is at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossarch.platform.report.pictures import first_images
from crossarch.platform.report.pictures import mosaic as side_by_side
from crossarch.platform.report.wording import one_line
from crossarch.search_spaces.study import Study

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

GAP = 1
"""Pixels between images."""


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """What there is to see of one distilled set."""

    name: str
    told: str
    """What it is, or why it is not shown."""
    png: bytes | None = None
    columns: int = 0


def mosaics(study: Study, seeds: Sequence[int], root: Path) -> list[Mosaic]:
    """The sets that the study's runs name, each once; nothing is downloaded or fitted on data that are not here."""
    names = dict.fromkeys(plan.config.data.distilled for plan in study.expand(tuple(seeds[:1])))
    return [mosaic(name, root) for name in names if name is not None]


def real_data(study: Study, seeds: Sequence[int]) -> list[str]:
    """A sentence for each selection of real images that the study's runs train on."""
    found = dict.fromkeys(
        f"{data.images_per_class} real images a class of {data.dataset}, drawn by each run's seed"
        for plan in study.expand(tuple(seeds[:1]))
        if (data := plan.config.data).distilled is None
    )
    return list(found)


def mosaic(name: str, root: Path) -> Mosaic:
    """One set, if the store below `root` has it undamaged and its whitening can be undone with what is here."""
    from crossarch.platform.run.data import library, store

    try:
        manifest, images, _ = store(root).read(name)
        fitted = library(root, None, lambda message: None).fitted(manifest.dataset, manifest.whitening)
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


def tile(images: "Tensor", columns: int) -> "np.ndarray[Any, Any]":
    """Images (N, C, H, W) row by row in one picture (H', W', 3) of bytes; values beyond [0, 1] are cut, gaps white."""
    whole = side_by_side(images.clamp(0, 1).expand(-1, 3, -1, -1), columns, GAP)
    return (whole * 255).round().byte().numpy()


def to_png(picture: "np.ndarray[Any, Any]") -> bytes:
    """A picture (H, W, 3) of bytes as a PNG file."""
    import io

    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, picture, format="png")
    return file.getvalue()
