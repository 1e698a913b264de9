"""Loads the images of a run: a distilled set from the store or real training images, validation and test images."""

import functools
from pathlib import Path

import torch
from torch import Tensor

from crossarch.trainables.config.run import DataConfig, RealData
from crossarch.trainables.data.distilled_sets import Store
from crossarch.trainables.data.images import Images
from crossarch.trainables.data.library import PARTS, Library
from crossarch.trainables.data.manifest import Manifest, check_named


@functools.lru_cache(maxsize=4)
def load(config: DataConfig, folder: Path, raw: Path | None = None) -> Images:
    """The images of a run, all in the run's whitening. Validation and test images are always real.

    `folder` has distilled sets, downloads and caches; `raw` has data sets in torchvision's layout, if given. `train` is
    the distilled set, or the pool from which the run's seed draws. Raises ValueError if the distilled set is not the
    one that `config` names, FileNotFoundError if it or the real data are missing.
    """
    library = Library(folder, raw)
    if isinstance(config, RealData):
        return library.images(config.dataset, config.whitening)
    manifest, images, labels = Store(folder / "distilled").read(config.distilled_set)
    check_named(config, manifest)
    train = images, targets(labels, manifest, config.label_temperature)
    return Images.of(train, *(library.part(config.dataset, config.whitening, part) for part in PARTS[1:]))


def targets(labels: Tensor, manifest: Manifest, temperature: float | None) -> Tensor:
    """The targets of the cross-entropy: classes (N,), or probabilities (N, classes) = softmax(labels / t).

    Raises ValueError for soft labels that are not probabilities and have no temperature.
    """
    if temperature is not None:
        return torch.softmax(labels / temperature, dim=1)
    if manifest.label_form not in ("hard", "probabilities"):
        raise ValueError(
            f"data.label_temperature = None, but the labels of {manifest.name} are {manifest.label_form}: "
            "they become probabilities only by softmax(y / t)"
        )
    return labels
