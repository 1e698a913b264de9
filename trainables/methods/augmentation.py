"""k-fold augmentation (Sec. 3.3): k different operations of DSA's pool, applied one after another.

Each operation takes a batch (N, C, H, W) and draws one strength for each sample. Ranges and order are those of the
notes, from Differentiable Siamese Augmentation (Zhao & Bilen, 2021). Operations are never fused into one warp:
fusing would change the result for almost half of the ordered pairs.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor

BRIGHTNESS = 0.5
SATURATION = 2.0
CONTRAST = (0.5, 1.5)
CROP_SHARE = 0.125
CUTOUT_SHARE = 0.5
FLIP_PROBABILITY = 0.5
SCALE = 1.2
ROTATION_DEGREES = 15.0


def augment(images: Tensor, folds: int, pool: Sequence[str]) -> Tensor:
    """`images` (N, C, H, W) after `folds` different operations of `pool`, drawn for the batch, in the drawn order.

    The choice is drawn on the CPU, so that no device is waited for; strengths are drawn on the images' device.
    """
    for choice in torch.randperm(len(pool))[:folds].tolist():
        images = OPERATIONS[pool[choice]](images)
    return images


def uniform(images: Tensor, low: float, high: float, *shape: int) -> Tensor:
    """Uniform numbers in [low, high) of shape (N, *shape), of the images' type and device."""
    return low + (high - low) * torch.rand(len(images), *shape, dtype=images.dtype, device=images.device)


def color(images: Tensor) -> Tensor:
    """Brightness +-0.5, then saturation by a factor 0..2, then contrast by a factor 0.5..1.5."""
    images = images + uniform(images, -BRIGHTNESS, BRIGHTNESS, 1, 1, 1)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * uniform(images, 0.0, SATURATION, 1, 1, 1)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * uniform(images, *CONTRAST, 1, 1, 1)


def crop(images: Tensor) -> Tensor:
    """A shift by whole pixels, up to 12.5 % of the side each way; zeros come in."""
    _, _, height, width = images.shape
    down, right = (_integers(images, round(side * CROP_SHARE)) for side in (height, width))
    rows = torch.arange(height, device=images.device) + down[:, None]
    columns = torch.arange(width, device=images.device) + right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    shifted = images.movedim(1, -1)[
        sample, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    ]
    return shifted.movedim(-1, 1) * inside


def _integers(images: Tensor, limit: int) -> Tensor:
    return torch.randint(-limit, limit + 1, (len(images),), device=images.device)


def cutout(images: Tensor) -> Tensor:
    """Zeros in a square of half the side, its centre anywhere in the image."""
    _, _, height, width = images.shape
    inside = []
    for side in (height, width):
        size = round(side * CUTOUT_SHARE)
        start = torch.randint(0, side + 1 - size % 2, (len(images), 1), device=images.device) - size // 2
        position = torch.arange(side, device=images.device)
        inside.append((position >= start) & (position < start + size))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images * ~hole


def flip(images: Tensor) -> Tensor:
    """Mirrored left to right with probability 0.5."""
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < FLIP_PROBABILITY
    return torch.where(mirrored, images.flip(3), images)


def scale(images: Tensor) -> Tensor:
    """Each axis stretched by a factor of its own, uniform in [1/1.2, 1.2]."""
    factors = uniform(images, 1 / SCALE, SCALE, 2)
    zero = torch.zeros_like(factors[:, 0])
    return _warp(images, [[factors[:, 0], zero], [zero, factors[:, 1]]])


def rotate(images: Tensor) -> Tensor:
    """Turned about the centre, uniform in +-15 degrees."""
    angle = uniform(images, -ROTATION_DEGREES, ROTATION_DEGREES) * (math.pi / 180)
    return _warp(images, [[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])


def _warp(images: Tensor, linear: list[list[Tensor]]) -> Tensor:
    """Each image read at `linear` (2 x 2, entries (N,)) times its coordinates, bilinearly, zeros outside."""
    matrix = torch.stack([torch.stack(row, 1) for row in linear], 1)
    theta = F.pad(matrix, (0, 1))
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "color": color,
    "crop": crop,
    "cutout": cutout,
    "flip": flip,
    "scale": scale,
    "rotate": rotate,
}
