"""Whitening of images: fitted on training images, applied to all images, and inverted for viewing.

A distilled set is useless in any whitening but its own. WHITENINGS in config/datasets.py defines the names.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from crossarch.trainables.config.datasets import WHITENINGS

CHUNK = 1000
"""Images that are processed at once in fitting and applying, which bounds memory."""

THREADS = 2
"""Threads of a fit; training has one, but has to wait for this."""

RIDGE = 0.1
"""kornia's eps in MTT and in the paper's released code; FRePo's `zca_reg`."""

MTT_MEAN = (0.4914, 0.4822, 0.4465)
MTT_STD = (0.2023, 0.1994, 0.2010)
"""MTT's constants: not the standard deviation of all pixels (.2470 .2435 .2616), but the mean of each image's."""

Prepare = Callable[[Tensor], Tensor]


def as_it_is(images: Tensor) -> Tensor:
    """Returns the images unchanged."""
    return images


@dataclass(frozen=True, kw_only=True, eq=False)
class Whitening:
    """x -> ((x - mean) / scale) matrix, with x as a row of its C H W pixels; all in float64."""

    name: str
    mean: Tensor
    """(C, 1, 1), or (C, H, W) with a matrix."""
    scale: Tensor
    """(C, 1, 1)."""
    matrix: Tensor | None = None
    """(C H W, C H W), symmetric; None: the identity."""
    inverse: Tensor | None = None
    """The inverse of the matrix."""

    def apply(self, images: Tensor, prepare: Prepare = as_it_is) -> Tensor:
        """Whitened images (N, C, H, W) in float32; `prepare` converts a chunk of `images` to [0, 1]."""
        return torch.cat([self._apply(prepare(chunk).double()) for chunk in images.split(CHUNK)])

    def invert(self, images: Tensor) -> Tensor:
        """The images (N, C, H, W) in float32 whose whitening is `images`; for viewing, mostly in [0, 1]."""
        return torch.cat([self._invert(chunk.double()) for chunk in images.split(CHUNK)])

    def _apply(self, images: Tensor) -> Tensor:
        centred = (images - self.mean) / self.scale
        if self.matrix is not None:
            centred = (centred.flatten(1) @ self.matrix).view_as(centred)
        return centred.float()

    def _invert(self, images: Tensor) -> Tensor:
        if self.inverse is not None:
            images = (images.flatten(1) @ self.inverse).view_as(images)
        return (images * self.scale + self.mean).float()


def fit(name: str, images: Tensor, prepare: Prepare = as_it_is) -> Whitening:
    """Fits the whitening `name` to training images (N, C, H, W).

    `prepare` converts a chunk of them to [0, 1]. Raises ValueError for an unknown name, for MTT's constants with other
    than three channels, and for too few images.
    """
    if name not in WHITENINGS:
        raise ValueError(f"whitening = {name!r} is not one of {', '.join(WHITENINGS)}")
    with threads():
        return FITS[name](images, prepare)


def fit_channel(images: Tensor, prepare: Prepare) -> Whitening:
    """Mean and (N - 1) standard deviation per channel."""
    mean, variance, count = channel_statistics(images, prepare)
    return Whitening(name="channel", mean=mean, scale=(variance * count / (count - 1)).sqrt())


def fit_channel_mtt(images: Tensor, prepare: Prepare) -> Whitening:
    """MTT's constants, independent of the images. Raises ValueError for other than three channels."""
    if images.shape[1] != len(MTT_MEAN):
        raise ValueError(f"whitening = 'channel_mtt' is for images of 3 channels (CIFAR), not of {images.shape[1]}")
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (MTT_MEAN, MTT_STD))
    return Whitening(name="channel_mtt", mean=mean, scale=std)


def fit_zca(images: Tensor, prepare: Prepare) -> Whitening:
    """ZCA (Bell & Sejnowski 1997) as kornia's ZCAWhitening(eps=0.1): (S + eps I)^-1/2, S over N - 1 images.

    Raises ValueError for fewer than two images.
    """
    if len(images) < 2:
        raise ValueError(f"whitening = 'zca' needs at least 2 images, not {len(images)}")
    mean, covariance = pixel_statistics(images, prepare)
    covariance *= len(images) / (len(images) - 1)
    matrix, inverse = inverse_root(covariance, RIDGE)
    scale = torch.ones(images.shape[1], 1, 1, dtype=torch.float64)
    return Whitening(name="zca", mean=mean, scale=scale, matrix=matrix, inverse=inverse)


def fit_frepo(images: Tensor, prepare: Prepare) -> Whitening:
    """FRePo's (Zhou et al. 2022, lib/dataset/ops.py): z = (x - mean) / std per channel, then ZCA of z.

    That is (z - mean of z) (S + r I)^-1/2, with S over N images and r = 0.1 trace(S) / (C H W). FRePo rounds mean and
    std of each data set to four decimals; here they are fitted. Its care for fewer images than pixels is left out.
    """
    _, variance, _ = channel_statistics(images, prepare)
    scale = variance.sqrt()
    mean, covariance = pixel_statistics(images, prepare)
    weights = (1 / scale).expand_as(mean).flatten()
    covariance *= weights * weights[:, None]
    matrix, inverse = inverse_root(covariance, RIDGE * float(covariance.trace()) / len(covariance))
    return Whitening(name="frepo", mean=mean, scale=scale, matrix=matrix, inverse=inverse)


FITS: dict[str, Callable[[Tensor, Prepare], Whitening]] = {
    "channel": fit_channel,
    "channel_mtt": fit_channel_mtt,
    "zca": fit_zca,
    "frepo": fit_frepo,
}


def channel_statistics(images: Tensor, prepare: Prepare = as_it_is) -> tuple[Tensor, Tensor, int]:
    """Mean and variance (over the count) of each channel's pixels, both (C, 1, 1) in float64, and their count."""
    count = images.shape[0] * prepare(images[:1])[0, 0].numel()
    chunks = (prepare(chunk).double() for chunk in images.split(CHUNK))
    sums = sum(torch.stack([chunk.sum((0, 2, 3)), chunk.square().sum((0, 2, 3))]) for chunk in chunks)
    mean, square = (torch.as_tensor(sums) / count).view(2, -1, 1, 1)
    return mean, square - mean.square(), count


def pixel_statistics(images: Tensor, prepare: Prepare = as_it_is) -> tuple[Tensor, Tensor]:
    """Mean image (C, H, W), and covariance of pixels (C H W, C H W) over N images, in float64."""
    mean = torch.as_tensor(sum(prepare(chunk).double().sum(0) for chunk in images.split(CHUNK))) / len(images)
    covariance = torch.zeros(mean.numel(), mean.numel(), dtype=torch.float64)
    for chunk in images.split(CHUNK):
        centred = (prepare(chunk).double() - mean).flatten(1)
        covariance.addmm_(centred.T, centred)
    return mean, covariance.div_(len(images))


def inverse_root(covariance: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """(S + ridge I)^-1/2 and (S + ridge I)^1/2 of a covariance S (d, d), both symmetric."""
    values, vectors = torch.linalg.eigh(covariance)
    roots = (values.clamp(min=0) + ridge).sqrt()  # rounding makes zeros slightly negative
    return (vectors / roots) @ vectors.T, (vectors * roots) @ vectors.T


@contextlib.contextmanager
def threads(count: int = THREADS) -> Iterator[None]:
    """Lets torch use at least `count` threads in the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(before, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)
