"""The loss landscape where a finished run ended (Fig. 8), from the weights that it left."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crossarch.trainables.analysis.hessian import TrainingLoss, loss_plane, top_eigenpairs
from crossarch.trainables.checkpoint import load_weights
from crossarch.trainables.config import RunConfig
from crossarch.trainables.data.catalog import DATASETS
from crossarch.trainables.data.load import load
from crossarch.trainables.environment import describe
from crossarch.trainables.identity import run_id
from crossarch.trainables.loop import training_set
from crossarch.trainables.models.registry import build
from crossarch.trainables.run import Workplace, now


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """Curvature and surroundings of one run's last weights."""

    run_id: str
    weights_sha256: str
    images: int
    """Training images, over which the loss is a mean."""
    loss: float
    """Cross-entropy at the weights themselves, in nats."""
    eigenvalues: tuple[float, ...]
    """Of the Hessian, the largest first."""
    distances: tuple[float, ...]
    """Along the first two eigenvectors, which have length 1, in units of the parameters."""
    losses: tuple[tuple[float, ...], ...]
    """The loss at (distance along the first, along the second), in nats."""
    seconds: float
    """That the measurement took."""
    measured_at: str
    environment: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


def from_dict(values: Mapping[str, Any]) -> Landscape:
    """The inverse of `Landscape.to_dict`. Raises TypeError or KeyError for anything else."""
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
    """The landscape of a run whose weights were kept; `tell` hears how far it is.

    Raises FileNotFoundError where they are not there, ValueError where so many eigenvalues there are not.
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
