"""Real images as tensors: for training, validation and testing."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

Part = tuple[Tensor, Tensor]
"""Images and their labels."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Whitened images (N, C, H, W) in float32; labels (N,) in int64."""

    train: Tensor
    """A distilled set, or the pool that real training images are drawn from: never a validation image."""
    train_labels: Tensor
    """For a distilled set with soft labels: probabilities (N, classes) in float32."""
    validation: Tensor
    validation_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @classmethod
    def of(cls, train: Part, validation: Part, test: Part) -> Self:
        """The images of three parts."""
        return cls(
            train=train[0],
            train_labels=train[1],
            validation=validation[0],
            validation_labels=validation[1],
            test=test[0],
            test_labels=test[1],
        )
