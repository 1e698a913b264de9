"""How good a set is while it is being distilled: a ConvNet trained on it briefly, tested on validation images."""

import torch

from crossarch.trainables.brief import accuracy_after, brief_run
from crossarch.trainables.config import RunConfig
from crossarch.trainables.data.catalog import DATASETS
from crossarch.trainables.data.images import Part
from crossarch.trainables.distillers.config import DistillConfig
from crossarch.trainables.evaluate import SAMPLE
from crossarch.trainables.parts import AUGMENTATIONS

IMAGES_SEEN = 5_000
"""Distilled images of one training, repeated ones counted."""

MOST_EPOCHS = 150
BATCH_SIZE = 50


def recipe(config: DistillConfig, width: float) -> RunConfig:
    """`brief_run` of a narrower ConvNet, with no flips of grey images."""
    mirrored = DATASETS[config.dataset].channels == 3
    run = brief_run(
        config.dataset,
        config.images_per_class,
        "distilling",
        images_seen=IMAGES_SEEN,
        most_epochs=MOST_EPOCHS,
        batch_size=BATCH_SIZE,
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
