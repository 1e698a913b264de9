"""k-fold augmentation (Sec. 3.3): k different operations of DSA's pool, applied one after another.

Each operation takes a batch (N, C, H, W) and draws one strength for each sample. Ranges and order are those of the
notes, from Differentiable Siamese Augmentation (Zhao & Bilen, 2021). Operations are never fused into one warp:
fusing would change the result for almost half of the ordered pairs.
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
"""What an operation draws, each (N, ...)."""

Drawn = Sequence[tuple[str, Strengths]]
"""What is done to a batch: names of operations and their strengths, in order."""


@dataclass(frozen=True)
class Operation:
    """An operation of the pool: draws its strengths for a batch of images, and applies them."""

    draw: Callable[[Tensor], Strengths]
    apply: Callable[..., Tensor]

    def __call__(self, images: Tensor) -> Tensor:
        """`images` (N, C, H, W) after the operation, at strengths drawn anew."""
        return self.apply(images, *self.draw(images))


def augment(images: Tensor, folds: int, pool: Sequence[str]) -> Tensor:
    """`images` (N, C, H, W) after `folds` different operations of `pool`, drawn for the batch, in the drawn order.

    The choice is drawn on the CPU, so that no device is waited for; strengths are drawn on the images' device.
    """
    for name in chosen(folds, pool):
        images = POOL[name](images)
    return images


def chosen(folds: int, pool: Sequence[str]) -> list[str]:
    """`folds` different operations of `pool` at random, in random order."""
    return [pool[choice] for choice in torch.randperm(len(pool))[:folds].tolist()]


def draw(images: Tensor, folds: int, pool: Sequence[str]) -> Drawn:
    """What `augment` would do to `images`, by the same random numbers, but not done yet."""
    return [(name, POOL[name].draw(images)) for name in chosen(folds, pool)]


def apply_to_all(batches: Sequence[Tensor], drawn: Sequence[Drawn]) -> list[Tensor]:
    """`batches`, each (N, C, H, W) with an N of its own, after what was drawn for each, done for all at once.

    As many operations are drawn for each batch; those of one place and name are one call.
    """
    batches = list(batches)
    for place in range(len(drawn[0]) if drawn else 0):
        for name in sorted({each[place][0] for each in drawn}):
            places = [index for index, each in enumerate(drawn) if each[place][0] == name]
            strengths = zip(*(drawn[index][place][1] for index in places), strict=True)
            images = torch.cat([batches[index] for index in places])
            results = POOL[name].apply(images, *map(torch.cat, strengths))
            for index, result in zip(places, results.split([len(batches[i]) for i in places]), strict=True):
                batches[index] = result
    return batches


def uniform(images: Tensor, low: float, high: float, *shape: int) -> Tensor:
    """Uniform numbers in [low, high) of shape (N, *shape), of the images' type and device."""
    return low + (high - low) * torch.rand(len(images), *shape, dtype=images.dtype, device=images.device)


def _integers(images: Tensor, low: int, high: int) -> Tensor:
    return torch.randint(low, high + 1, (len(images),), device=images.device)


def draw_color(images: Tensor) -> Strengths:
    """Brightness in +-0.5, factors of saturation in 0..2 and contrast in 0.5..1.5, each (N, 1, 1, 1)."""
    limits = ((-BRIGHTNESS, BRIGHTNESS), (0.0, SATURATION), CONTRAST)
    return tuple(uniform(images, low, high, 1, 1, 1) for low, high in limits)


def apply_color(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Brightness is added, then saturation, then contrast multiplied."""
    images = images + brightness
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * saturation
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * contrast


def draw_crop(images: Tensor) -> Strengths:
    """Pixels down and to the right, up to 12.5 % of the side, each (N,)."""
    limits = (round(side * CROP_SHARE) for side in images.shape[2:])
    return tuple(_integers(images, -limit, limit) for limit in limits)


def apply_crop(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each image shifted by whole pixels; zeros come in."""
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
    """First row and column of the hole, whose centre is in the image, each (N,); negative where it begins outside."""
    sides = ((side, round(side * CUTOUT_SHARE)) for side in images.shape[2:])
    return tuple(_integers(images, 0, side - size % 2) - size // 2 for side, size in sides)


def apply_cutout(images: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Zeros in a square of half the side."""
    inside = []
    for side, start in zip(images.shape[2:], (top[:, None], left[:, None]), strict=True):
        position = torch.arange(side, device=images.device)
        inside.append((position >= start) & (position < start + round(side * CUTOUT_SHARE)))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images * ~hole


def draw_flip(images: Tensor) -> Strengths:
    """Whether each image is mirrored (N, 1, 1, 1): half of them."""
    return (torch.rand(len(images), 1, 1, 1, device=images.device) < FLIP_PROBABILITY,)


def apply_flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirrored left to right where `mirrored`."""
    return torch.where(mirrored, images.flip(3), images)


def draw_scale(images: Tensor) -> Strengths:
    """Factors of the two axes (N, 2), in [1/1.2, 1.2]."""
    return (uniform(images, 1 / SCALE, SCALE, 2),)


def apply_scale(images: Tensor, factors: Tensor) -> Tensor:
    """Each axis stretched by a factor of its own."""
    zero = torch.zeros_like(factors[:, 0])
    return _warp(images, [[factors[:, 0], zero], [zero, factors[:, 1]]])


def draw_rotate(images: Tensor) -> Strengths:
    """Angles (N,) in radians, of +-15 degrees."""
    return (uniform(images, -ROTATION_DEGREES, ROTATION_DEGREES) * (math.pi / 180),)


def apply_rotate(images: Tensor, angle: Tensor) -> Tensor:
    """Turned about the centre."""
    return _warp(images, [[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])


def _warp(images: Tensor, linear: list[list[Tensor]]) -> Tensor:
    """Each image read at `linear` (2 x 2, entries (N,)) times its coordinates, bilinearly, zeros outside."""
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
