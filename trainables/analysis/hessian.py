"""Curvature of the training loss where a run ended: top Hessian eigenvalues, and the loss around (Fig. 8, App. B.5).

The loss is the mean cross-entropy alone on the training images as they are: in evaluation mode, without augmentation,
dropped paths, distillation or weight decay.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from crossarch.trainables.evaluate import evaluating

BATCH = 100
"""Images that are differentiated at once: memory grows with them, results do not."""

Vector = NDArray[np.floating[Any]]


class TrainingLoss:
    """The mean cross-entropy of a network on a training set, as a function of its parameters."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        """`images` (N, C, H, W) and `labels` (N,) or (N, classes) are on the network's device, in its type."""
        self.model, self.images, self.labels = model, images, labels
        self.parameters = [each for each in model.parameters() if each.requires_grad]
        self.size = sum(each.numel() for each in self.parameters)

    def _batches(self) -> Iterator[Tensor]:
        """The batches' shares of the loss."""
        for images, labels in zip(self.images.split(BATCH), self.labels.split(BATCH), strict=True):
            yield F.cross_entropy(self.model(images), labels, reduction="sum") / len(self.images)

    @torch.no_grad()
    def value(self) -> float:
        """The loss, in nats."""
        with evaluating(self.model):
            return sum(float(share) for share in self._batches())

    def hessian(self) -> Callable[[Tensor], Tensor]:
        """The Hessian as it is now: what multiplies it by a vector (parameters,), by differentiating the gradient.

        The gradient of a set that is one batch is kept for all products, which spares a quarter of each; it stands
        for the present weights alone, and once they have moved in place a product raises RuntimeError.
        """
        with evaluating(self.model):
            kept = [self._gradient(share) for share in self._batches()] if len(self.images) <= BATCH else None

        def times(vector: Tensor) -> Tensor:
            product, directions = torch.zeros_like(vector), self.split(vector)
            with evaluating(self.model):
                for gradient in kept or map(self._gradient, self._batches()):
                    terms = torch.autograd.grad(
                        gradient, self.parameters, directions, retain_graph=bool(kept), materialize_grads=True
                    )
                    product.add_(flat(terms))
            return product

        return times

    def _gradient(self, share: Tensor) -> tuple[Tensor, ...]:
        """Of a batch's share of the loss, to be differentiated again."""
        return torch.autograd.grad(share, self.parameters, create_graph=True)

    def split(self, vector: Tensor) -> list[Tensor]:
        """`vector` (parameters,) in the parameters' shapes."""
        parts = vector.split([each.numel() for each in self.parameters])
        return [part.view_as(each) for part, each in zip(parts, self.parameters, strict=True)]

    @torch.no_grad()
    def add(self, vector: Tensor) -> None:
        """Moves the parameters by `vector` (parameters,)."""
        for parameter, change in zip(self.parameters, self.split(vector), strict=True):
            parameter.add_(change)


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """The top of a Hessian's spectrum."""

    values: Vector
    """Eigenvalues (k,), the largest first."""
    vectors: Vector
    """Eigenvectors of length 1 (parameters, k), each with its largest component positive."""


def top_eigenpairs(
    loss: TrainingLoss,
    count: int,
    *,
    tolerance: float = 1e-3,
    seed: int = 0,
    on_product: Callable[[int], None] = lambda done: None,
) -> Spectrum:
    """The `count` largest eigenvalues of the Hessian and their eigenvectors, by Lanczos with implicit restarts.

    The paper iterates powers, which takes many more products for the same eigenvalues. `tolerance` is the relative
    accuracy of the eigenvalues; Lanczos' vectors, about twice as many as eigenvalues, have the network's precision.
    `on_product` hears how often the Hessian was multiplied. Raises ValueError where `count` is not below the number
    of parameters.
    """
    if not 0 < count < loss.size:
        raise ValueError(f"count = {count} is outside [1, {loss.size - 1}], the network having {loss.size} parameters")
    like, times, products = loss.parameters[0], loss.hessian(), itertools.count(1)
    dtype = np.float64 if like.dtype == torch.float64 else np.float32

    def product(vector: Vector) -> Vector:
        given = torch.as_tensor(vector.reshape(-1), device=like.device, dtype=like.dtype)
        found: Vector = times(given).cpu().numpy().astype(dtype, copy=False)
        on_product(next(products))
        return found

    operator = LinearOperator((loss.size, loss.size), matvec=product, dtype=dtype)
    start = np.random.default_rng(seed).standard_normal(loss.size).astype(dtype)
    values, vectors = eigsh(operator, k=count, which="LA", v0=start, tol=tolerance)
    vectors = vectors[:, ::-1]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)])
    return Spectrum(values=values[::-1], vectors=vectors * signs)


def loss_plane(
    loss: TrainingLoss,
    vectors: Vector,
    distances: Sequence[float],
    on_point: Callable[[int], None] = lambda done: None,
) -> Vector:
    """The loss at theta + a_1 v_1 + a_2 v_2 for all a_1, a_2 in `distances`, as (a_1, a_2); `vectors` (parameters, 2).

    `on_point` hears how many are done. The parameters are bit for bit what they were afterwards.
    """
    kept = [each.detach().clone() for each in loss.parameters]
    like = loss.parameters[0]
    first, second = (torch.as_tensor(vectors[:, k].copy(), device=like.device, dtype=like.dtype) for k in (0, 1))
    losses = np.empty((len(distances), len(distances)))
    try:
        for done, (row, column) in enumerate(np.ndindex(losses.shape), start=1):
            reset(loss.parameters, kept)
            loss.add(distances[row] * first + distances[column] * second)
            losses[row, column] = loss.value()
            on_point(done)
    finally:
        reset(loss.parameters, kept)
    return losses


@torch.no_grad()
def reset(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Gives the parameters these values."""
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All elements in one row."""
    return torch.cat([each.reshape(-1) for each in tensors])
