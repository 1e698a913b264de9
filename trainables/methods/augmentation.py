"""k-fold augmentation (Sec. 3.3): k different operations of DSA's pool, applied one after another.

Each operation takes a batch (N, C, H, W) and draws one strength per sample. Ranges and the order of colour operations
are those of Differentiable Siamese Augmentation (Zhao & Bilen, 2021). Operations are never fused into one warp, as that
would change the result for almost half of the ordered pairs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

Strengths = tuple[Tensor, ...]
"""The random strengths of an operation, each (N, ...)."""

Drawn = Sequence[tuple[str, Strengths]]
"""The operations of a batch, by name, with their strengths, in order."""


@dataclass(frozen=True)
class Operation:
    """An operation of the pool: draws its strengths for a batch of images, and applies them."""

    draw: Callable[[Tensor], Strengths]
    apply: Callable[..., Tensor]

    def __call__(self, images: Tensor) -> Tensor:
        """`images` (N, C, H, W) after the operation, with newly drawn strengths."""
        return self.apply(images, *self.draw(images))


def augment(images: Tensor, folds: int, pool: Sequence[str]) -> Tensor:
    """Applies `folds` different operations of `pool` to `images` (N, C, H, W), randomly chosen and ordered per batch.

    The choice is drawn on the CPU, so that the device is not synchronised; strengths are drawn on the images' device.
    """
    for name in chosen(folds, pool):
        images = POOL[name](images)
    return images


def chosen(folds: int, pool: Sequence[str]) -> list[str]:
    """`folds` different operations of `pool` at random, in random order."""
    return [pool[choice] for choice in torch.randperm(len(pool))[:folds].tolist()]


def draw(images: Tensor, folds: int, pool: Sequence[str]) -> Drawn:
    """Draws the random numbers of `augment`, in the same order, without applying the operations."""
    return [(name, POOL[name].draw(images)) for name in chosen(folds, pool)]


def apply_to_all(batches: Sequence[Tensor], drawn: Sequence[Drawn]) -> list[Tensor]:
    """Applies to each of `batches`, each (N, C, H, W) with its own N, the operations drawn for it.

    All batches have the same number of operations. For each fold, batches with the same operation are processed in one
    call.
    """
    batches = list(batches)
    folds = len(drawn[0]) if drawn else 0
    for fold in range(folds):
        for name in sorted({operations[fold][0] for operations in drawn}):
            indices = [index for index, operations in enumerate(drawn) if operations[fold][0] == name]
            strengths = zip(*(drawn[index][fold][1] for index in indices), strict=True)
            images = torch.cat([batches[index] for index in indices])
            results = POOL[name].apply(images, *map(torch.cat, strengths))
            for index, result in zip(indices, results.split([len(batches[i]) for i in indices]), strict=True):
                batches[index] = result
    return batches


def uniform(images: Tensor, low: float, high: float, *shape: int) -> Tensor:
    """Uniform random numbers in [low, high) of shape (N, *shape), of the images' type and device."""
    return low + (high - low) * torch.rand(len(images), *shape, dtype=images.dtype, device=images.device)


def _integers(images: Tensor, low: int, high: int) -> Tensor:
    return torch.randint(low, high + 1, (len(images),), device=images.device)


def draw_color(images: Tensor) -> Strengths:
    """Draws brightness in ±0.5, and factors of saturation in [0, 2] and contrast in [0.5, 1.5], each (N, 1, 1, 1)."""
    limits = ((-BRIGHTNESS, BRIGHTNESS), (0.0, SATURATION), CONTRAST)
    return tuple(uniform(images, low, high, 1, 1, 1) for low, high in limits)


def apply_color(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Adds brightness, then scales saturation about the grey value, then contrast about the image's mean."""
    images = images + brightness
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * saturation
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * contrast


def draw_crop(images: Tensor) -> Strengths:
    """Draws shifts in whole pixels down and to the right, up to ±12.5 % of the side, each (N,)."""
    limits = (round(side * CROP_SHARE) for side in images.shape[2:])
    return tuple(_integers(images, -limit, limit) for limit in limits)


def apply_crop(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Shifts each image by whole pixels, filling with zeros."""
    _, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) + down[:, None]
    columns = torch.arange(width, device=images.device) + right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    shifted = images.movedim(1, -1)[
        sample, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    ]
    return shifted.movedim(-1, 1) * inside


def draw_cutout(images: Tensor) -> Strengths:
    """Draws the first row and column of the hole, each (N,); its centre is in the image, so they may be negative."""
    sides = ((side, round(side * CUTOUT_SHARE)) for side in images.shape[2:])
    return tuple(_integers(images, 0, side - size % 2) - size // 2 for side, size in sides)


def apply_cutout(images: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Sets a square of half the side to zero."""
    inside = []
    for side, start in zip(images.shape[2:], (top[:, None], left[:, None]), strict=True):
        position = torch.arange(side, device=images.device)
        inside.append((position >= start) & (position < start + round(side * CUTOUT_SHARE)))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images * ~hole


def draw_flip(images: Tensor) -> Strengths:
    """Draws whether each image is mirrored, (N, 1, 1, 1), with probability 1/2."""
    return (torch.rand(len(images), 1, 1, 1, device=images.device) < FLIP_PROBABILITY,)


def apply_flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirrors images left to right where `mirrored`."""
    return torch.where(mirrored, images.flip(3), images)


def draw_scale(images: Tensor) -> Strengths:
    """Draws factors of the two axes, (N, 2), in [1/1.2, 1.2]."""
    return (uniform(images, 1 / SCALE, SCALE, 2),)


def apply_scale(images: Tensor, factors: Tensor) -> Tensor:
    """Scales each axis by its own factor."""
    zero = torch.zeros_like(factors[:, 0])
    return _warp(images, [[factors[:, 0], zero], [zero, factors[:, 1]]])


def draw_rotate(images: Tensor) -> Strengths:
    """Draws angles (N,) in radians, within ±15 degrees."""
    return (uniform(images, -ROTATION_DEGREES, ROTATION_DEGREES) * (math.pi / 180),)


def apply_rotate(images: Tensor, angle: Tensor) -> Tensor:
    """Rotates each image about its centre."""
    return _warp(images, [[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])


def _warp(images: Tensor, linear: list[list[Tensor]]) -> Tensor:
    """Samples each image bilinearly at `linear` (2 x 2, entries (N,)) times its coordinates, with zeros outside."""
    matrix = torch.stack([torch.stack(row, 1) for row in linear], 1)
    theta = F.pad(matrix, (0, 1))
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


color = Operation(draw_color, apply_color)
crop = Operation(draw_crop, apply_crop)
cutout = Operation(draw_cutout, apply_cutout)
flip = Operation(draw_flip, apply_flip)
scale = Operation(draw_scale, apply_scale)
rotate = Operation(draw_rotate, apply_rotate)

POOL = {"color": color, "crop": crop, "cutout": cutout, "flip": flip, "scale": scale, "rotate": rotate}
