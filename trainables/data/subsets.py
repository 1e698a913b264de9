"""Fixed train/validation splits, and class-balanced subsets of real images.

All functions return indices (int64) into `labels` (N,). Those that use images take them whitened, (N, C, H, W).
"""

import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

SPLIT_SEED = 20260
"""Seed of the validation split. Never to be changed: another split would change the runs of existing configurations."""

VALIDATION_SHARE = 10
"""One in this many training images of each class is for validation."""


def validation_split(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of `labels` (N,) for training and for validation: the same on every machine and for every whitening.

    Validation has a tenth of each class, rounded down, but at least one image. Training indices are in the file's
    order; validation indices cycle through the classes, so that the first ones are balanced. Raises ValueError if a
    class has a single image.
    """
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    places, validation = [], []
    for label, members in _classes(labels):
        if len(members) == 1:
            raise ValueError(f"class {label} has 1 image, but training and validation need one each")
        taken = members[torch.randperm(len(members), generator=generator)[: max(1, len(members) // VALIDATION_SHARE)]]
        validation.append(taken)
        places.append(torch.arange(len(taken)))
    chosen = torch.cat(validation)[torch.argsort(torch.cat(places), stable=True)]
    left = torch.ones(len(labels), dtype=torch.bool)
    left[chosen] = False
    return torch.nonzero(left).flatten(), chosen


def class_balanced_subset(labels: Tensor, images_per_class: int, seed: int) -> Tensor:
    """Indices (classes * images_per_class,), class by class, of a random subset of `labels` (N,).

    The same seed gives the same images; a larger subset of a seed contains the smaller ones (Sec. 4.2). Raises
    ValueError if a class has too few images.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(members: Tensor) -> Tensor:
        return torch.randperm(len(members), generator=generator)[:images_per_class]

    return _of_each_class(labels, images_per_class, draw)


def random_subset(images: Tensor, labels: Tensor, images_per_class: int, seed: int) -> Tensor:
    """`class_balanced_subset`; does not use the images."""
    return class_balanced_subset(labels, images_per_class, seed)


def kmeans_subset(images: Tensor, labels: Tensor, images_per_class: int, seed: int) -> Tensor:
    """Indices, class by class, of the real images nearest to the `images_per_class` k-means centres of their class.

    An image that is nearest to two centres is used for the first; the second takes its next nearest. A larger subset
    need not contain a smaller one, as the centres differ. Raises ValueError if a class has too few images.
    """

    def represent(members: Tensor) -> list[int]:
        points = images[members].flatten(1).double()
        distances = torch.cdist(_centres(points, images_per_class, seed), points)
        nearest: list[int] = []
        for row in distances:
            row[nearest] = torch.inf
            nearest.append(int(row.argmin()))
        return nearest

    return _of_each_class(labels, images_per_class, represent)


def _centres(points: Tensor, count: int, seed: int) -> Tensor:
    """The k-means centres (count, d) of `points` (n, d), by k-means++ and Lloyd; on one thread, to be reproducible."""
    from sklearn.cluster import KMeans  # slow to import, and seldom needed
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # repeated images: fewer clusters than centres
        return torch.from_numpy(KMeans(count, n_init=1, random_state=seed).fit(points.numpy()).cluster_centers_)


def herding_subset(images: Tensor, labels: Tensor, images_per_class: int, seed: int) -> Tensor:
    """Indices, class by class; each image brings the mean of the chosen images nearest to the class' mean.

    Herding (Welling 2009) in the greedy form of iCaRL (Rebuffi et al. 2017, Alg. 4), on pixels, without repetitions.
    Deterministic: `seed` has no effect, and a larger subset contains the smaller ones. Raises ValueError if a class has
    too few images.
    """

    def herd(members: Tensor) -> list[int]:
        points = images[members].flatten(1).double()
        mean, total = points.mean(0), torch.zeros_like(points[0])
        squares = points.square().sum(1)
        picked: list[int] = []
        for count in range(1, images_per_class + 1):
            # |count mean - total - x|^2, less what is the same for all x
            errors = squares - 2 * points @ (count * mean - total)
            errors[picked] = torch.inf
            picked.append(int(errors.argmin()))
            total += points[picked[-1]]
        return picked

    return _of_each_class(labels, images_per_class, herd)


SELECTIONS = {"random": random_subset, "kmeans": kmeans_subset, "herding": herding_subset}


def select(selection: str | None, images: Tensor, labels: Tensor, images_per_class: int, seed: int) -> Tensor:
    """Indices (classes * images_per_class,) by the selection of that name in SELECTIONS; None is `random`."""
    return SELECTIONS[selection or "random"](images, labels, images_per_class, seed)


def _classes(labels: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each class with the indices of its members."""
    for label in labels.unique().tolist():
        yield label, torch.nonzero(labels == label).flatten()


def _of_each_class(labels: Tensor, images_per_class: int, choose: Callable[[Tensor], Tensor | list[int]]) -> Tensor:
    """Indices, class by class; `choose` returns positions within a class' indices."""
    chosen = []
    for label, members in _classes(labels):
        if len(members) < images_per_class:
            raise ValueError(f"class {label} has {len(members)} images, fewer than {images_per_class}")
        chosen.append(members[choose(members)])
    return torch.cat(chosen)
