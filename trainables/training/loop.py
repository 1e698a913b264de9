"""The reference training loop: one run, read from top to bottom."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import RealData, RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.data.subsets import select
from crossarch.trainables.methods.augmentation import augment
from crossarch.trainables.methods.drop_path import pop_observed, set_keep_rate
from crossarch.trainables.methods.knowledge_distillation import distillation_loss
from crossarch.trainables.methods.optimizer import make_optimizer, set_learning_rate
from crossarch.trainables.methods.schedules import keep_rate, learning_rate
from crossarch.trainables.models.registry import build
from crossarch.trainables.training.evaluate import SAMPLE, evaluate
from crossarch.trainables.training.state import Checkpoints, Progress

REPORTS = 50
"""Maximum reports of a run."""

REPORTS_AN_EVALUATION = 5
"""Reports per evaluation, so that a run has at most 10 evaluations during training."""


class EndedError(Exception):
    """A run ended before its last epoch; `progress` is its state then."""

    def __init__(self, message: str, progress: Progress) -> None:
        super().__init__(message)
        self.progress = progress


class DivergedError(EndedError):
    """The loss is not finite."""


class StoppedError(EndedError):
    """The run was asked to end, after a report that is not its last."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """The objects that the steps of a run use."""

    config: RunConfig
    progress: Progress
    images: Tensor
    labels: Tensor
    """The training set's images (N, C, H, W) and labels, as of `training_set`."""
    teacher: nn.Module | None = None


Epoch = Callable[[int, Tensor], None]
"""Takes the steps of an epoch (from 0) and adds their losses to a scalar tensor, in place."""


def reference(work: Work) -> Epoch:
    """The reference engine: draws each step's random numbers and takes it, one step after another."""
    config, progress = work.config, work.progress

    def take(epoch: int, losses: Tensor) -> None:
        set_keep_rate(progress.model, keep_rate(epoch, config.keep_rate, config.phases))
        batches = torch.randperm(len(work.images), device=work.images.device).split(config.batch_size)
        for index, batch in enumerate(batches):
            set_learning_rate(progress.optimizer, learning_rate(epoch, config, index / len(batches)))
            losses += step(config, progress, work.images[batch], work.labels[batch], work.teacher)

    return take


def train(
    config: RunConfig,
    data: Images,
    *,
    device: torch.device | str = "cpu",
    teacher: nn.Module | None = None,
    checkpoints: Checkpoints | None = None,
    on_report: Callable[[Point], str | None] = lambda point: None,
    engine: Callable[[Work], Epoch] = reference,
) -> Progress:
    """Trains the run that `config` describes.

    Args:
        config: The run.
        data: Its images.
        device: The torch device.
        teacher: In evaluation mode on `device`; given exactly if `config.kd` is.
        checkpoints: An interrupted run continues from the last checkpoint, bit for bit on a CPU.
        on_report: Called for at most 50 epochs; only then is the device synchronised. Returns None, or the reason to
            end the run there.
        engine: Takes the steps; `engine.train` chooses the one that `config` names.

    Returns:
        The state at the end, with the network in training mode.

    Raises:
        DivergedError: The loss at a report is not finite.
        StoppedError: `on_report` ended the run.
    """
    torch.manual_seed(config.seed)
    images, labels = training_set(config, data, device)
    model = build(config.model, DATASETS[config.data.dataset], config.keep_rate).to(images)
    progress = Progress(model=model, optimizer=make_optimizer(model, config.optimizer))
    if checkpoints is not None:
        checkpoints.restore(progress)

    take_epoch = engine(Work(config=config, progress=progress, images=images, labels=labels, teacher=teacher))
    losses, begun = torch.zeros((), device=device, dtype=images.dtype), time.perf_counter()
    for epoch in range(progress.epoch, config.epochs):
        take_epoch(epoch, losses)
        progress.epoch = epoch + 1
        if is_tested(progress.epoch, config) and progress.epoch < config.epochs:
            tested = time.perf_counter()
            keep_best(data, progress)
            begun += time.perf_counter() - tested
        if is_reported(progress.epoch, config):
            train_loss = float(losses) / (progress.steps - progress.steps_reported)
            progress.training_seconds += time.perf_counter() - begun
            point = report(config, data, progress, train_loss)
            if checkpoints is not None:
                checkpoints.save_if_due(progress)
            reason = on_report(point)
            if reason and progress.epoch < config.epochs:
                raise StoppedError(f"after epoch {progress.epoch} of {config.epochs}: {reason}", progress)
            losses.zero_()
            begun = time.perf_counter()
    return progress


def step(config: RunConfig, progress: Progress, images: Tensor, labels: Tensor, teacher: nn.Module | None) -> Tensor:
    """Augments a batch of `training_set`, takes one optimizer step on it, and returns its loss, a scalar."""
    augmented = augment(images, config.augmentation.folds, config.augmentation.pool)
    loss = objective(config, progress.model(augmented), labels, teacher, augmented)
    progress.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    progress.optimizer.step()
    progress.steps += 1
    return loss.detach()


def training_set(config: RunConfig, data: Images, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """The run's images (N, C, H, W) in its precision, and labels (N,) or probabilities (N, classes), on `device`."""
    images, labels = data.train, data.train_labels
    if isinstance(config.data, RealData):
        chosen = select(config.data.selection, images, labels, config.data.images_per_class, config.seed)
        images, labels = images[chosen], labels[chosen]
    dtype = getattr(torch, config.precision)
    return images.to(device, dtype), labels.to(device, dtype if labels.is_floating_point() else None)


def objective(
    config: RunConfig, logits: Tensor, labels: Tensor, teacher: nn.Module | None, augmented: Tensor
) -> Tensor:
    """The loss of a batch: Eq. 2 with a teacher, on the same augmented images; cross-entropy without a teacher."""
    if config.kd is None or teacher is None:
        return F.cross_entropy(logits, labels)
    with torch.no_grad():
        taught = teacher(augmented)
    return distillation_loss(logits, taught, labels, config.kd.alpha, config.kd.temperature)


def is_reported(epoch: int, config: RunConfig) -> bool:
    """Whether a report is due after `epoch` (from 1): evenly spaced, at most REPORTS times, and after the last."""
    return epoch % math.ceil(config.epochs / REPORTS) == 0 or epoch == config.epochs


def is_tested(epoch: int, config: RunConfig) -> bool:
    """Whether a test on the whole test set is due after `epoch` (from 1): `test_evaluations` times, evenly spaced."""
    count, epochs = min(config.test_evaluations, config.epochs), config.epochs
    return epoch * count // epochs > (epoch - 1) * count // epochs


def keep_best(data: Images, progress: Progress) -> None:
    """Tests on the whole test set, and keeps the weights if they are better than all before."""
    progress.keep_best(evaluate(progress.model, data.test, data.test_labels)[0])


def report(config: RunConfig, data: Images, progress: Progress, train_loss: float) -> Point:
    """Adds the point of the epoch just done to the curve.

    Every fifth point has the accuracy on a sample of validation images, except the last. Raises DivergedError if
    `train_loss` is not finite.
    """
    done = progress.epoch
    if not math.isfinite(train_loss):
        raise DivergedError(f"the training loss is {train_loss} after epoch {done}", progress)
    evaluated = done % (math.ceil(config.epochs / REPORTS) * REPORTS_AN_EVALUATION) == 0 and done < config.epochs
    sample = data.validation[:SAMPLE], data.validation_labels[:SAMPLE]
    accuracy = evaluate(progress.model, *sample)[0] if evaluated else None
    point = Point(
        epoch=done,
        train_loss=train_loss,
        learning_rate=learning_rate(done - 1, config),
        keep_rate=keep_rate(done - 1, config.keep_rate, config.phases),
        keep_rate_observed=pop_observed(progress.model),
        validation_accuracy=accuracy,
    )
    progress.curve.append(point)
    progress.steps_reported = progress.steps
    return point
