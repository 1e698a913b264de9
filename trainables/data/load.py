"""What a run is trained, validated and tested on: a distilled set from the store, or real images."""

import functools
from pathlib import Path

import torch
from torch import Tensor

from crossarch.trainables.config.run import DataConfig
from crossarch.trainables.data.distilled_sets import Store
from crossarch.trainables.data.images import Images
from crossarch.trainables.data.library import PARTS, Library
from crossarch.trainables.data.manifest import Manifest, check_named


@functools.lru_cache(maxsize=4)
def load(config: DataConfig, folder: Path, raw: Path | None = None) -> Images:
    """The images of a run, all in the run's whitening; validation and test images are always real ones.

    `folder` holds distilled sets, downloads and caches, `raw` what data sets already lie elsewhere. `train` is the
    distilled set, or the pool from which the run's seed draws. Raises ValueError where the distilled set is not the
    one that `config` names, FileNotFoundError where it or the real data are not there.
    """
    library = Library(folder, raw)
    if config.distilled is None:
        return library.images(config.dataset, config.whitening)
    manifest, images, labels = Store(folder / "distilled").read(config.distilled)
    check_named(config, manifest)
    train = images, targets(labels, manifest, config.label_temperature)
    return Images.of(train, *(library.part(config.dataset, config.whitening, part) for part in PARTS[1:]))


def targets(labels: Tensor, manifest: Manifest, temperature: float | None) -> Tensor:
    """What cross-entropy is computed against: classes (N,), or probabilities (N, classes) = softmax(labels / t).

    Raises ValueError where soft labels that are no probabilities have no temperature.
    """
    if temperature is not None:
        return torch.softmax(labels / temperature, dim=1)
    if manifest.label_form not in ("hard", "probabilities"):
        raise ValueError(
            f"data.label_temperature = None, but the labels of {manifest.name} are {manifest.label_form}: "
            "they become probabilities only by softmax(y / t)"
        )
    return labels
