"""The fast engine: trains the same run as the reference loop with the same random numbers, but faster.

What a step needs from the random number generators, and from the frozen teacher, is made for many steps at once:
batches, augmented images, drop masks, the teacher's logits. Networks and images lie in memory channels last; on a CPU
freed memory is kept, and some layers and Lion run by native kernels (see cpu/). Steps are drawn up to the next report
at most, so that whenever a checkpoint is written the generators stand where the reference loop's would.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn

from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.cpu.layers import use_native, use_stride_by_slicing
from crossarch.trainables.cpu.memory import keep_memory
from crossarch.trainables.data.images import Images
from crossarch.trainables.methods.augmentation import Drawn, apply_to_all, draw
from crossarch.trainables.methods.drop_path import draw_mask, drops, set_keep_rate
from crossarch.trainables.methods.knowledge_distillation import distillation_loss
from crossarch.trainables.methods.optimizer import set_learning_rate, take_step
from crossarch.trainables.methods.schedules import keep_rate, learning_rate
from crossarch.trainables.training import loop
from crossarch.trainables.training.evaluate import BATCH
from crossarch.trainables.training.loop import Epoch, Work, is_reported, reference
from crossarch.trainables.training.state import Progress

AHEAD = 640
"""Approximate number of images that are prepared ahead of the steps: 64 steps of 10."""


@dataclass(kw_only=True)
class Step:
    """The inputs of one step, with all its random numbers drawn."""

    learning_rate: float
    keep_rate: float
    images: Tensor
    """(N, C, H, W); augmented by `prepare`."""
    labels: Tensor
    drawn: Drawn
    masks: list[Tensor]
    """One mask (N,) per path of the network that may be dropped; empty at a keep rate of 1."""
    taught: Tensor | None = None
    """The teacher's logits (N, classes), computed by `prepare`; None without a teacher."""
    closes: bool = False
    """Whether a report, and possibly a checkpoint, follows the step."""


def drawn_steps(work: Work, epochs: range) -> Iterator[Step]:
    """Yields the steps of `epochs`, not prepared. Random numbers are drawn lazily, in the reference loop's order."""
    config, images, labels = work.config, work.images, work.labels
    paths = sum(1 for _ in drops(work.progress.model))
    for epoch in epochs:
        rate = keep_rate(epoch, config.keep_rate, config.phases)
        batches = torch.randperm(len(images), device=images.device).split(config.batch_size)
        for index, batch in enumerate(batches):
            chosen = images[batch]
            yield Step(
                learning_rate=learning_rate(epoch, config, index / len(batches)),
                keep_rate=rate,
                images=chosen,
                labels=labels[batch],
                drawn=draw(chosen, config.augmentation.folds, config.augmentation.pool),
                masks=[draw_mask(chosen, rate) for _ in range(paths)] if rate < 1 else [],
                closes=index == len(batches) - 1 and is_reported(epoch + 1, config),
            )


def prepared_steps(steps: Iterator[Step], teacher: nn.Module | None, precision: torch.autocast) -> Iterator[Step]:
    """Yields `steps` after preparing them, about AHEAD images at once."""
    waiting: list[Step] = []
    for step in steps:
        waiting.append(step)
        if step.closes or sum(len(each.images) for each in waiting) >= AHEAD:
            prepare(waiting, teacher, precision)
            yield from waiting
            waiting = []
    if waiting:
        prepare(waiting, teacher, precision)
        yield from waiting


@torch.no_grad()
def prepare(steps: list[Step], teacher: nn.Module | None, precision: torch.autocast) -> None:
    """Augments the images of all steps, makes them channels last, and computes the teacher's logits, in place."""
    sizes = [len(step.images) for step in steps]
    images = torch.cat(apply_to_all([step.images for step in steps], [step.drawn for step in steps]))
    images = images.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)
    for step, own in zip(steps, images.split(sizes), strict=True):
        step.images = own
    if teacher is not None:
        with precision:
            taught = torch.cat([teacher(batch) for batch in images.split(BATCH)])
        for step, logits in zip(steps, taught.to(images.dtype).split(sizes), strict=True):
            step.taught = logits


def take(config: RunConfig, progress: Progress, step: Step, precision: torch.autocast) -> Tensor:
    """Takes a prepared step and returns its loss, a scalar. Does not synchronise the device."""
    model, optimizer = progress.model, progress.optimizer
    set_keep_rate(model, step.keep_rate)
    set_learning_rate(optimizer, step.learning_rate)
    for path, mask in zip(drops(model), step.masks, strict=bool(step.masks)):
        path.ahead = mask
    with precision:
        logits = model(step.images)
    loss = objective(config, logits.to(step.images.dtype), step)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    take_step(optimizer)
    progress.steps += 1
    return loss.detach()


def objective(config: RunConfig, logits: Tensor, step: Step) -> Tensor:
    """The loss of a prepared step, equal to `loop.objective`."""
    if config.kd is None or step.taught is None:
        return F.cross_entropy(logits, step.labels)
    return distillation_loss(logits, step.taught, step.labels, config.kd.alpha, config.kd.temperature)


def fast(work: Work) -> Epoch:
    """The fast engine: draws and prepares many steps ahead, and takes them without synchronising the device."""
    config, progress = work.config, work.progress
    precision = autocast(config, work.images.device)
    for network in (progress.model, work.teacher):
        if network is not None:
            speed_up(network, config)
    if work.images.device.type == "cpu":
        keep_memory()
    count = len(torch.arange(len(work.images)).split(config.batch_size))
    steps = prepared_steps(drawn_steps(work, range(progress.epoch, config.epochs)), work.teacher, precision)

    def take_epoch(epoch: int, losses: Tensor) -> None:
        for step in islice(steps, count):
            losses += take(config, progress, step, precision)

    return take_epoch


def speed_up(network: nn.Module, config: RunConfig) -> None:
    """Makes convolutions' weights channels last, as the images are, and on a CPU switches on native kernels.

    Not for `fast_bfloat16`: the 8 significant bits of bfloat16 are too few for Winograd's transforms. Networks of
    torchvision have none of the layers with a native path and stay as they are.
    """
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if any(each.device.type != "cpu" for each in network.parameters()):
        return
    use_stride_by_slicing(network)
    if config.engine != "fast_bfloat16":
        use_native(network)


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """A context for arithmetic in bfloat16 if the run's engine is `fast_bfloat16`; else without effect."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.engine == "fast_bfloat16", cache_enabled=False)


ENGINES: dict[str, Callable[[Work], Epoch]] = {"reference": reference, "fast": fast, "fast_bfloat16": fast}


def train(config: RunConfig, data: Images, **options: Any) -> Progress:
    """`loop.train` with the engine that `config` names and the same options."""
    return loop.train(config, data, engine=ENGINES[config.engine], **options)
