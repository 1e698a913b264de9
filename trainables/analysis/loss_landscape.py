"""The loss landscape around the final weights of a run (Fig. 8): top eigenpairs of the Hessian, and a loss plane."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.load import load
from crossarch.trainables.environment import describe
from crossarch.trainables.models.registry import build
from crossarch.trainables.training.evaluate import evaluating
from crossarch.trainables.training.execute import Workplace, now
from crossarch.trainables.training.loop import training_set
from crossarch.trainables.training.state import load_weights

BATCH = 100
"""Images that are differentiated at once; it affects memory, not results."""

Vector = NDArray[np.floating[Any]]


class TrainingLoss:
    """The mean cross-entropy of a network on a training set, as a function of its parameters."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        """`images` (N, C, H, W) and `labels` (N,) or (N, classes) are on the network's device, in its type."""
        self.model, self.images, self.labels = model, images, labels
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.size = sum(parameter.numel() for parameter in self.parameters)

    def _batches(self) -> Iterator[Tensor]:
        """Yields each batch's share of the loss; the shares sum to it."""
        for images, labels in zip(self.images.split(BATCH), self.labels.split(BATCH), strict=True):
            yield F.cross_entropy(self.model(images), labels, reduction="sum") / len(self.images)

    @torch.no_grad()
    def value(self) -> float:
        """The loss in nats, in evaluation mode."""
        with evaluating(self.model):
            return sum(float(share) for share in self._batches())

    def hessian(self) -> Callable[[Tensor], Tensor]:
        """A function that multiplies the Hessian at the present weights by a vector (parameters,).

        It differentiates the gradient (double backpropagation). If the set is a single batch, its gradient is computed
        once and kept for all products, which saves a quarter of each; a product then raises RuntimeError once the
        weights have changed in place.
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
        """The gradient of a batch's share of the loss, which can be differentiated again."""
        return torch.autograd.grad(share, self.parameters, create_graph=True)

    def split(self, vector: Tensor) -> list[Tensor]:
        """`vector` (parameters,) split into tensors of the parameters' shapes."""
        parts = vector.split([parameter.numel() for parameter in self.parameters])
        return [part.view_as(parameter) for part, parameter in zip(parts, self.parameters, strict=True)]

    @torch.no_grad()
    def add(self, vector: Tensor) -> None:
        """Adds `vector` (parameters,) to the parameters, in place."""
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
    """The `count` largest eigenvalues of the Hessian and their eigenvectors, by implicitly restarted Lanczos.

    The paper uses power iteration, which needs many more products for the same eigenvalues. Lanczos vectors, about
    twice as many as eigenvalues, have the network's precision.

    Args:
        loss: The function.
        count: Number of eigenvalues.
        tolerance: Relative accuracy of the eigenvalues.
        seed: Of the starting vector.
        on_product: Called with the number of products with the Hessian so far.

    Raises:
        ValueError: `count` is not in [1, number of parameters - 1].
    """
    if not 0 < count < loss.size:
        raise ValueError(f"count = {count} is outside [1, {loss.size - 1}], the network having {loss.size} parameters")
    like, times, products = loss.parameters[0], loss.hessian(), itertools.count(1)
    dtype = np.float64 if like.dtype == torch.float64 else np.float32

    def product(vector: Vector) -> Vector:
        tensor = torch.as_tensor(vector.reshape(-1), device=like.device, dtype=like.dtype)
        result: Vector = times(tensor).cpu().numpy().astype(dtype, copy=False)
        on_product(next(products))
        return result

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
    """The losses (distances, distances) at theta + a_1 v_1 + a_2 v_2 for all a_1, a_2 in `distances`.

    `vectors` is (parameters, 2). `on_point` is called with the number of points done. The parameters are restored bit
    for bit afterwards.
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
    """Sets the parameters to `values`, in place."""
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All elements in one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """The loss landscape around one run's final weights."""

    run_id: str
    weights_sha256: str
    images: int
    """Number of training images, over which the loss is averaged."""
    loss: float
    """Cross-entropy at the weights, in nats."""
    eigenvalues: tuple[float, ...]
    """Eigenvalues of the Hessian, the largest first."""
    distances: tuple[float, ...]
    """Distances along the first two eigenvectors, which have length 1, in units of the parameters."""
    losses: tuple[tuple[float, ...], ...]
    """The loss in nats, by distance along the first eigenvector and along the second."""
    seconds: float
    """Duration of the measurement."""
    measured_at: str
    environment: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


def from_dict(values: Mapping[str, Any]) -> Landscape:
    """The inverse of `Landscape.to_dict`. Raises TypeError or KeyError for other values."""
    lists = {name: tuple(values[name]) for name in ("eigenvalues", "distances")}
    return Landscape(**{**values, **lists, "losses": tuple(tuple(row) for row in values["losses"])})


def measure(
    config: RunConfig,
    workplace: Workplace,
    *,
    eigenvalues: int,
    distances: Sequence[float],
    device: str = "cpu",
    tell: Callable[[str], None] = lambda progress: None,
) -> Landscape:
    """Measures the landscape of a run whose weights were kept. `tell` is called with the progress as text.

    Raises FileNotFoundError if the weights are missing, ValueError for more eigenvalues than the network has.
    """
    begun = time.perf_counter()
    model = build(config.model, DATASETS[config.data.dataset], config.keep_rate)
    digest = load_weights(model, workplace.weights(config))
    images, labels = training_set(config, load(config.data, workplace.data, workplace.data_root), device)
    loss = TrainingLoss(model.to(images), images, labels)
    spectrum = top_eigenpairs(
        loss, max(eigenvalues, 2), on_product=lambda done: tell(f"{done} products with the Hessian")
    )
    points = len(distances) ** 2
    plane = loss_plane(loss, spectrum.vectors[:, :2], distances, lambda done: tell(f"{done} of {points} losses around"))
    return Landscape(
        run_id=run_id(config),
        weights_sha256=digest,
        images=len(images),
        loss=loss.value(),
        eigenvalues=tuple(map(float, spectrum.values[:eigenvalues])),
        distances=tuple(distances),
        losses=tuple(tuple(map(float, row)) for row in plane),
        seconds=round(time.perf_counter() - begun, 1),
        measured_at=now(),
        environment=dict(describe(device)),
    )
