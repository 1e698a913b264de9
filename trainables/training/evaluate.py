"""Accuracy and loss on validation or test images."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn

SAMPLE = 1000
"""Maximum validation images of an evaluation during training: always the first ones."""

BATCH = 500


@torch.no_grad()
def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy in % and mean cross-entropy in nats on `images` (N, C, H, W), `labels` (N,), in evaluation mode.

    Images are moved to the network's device and type batch by batch. Synchronises the device.
    """
    weights = next(model.parameters())
    correct = torch.zeros((), dtype=torch.long, device=weights.device)
    loss = torch.zeros((), dtype=torch.float64, device=weights.device)
    with evaluating(model):
        for batch, target in zip(images.split(BATCH), labels.to(weights.device).split(BATCH), strict=True):
            logits = model(batch.to(weights))
            correct += (logits.argmax(1) == target).sum()
            loss += F.cross_entropy(logits.double(), target, reduction="sum")
    return 100 * int(correct) / len(labels), float(loss) / len(labels)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts the network in evaluation mode for the context, and restores its mode afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
