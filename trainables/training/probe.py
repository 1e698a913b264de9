"""Measures the quality of a distilled set: trains a ConvNet on it briefly and tests on validation images."""

import torch

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import RunConfig, from_dict
from crossarch.trainables.data.images import Images, Part
from crossarch.trainables.training.evaluate import evaluate
from crossarch.trainables.training.loop import train


def brief_run(
    dataset: str, images_per_class: int, name: str, *, images_seen: int, most_epochs: int, batch_size: int
) -> RunConfig:
    """The config of a short training of the paper's ConvNet on a distilled set: AdamW, cosine, 1-fold augmentation.

    `images_seen` is the number of distilled images in the whole training, repetitions included; epochs are at most
    `most_epochs`.
    """
    images = DATASETS[dataset].classes * images_per_class
    return from_dict(
        {
            "data": {
                "kind": "distilled",
                "dataset": dataset,
                "images_per_class": images_per_class,
                "distilled_set": name,
            },
            "model": {"architecture": "convnet"},
            "learning_rate": {"schedule": "cosine", "maximum": 1e-3},
            "optimizer": {"name": "adamw", "weight_decay": 5e-4},
            "augmentation": {"folds": 1},
            "epochs": max(1, min(most_epochs, images_seen // images)),
            "batch_size": min(batch_size, images),
        }
    )


def accuracy_after(run: RunConfig, images: Part, validation: Part, device: torch.device | str = "cpu") -> float:
    """Accuracy in % on `validation` of the run's network after training on `images`. No test data are used."""
    progress = train(run, Images.of(images, validation, (validation[0][:0], validation[1][:0])), device=device)
    return evaluate(progress.model, *validation)[0]
