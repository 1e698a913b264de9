"""What a distilled set must be before anything is trained on it, and what its labels are."""

import torch
from torch import Tensor

from crossarch.trainables.data.catalog import Dataset

SUM_TOLERANCE = 1e-3
"""By which a row's sum may miss 1 and the row still be probabilities."""
CENTRED_TOLERANCE = 0.01
"""Of the sum of its absolute values: by which a row's sum may miss 0. FRePo's learned labels miss it by 0.003."""


def label_form(labels: Tensor) -> str:
    """`hard` for classes (N,) in whole numbers; for (N, classes) by its rows `probabilities`, `centred` or `logits`.

    Probabilities are not negative and sum to 1 in every row; centred labels sum to 0 in every row; all else is
    logits, FRePo's learned labels at 10 images a class among them: they sum to about 1, but have negative values.
    Raises ValueError for any other shape, and for values that are not finite.
    """
    if labels.ndim == 1 and not labels.is_floating_point():
        return "hard"
    if labels.ndim != 2 or not labels.is_floating_point():
        raise ValueError(f"labels of shape {tuple(labels.shape)} and type {labels.dtype} are neither hard nor soft")
    _check_finite(labels, "labels", "row")
    sums, scale = labels.double().sum(1), labels.double().abs().sum(1)
    if bool((labels >= 0).all()) and bool(((sums - 1).abs() <= SUM_TOLERANCE).all()):
        return "probabilities"
    if bool((sums.abs() <= CENTRED_TOLERANCE * scale).all()):
        return "centred"
    return "logits"


def check_set(images: Tensor, labels: Tensor, facts: Dataset, images_per_class: int | None = None) -> int:
    """The images per class of images (N, C, H, W), with labels (N,) or (N, classes), of the data set `facts`.

    Raises ValueError where their shapes or number are not the data set's, a value is not finite, an image is
    constant, or hard labels are out of range, missing, or not balanced.
    """
    classes, shape = facts.classes, (facts.channels, facts.resolution, facts.resolution)
    if images.ndim != 4 or tuple(images.shape[1:]) != shape:
        raise ValueError(f"images have shape {tuple(images.shape)}, but each of the data set's has {shape}")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(f"the set has {len(images)} images and {len(labels)} labels")
    _check_finite(images, "images", "image")
    _check_varied(images)
    if label_form(labels) == "hard":
        _check_classes(labels, classes)
    elif labels.shape[1] != classes:
        raise ValueError(f"labels have {labels.shape[1]} columns, but the data set has {classes} classes")
    if images_per_class is not None and len(images) != classes * images_per_class:
        raise ValueError(f"the set has {len(images)} images, not {images_per_class} for each of {classes} classes")
    if len(images) % classes:
        raise ValueError(f"the set's {len(images)} images do not fall into {classes} classes of equal size")
    return len(images) // classes


def balance_note(labels: Tensor, classes: int) -> str:
    """A sentence where the largest entries of soft labels (N, classes) do not fall equally on the classes, else "".

    Learned labels need not be balanced, so that this is no error.
    """
    if labels.ndim == 1:
        return ""
    counts = torch.bincount(labels.argmax(1), minlength=classes)
    if bool((counts == counts[0]).all()):
        return ""
    least, most = int(counts.argmin()), int(counts.argmax())
    return (
        f"the soft labels are not balanced: class {least} is the largest entry of {int(counts[least])} labels, "
        f"class {most} of {int(counts[most])}"
    )


def _check_finite(values: Tensor, what: str, row: str) -> None:
    bad = ~torch.isfinite(values)
    if bool(bad.any()):
        first = int(bad.flatten(1).any(1).nonzero()[0])
        raise ValueError(f"{what} have {int(bad.sum())} values that are not finite, the first in {row} {first}")


def _check_varied(images: Tensor) -> None:
    flat = images.flatten(1)
    constant = (flat == flat[:, :1]).all(1).nonzero().flatten()
    if len(constant):
        raise ValueError(f"{len(constant)} images are constant, the first of them image {int(constant[0])}")


def _check_classes(labels: Tensor, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels run from {low} to {high}, but the data set's are 0 to {classes - 1}")
    counts = torch.bincount(labels, minlength=classes)
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        names = ", ".join(map(str, missing[:5]))
        raise ValueError(f"{len(missing)} of {classes} classes have no image, the first of them {names}")
    if bool((counts != counts[0]).any()):
        least, most = int(counts.argmin()), int(counts.argmax())
        raise ValueError(
            f"the classes are not balanced: class {least} has {int(counts[least])} images, "
            f"class {most} has {int(counts[most])}"
        )
