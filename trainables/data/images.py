"""Real images as tensors: read once a process, verified, normalised, and drawn into class-balanced subsets."""

import functools
import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor

from crossarch.trainables.data.catalog import DATASETS


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images (N, C, H, W) in float32, normalised per channel by the training images' statistics; labels (N,)."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


@functools.lru_cache(maxsize=2)
def load(name: str) -> Images:
    """The data set of that name. Raises ValueError where what was read is not what the catalog promises."""
    raw, labels = READERS[name]()
    facts = DATASETS[name]
    digest = hashlib.sha256(raw.numpy().tobytes() + labels.to(torch.uint8).numpy().tobytes()).hexdigest()
    if digest != facts.sha256:
        raise ValueError(f"data.dataset = {name!r}: its SHA-256 is {digest}, not {facts.sha256}: the data have changed")
    images = raw.to(torch.float32)
    if images.shape[-1] != facts.resolution:
        size = (facts.resolution, facts.resolution)
        images = F.interpolate(images, size, mode="bilinear", align_corners=False)
    train = images[: facts.train]
    mean, std = train.mean((0, 2, 3), keepdim=True), train.std((0, 2, 3), keepdim=True)
    images = (images - mean) / std
    return Images(
        train=images[: facts.train],
        train_labels=labels[: facts.train],
        test=images[facts.train :],
        test_labels=labels[facts.train :],
    )


def _read_digits() -> tuple[Tensor, Tensor]:
    """Grey values 0 to 16 (1797, 1, 8, 8) in uint8, and labels (1797,) in int64, in scikit-learn's order."""
    from sklearn.datasets import load_digits  # slow to import, and not needed for other data

    digits = load_digits()
    return torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1), torch.from_numpy(digits.target).long()


READERS = {"digits": _read_digits}


def class_balanced_subset(labels: Tensor, images_per_class: int, seed: int) -> Tensor:
    """Indices (classes * images_per_class,), class by class, of a random subset of `labels` (N,).

    The same seed draws the same images; a larger subset of one seed contains the smaller (Sec. 4.2). Raises
    ValueError where a class has too few images.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for label in labels.unique().tolist():
        members = torch.nonzero(labels == label).flatten()
        if len(members) < images_per_class:
            raise ValueError(f"class {label} has {len(members)} images, fewer than {images_per_class}")
        chosen.append(members[torch.randperm(len(members), generator=generator)[:images_per_class]])
    return torch.cat(chosen)
