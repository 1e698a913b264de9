"""The training loop as the field writes it, to be timed against: a loader rebuilt each epoch, a wait at every step.

After the code that MTT, DSA and the paper share: images go through a DataLoader, the grids of scale and rotate are
lists filled in Python, the loss is read at every step.
"""

import math
import warnings
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from crossarch.trainables.loop import Work, objective
from crossarch.trainables.methods.augmentation import POOL, ROTATION_DEGREES, SCALE, chosen


def field_epoch(work: Work, workers: int) -> float:
    """Trains an epoch of `work` by a new loader with so many workers, and returns the mean loss."""
    losses = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the field asks for more workers than some machines have cores
        loader = DataLoader(
            TensorDataset(work.images, work.labels),
            batch_size=work.config.batch_size,
            shuffle=True,
            num_workers=workers,
        )
        for images, labels in loader:
            losses.append(field_step(work, images, labels))
    return sum(losses) / len(losses)


def field_step(work: Work, images: Tensor, labels: Tensor) -> float:
    """A step, and its loss at once."""
    config, progress = work.config, work.progress
    augmented = field_augment(images, config.augmentation.folds, config.augmentation.pool)
    loss = objective(config, progress.model(augmented), labels, work.teacher, augmented)
    progress.optimizer.zero_grad()
    loss.backward()
    progress.optimizer.step()
    progress.steps += 1
    return loss.item()


def field_augment(images: Tensor, folds: int, pool: tuple[str, ...]) -> Tensor:
    """`augment`, with the grids of scale and rotate made sample by sample."""
    for name in chosen(folds, pool):
        images = {"scale": field_scale, "rotate": field_rotate}.get(name, POOL[name])(images)
    return images


def field_scale(images: Tensor) -> Tensor:
    """Each axis stretched by a factor of its own."""
    across, down = (torch.rand(len(images)) * (SCALE - 1 / SCALE) + 1 / SCALE for _ in range(2))
    return _warp(images, [[[across[i], 0, 0], [0, down[i], 0]] for i in range(len(images))])


def field_rotate(images: Tensor) -> Tensor:
    """Turned about the centre."""
    angle = (torch.rand(len(images)) - 0.5) * 2 * ROTATION_DEGREES / 180 * math.pi
    rows = [
        [[torch.cos(angle[i]), torch.sin(-angle[i]), 0], [torch.sin(angle[i]), torch.cos(angle[i]), 0]]
        for i in range(len(images))
    ]
    return _warp(images, rows)


def _warp(images: Tensor, rows: list[list[list[Any]]]) -> Tensor:
    theta = torch.tensor(rows, dtype=images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False).to(images.device)
    return F.grid_sample(images, grid, align_corners=False)
