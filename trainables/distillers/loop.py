"""The loop that drives every distiller: steps, reports, evaluations, checkpoints."""

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
    """A method under way. It draws random numbers from torch's generators alone, which the loop saves with it."""

    def step(self, index: int) -> Tensor:
        """Update `index` (from 0) of the distilled set; its loss, a scalar on the device, which is not waited for."""

    def prototypes(self) -> tuple[Tensor, Tensor]:
        """The distilled images (N, C, H, W) as they are now, class by class, and their labels (N, classes) or (N,)."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes from step to step, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""


@dataclass(frozen=True, kw_only=True)
class DistillPoint:
    """One report of a distillation."""

    step: int
    """Steps done, from 1."""
    loss: float
    """Mean over the steps since the last report."""
    label_entropy: float | None = None
    """Of softmax(y / t), against which networks are trained, mean over the set, in nats; None for hard labels."""
    validation_accuracy: float | None = None
    """Of a ConvNet trained on the set briefly, in %, on at most 1,000 validation images; None between evaluations."""
    seconds: float = 0.0
    """Since the start, evaluations not counted, summed over resumptions."""


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
"""What makes each distiller from its settings."""


REPORTS = 50
"""Reports of a distillation, at most."""

REPORTS_AN_EVALUATION = 10
"""So that a distillation has at most 5 evaluations, the last of them at its end."""


class DistillationDivergedError(ArithmeticError):
    """The loss of a distillation is no longer a finite number."""


@dataclass(kw_only=True)
class Distillation:
    """A distillation under way, and what it has come to at its end."""

    config: DistillConfig
    """With nothing left to a rule."""
    distiller: Distiller
    losses: Tensor
    """Summed since the last report."""
    step: int = 0
    """Steps done."""
    reported: int = 0
    """Of these, at the last report."""
    seconds: float = 0.0
    """In the loop, evaluations not counted, summed over resumptions."""
    curve: list[DistillPoint] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Everything, the random number generators included."""
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
    """Distils as `config` says, and returns where it ended.

    Only training images are learned from, only validation images are tested on. With `checkpoints`, a distillation
    that was interrupted goes on from the last one, bit for bit on a CPU. `on_report` hears of at most 50 steps, and
    only there is the device waited for. Raises DistillationDivergedError where the loss at a report is not finite.
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
    """Whether there is a report after `step` (from 1) of `steps`: evenly spaced, at most 50, and at the end."""
    return step % math.ceil(steps / REPORTS) == 0 or step == steps


def is_evaluated(step: int, steps: int) -> bool:
    """Whether the report after `step` has an evaluation: every tenth, and the last."""
    return step % (math.ceil(steps / REPORTS) * REPORTS_AN_EVALUATION) == 0 or step == steps


def report(done: Distillation, seconds: float, library: Library, device: torch.device | str) -> DistillPoint:
    """Adds the point of the step just done to the curve. Raises DistillationDivergedError for a loss not finite."""
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
    """`brief_run` of a narrower ConvNet, with no flips of grey images."""
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
    """Accuracy in % on at most 1,000 validation images of a network trained on the set; `recipe`'s, or that of `run`.

    Both arguments are images (N, C, H, W) and labels. The random number generators are left as they were.
    """
    images, labels = (part.detach().cpu() for part in prototypes)
    if labels.ndim == 2:
        labels = torch.softmax(labels / (config.resolved().label_temperature or 1.0), 1).float()
    sample = validation[0][:SAMPLE], validation[1][:SAMPLE]
    with torch.random.fork_rng():
        run = run or recipe(config, getattr(config, "width", 1.0))
        return accuracy_after(run, (images.float(), labels), sample, device)
