"""Which real images are validated on, and which are trained on: fixed splits and class-balanced subsets.

All functions give indices (int64) into `labels` (N,); those that look at images want them whitened, (N, C, H, W).
"""

import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

SPLIT_SEED = 20260
"""Of the validation split: fixed for good, as a new one would make other runs of old configurations."""

VALIDATION_SHARE = 10
"""One in so many training images of each class is for validation."""


def validation_split(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of `labels` (N,) for training, and for validation: the same on every machine, for every whitening.

    Validation takes a tenth of each class, rounded down, but at least one image. Training keeps the file's order;
    validation goes round the classes, so that its first images stand for all. Raises ValueError where a class has a
    single image.
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

    The same seed draws the same images; a larger subset of one seed contains the smaller (Sec. 4.2). Raises
    ValueError where a class has too few images.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(members: Tensor) -> Tensor:
        return torch.randperm(len(members), generator=generator)[:images_per_class]

    return _of_each_class(labels, images_per_class, draw)


def random_subset(images: Tensor, labels: Tensor, images_per_class: int, seed: int) -> Tensor:
    """`class_balanced_subset`, which does not look at the images."""
    return class_balanced_subset(labels, images_per_class, seed)


def kmeans_subset(images: Tensor, labels: Tensor, images_per_class: int, seed: int) -> Tensor:
    """Indices, class by class, of the real images nearest the `images_per_class` k-means centres of their class.

    An image nearest two centres stands for the first; the second takes its next nearest. A larger subset need not
    contain the smaller: other centres. Raises ValueError where a class has too few images.
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
    """The k-means centres (count, d) of `points` (n, d), by k-means++ and Lloyd, on one thread so that bits repeat."""
    from sklearn.cluster import KMeans  # slow to import, and seldom needed
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # repeated images: fewer clusters than centres
        return torch.from_numpy(KMeans(count, n_init=1, random_state=seed).fit(points.numpy()).cluster_centers_)


def herding_subset(images: Tensor, labels: Tensor, images_per_class: int, seed: int) -> Tensor:
    """Indices, class by class, each next one bringing the chosen images' mean nearest the class' mean.

    Herding (Welling 2009) in the greedy form of iCaRL (Rebuffi et al. 2017, Alg. 4), on pixels, without repeats: no
    chance is in it, `seed` changes nothing, and a larger subset contains the smaller. Raises ValueError where a class
    has too few images.
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
    """Indices (classes * images_per_class,) by the selection of that name; None is `random`."""
    return SELECTIONS[selection or "random"](images, labels, images_per_class, seed)


def _classes(labels: Tensor) -> Iterator[tuple[int, Tensor]]:
    for label in labels.unique().tolist():
        yield label, torch.nonzero(labels == label).flatten()


def _of_each_class(labels: Tensor, images_per_class: int, choose: Callable[[Tensor], Tensor | list[int]]) -> Tensor:
    """Indices, class by class, of the places that `choose` gives among the class' indices."""
    chosen = []
    for label, members in _classes(labels):
        if len(members) < images_per_class:
            raise ValueError(f"class {label} has {len(members)} images, fewer than {images_per_class}")
        chosen.append(members[choose(members)])
    return torch.cat(chosen)
