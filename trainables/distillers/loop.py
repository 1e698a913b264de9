"""The loop that runs any distiller: steps, reports, evaluations, checkpoints."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.distiller import DistillConfig, FRePoConfig
from crossarch.trainables.config.run import AUGMENTATIONS, RunConfig
from crossarch.trainables.data.images import Part
from crossarch.trainables.data.library import Library
from crossarch.trainables.distillers.frepo import FRePo
from crossarch.trainables.training.evaluate import SAMPLE
from crossarch.trainables.training.probe import accuracy_after, brief_run
from crossarch.trainables.training.state import Checkpoints, capture_rng, reinstate_rng


class Distiller(Protocol):
    """A distillation method with its state. Draws random numbers only from torch's generators, which the loop saves."""

    def step(self, index: int) -> Tensor:
        """Takes update `index` (from 0) of the set. Returns the loss, a scalar, without synchronising the device."""

    def prototypes(self) -> tuple[Tensor, Tensor]:
        """The present distilled images (N, C, H, W), class by class, and their labels (N, classes) or (N,)."""

    def state_dict(self) -> dict[str, Any]:
        """The state that changes from step to step, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""


@dataclass(frozen=True, kw_only=True)
class DistillPoint:
    """One report of a dataset distillation."""

    step: int
    """Number of steps done."""
    loss: float
    """Mean over the steps since the last report."""
    label_entropy: float | None = None
    """Mean entropy in nats of softmax(y / t), which networks are trained on; None for hard labels."""
    validation_accuracy: float | None = None
    """Accuracy in % of a ConvNet trained briefly on the set, on at most 1,000 validation images, if evaluated."""
    seconds: float = 0.0
    """Seconds since the start, without evaluations, summed over resumptions."""


def label_entropy(labels: Tensor, temperature: float) -> float | None:
    """Mean entropy of softmax(y / t) over labels (N, classes), in nats; None for labels (N,)."""
    if labels.ndim == 1:
        return None
    logs = torch.log_softmax(labels.double() / temperature, 1)
    entropy = float(-(logs.exp() * logs).sum(1).mean())
    return entropy if math.isfinite(entropy) else None


def make_distiller(config: DistillConfig, images: Tensor, labels: Tensor) -> Distiller:
    """The distiller of `config` at its start, for real images (N, C, H, W) and labels (N,) on its device."""
    return MAKERS[type(config)](config, images, labels)


MAKERS: dict[type[DistillConfig], Callable[..., Distiller]] = {FRePoConfig: FRePo}
"""The constructor of each distiller, by the type of its config."""


REPORTS = 50
"""Maximum reports of a dataset distillation."""

REPORTS_AN_EVALUATION = 10
"""Reports per evaluation, so that there are at most 5 evaluations, the last of them at the end."""


class DistillationDivergedError(ArithmeticError):
    """The loss of a dataset distillation is not finite."""


@dataclass(kw_only=True)
class Distillation:
    """The state of a dataset distillation, during the loop and at its end."""

    config: DistillConfig
    """Resolved: without defaults that depend on other settings."""
    distiller: Distiller
    losses: Tensor
    """Sum of the losses since the last report, a scalar."""
    step: int = 0
    """Number of steps done."""
    reported: int = 0
    """Number of them at the last report."""
    seconds: float = 0.0
    """Seconds in the loop, without evaluations, summed over resumptions."""
    curve: list[DistillPoint] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """The whole state, including the random number generators."""
        return {
            "distiller": self.distiller.state_dict(),
            "losses": self.losses,
            "step": self.step,
            "reported": self.reported,
            "seconds": self.seconds,
            "curve": [asdict(point) for point in self.curve],
            **capture_rng(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.distiller.load_state_dict(state["distiller"])
        self.losses.copy_(state["losses"])
        self.step, self.reported, self.seconds = state["step"], state["reported"], state["seconds"]
        self.curve = [DistillPoint(**point) for point in state["curve"]]
        reinstate_rng(state)


Report = Callable[[DistillPoint, Distiller], None]


def distill(
    config: DistillConfig,
    library: Library,
    *,
    device: torch.device | str = "cpu",
    checkpoints: Checkpoints | None = None,
    on_report: Report = lambda point, distiller: None,
) -> Distillation:
    """Distils a set as `config` says, from training images only, and evaluates it on validation images only.

    Args:
        config: The distillation.
        library: The real data.
        device: The torch device.
        checkpoints: An interrupted distillation continues from the last checkpoint, bit for bit on a CPU.
        on_report: Called for at most 50 steps; only then is the device synchronised.

    Returns:
        The state at the end.

    Raises:
        DistillationDivergedError: The loss at a report is not finite.
    """
    config = config.resolved()
    whitening, dtype = str(config.whitening), getattr(torch, config.precision)
    images, labels = library.part(config.dataset, whitening, "train")
    torch.manual_seed(config.seed)
    distiller = make_distiller(config, images.to(device, dtype), labels.to(device))
    losses = torch.zeros((), device=device, dtype=dtype)
    done = Distillation(config=config, distiller=distiller, losses=losses)
    state = checkpoints.last() if checkpoints is not None else None
    if state is not None:
        done.load_state_dict(state)

    begun = time.perf_counter() - done.seconds
    for index in range(done.step, config.steps):
        done.losses += distiller.step(index)
        done.step = index + 1
        if is_reported(done.step, config.steps):
            point = report(done, time.perf_counter() - begun, library, device)
            on_report(point, distiller)
            begun = time.perf_counter() - done.seconds
        if checkpoints is not None and checkpoints.is_due:
            done.seconds = time.perf_counter() - begun
            checkpoints.save(done.step, done.state_dict())
    return done


def is_reported(step: int, steps: int) -> bool:
    """Whether a report is due after `step` (from 1): evenly spaced, at most REPORTS times, and at the end."""
    return step % math.ceil(steps / REPORTS) == 0 or step == steps


def is_evaluated(step: int, steps: int) -> bool:
    """Whether the report after `step` has an evaluation: every tenth report, and the last."""
    return step % (math.ceil(steps / REPORTS) * REPORTS_AN_EVALUATION) == 0 or step == steps


def report(done: Distillation, seconds: float, library: Library, device: torch.device | str) -> DistillPoint:
    """Adds the point of the step just done to the curve. Raises DistillationDivergedError if the loss is not finite."""
    config, step = done.config, done.step
    loss = float(done.losses) / (step - done.reported)
    if not math.isfinite(loss):
        raise DistillationDivergedError(f"the loss is {loss} after step {step}")
    prototypes, accuracy = done.distiller.prototypes(), None
    if is_evaluated(step, config.steps):
        validation = library.part(config.dataset, str(config.whitening), "validation")
        accuracy = validation_accuracy(config, prototypes, validation, device)
    point = DistillPoint(
        step=step,
        loss=loss,
        label_entropy=label_entropy(prototypes[1], config.label_temperature or 1.0),
        validation_accuracy=accuracy,
        seconds=seconds,
    )
    done.curve.append(point)
    done.losses.zero_()
    done.reported, done.seconds = step, seconds
    return point


def recipe(config: DistillConfig, width: float) -> RunConfig:
    """`brief_run` with a narrower ConvNet, and without flips of grey images."""
    mirrored = DATASETS[config.dataset].channels == 3
    run = brief_run(
        config.dataset,
        config.images_per_class,
        "distilling",
        images_seen=5_000,
        most_epochs=150,
        batch_size=50,
    )
    pool = tuple(name for name in AUGMENTATIONS if mirrored or name != "flip")
    return run.replace({"model.width": width, "augmentation.pool": pool, "seed": config.seed})


def validation_accuracy(
    config: DistillConfig,
    prototypes: Part,
    validation: Part,
    device: torch.device | str = "cpu",
    *,
    run: RunConfig | None = None,
) -> float:
    """Accuracy in % on at most 1,000 validation images of a network trained on the set.

    `prototypes` and `validation` are images (N, C, H, W) and labels. `run` is the training's config, by default that of
    `recipe`. The random number generators are restored afterwards.
    """
    images, labels = (part.detach().cpu() for part in prototypes)
    if labels.ndim == 2:
        labels = torch.softmax(labels / (config.resolved().label_temperature or 1.0), 1).float()
    sample = validation[0][:SAMPLE], validation[1][:SAMPLE]
    with torch.random.fork_rng():
        run = run or recipe(config, getattr(config, "width", 1.0))
        return accuracy_after(run, (images.float(), labels), sample, device)
