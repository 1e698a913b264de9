"""The table of settings, networks x norms x arms, that the training tests go through, each in a second or so.

Every network meets every norm and every arm that applies to it, and every norm every arm.
"""

import dataclasses
from typing import Any

from pydantic import TypeAdapter

from crossarch.trainables.config.datasets import DATASETS, Dataset
from crossarch.trainables.config.run import ModelConfig, RunConfig, from_dict

PHASES = {"warmup": 2, "period": 2, "stabilization": 6}
EPOCHS = 8
MIDDLE = 5
"""An epoch in the middle of training: DropPath is at its minimum, the optimizer has momentum."""

NETWORKS: dict[str, dict[str, Any]] = {
    "convnet": {"architecture": "convnet", "width": 1 / 32},
    "resnet18": {"architecture": "resnet18", "width": 1 / 16},
    "resnet50": {"architecture": "resnet50", "width": 1 / 32},
    "alexnet": {"architecture": "alexnet", "width": 1 / 32},
    "vgg11": {"architecture": "vgg11", "width": 1 / 32},
}

PATHS = {"convnet": 0, "resnet18": 2 + 2 + 2 + 2, "resnet50": 3 + 4 + 6 + 3, "alexnet": 2, "vgg11": 3}
"""Blocks that DropPath may drop (notes; the residual blocks of each stage)."""

RESIDUAL = ("resnet18", "resnet50")
DEEP = tuple(network for network in PATHS if PATHS[network])

NORMS: dict[str, dict[str, Any]] = {
    "batch": {"norm": {"kind": "batch"}},
    "instance": {"norm": {"kind": "instance"}},
    "group": {"norm": {"kind": "group", "groups": 2}},
}

LION = {"name": "lion", "weight_decay": 5e-3}

BASELINE: dict[str, Any] = {
    "learning_rate": {"schedule": "cosine", "maximum": 5e-3},
    "optimizer": {"name": "adamw", "weight_decay": 5e-4},
    "augmentation": {"folds": 1},
}

WITHOUT_DP_KD: dict[str, Any] = {
    "phases": PHASES,
    "learning_rate": {"schedule": "periodic", "maximum": 1e-3, "decay": 0.8, "warmup": 1, "cosine_period": 4},
    "optimizer": LION,
    "augmentation": {"folds": 2},
}

KEEP_RATE = {"keep_rate": {"minimum": 0.5, "final": 0.8, "decay": 0.25}}

SGD: dict[str, Any] = {
    "learning_rate": {"schedule": "step", "maximum": 1e-2, "decay": 0.1, "milestone": 4},
    "optimizer": {"name": "sgd", "weight_decay": 5e-4},
    "augmentation": {"folds": 0},
}

PER_STEP: dict[str, Any] = {
    "learning_rate": {"schedule": "cosine", "maximum": 1e-3, "warmup": 2, "granularity": "step"},
    "optimizer": LION,
    "augmentation": {"folds": 2},
    "test_evaluations": 4,
}
"""As in the released code: the rate changes with every step, and the best of several tests is told."""

ARMS: dict[str, dict[str, Any]] = {
    "baseline": BASELINE,
    "without_dp_kd": WITHOUT_DP_KD,
    "without_dp": WITHOUT_DP_KD,
    "without_kd": WITHOUT_DP_KD | KEEP_RATE,
    "full": WITHOUT_DP_KD | KEEP_RATE,
    "sgd": SGD,
    "per_step": PER_STEP,
}

TAUGHT = ("without_dp", "full")
DROPPED = ("without_kd", "full")

MODEL_CHANGES: dict[str, dict[str, Any]] = {"sgd": {"first_norm": "batch"}, "per_step": {"conv_bias": True}}


def make(network: str, norm: str, arm: str, seed: int = 0) -> RunConfig:
    """A run on two images of each digit. Arms with distillation learn from the convnet trained without the two."""
    model = NETWORKS[network] | NORMS[norm] | MODEL_CHANGES.get(arm, {})
    if network in RESIDUAL:
        model["shortcut"] = "improved" if arm in DROPPED else "original"
    values = ARMS[arm] | {
        "data": {"kind": "real", "dataset": "digits", "images_per_class": 2},
        "model": model,
        "epochs": EPOCHS,
        "batch_size": 10,
        "seed": seed,
    }
    if arm in TAUGHT:
        values["kd"] = {
            "alpha": 0.5,
            "temperature": 1.5,
            "teacher": make("convnet", norm, "without_dp_kd", seed).to_dict(),
        }
    return from_dict(values)


def applies(network: str, arm: str) -> bool:
    """DropPath and distillation are for networks deeper than the convnet (Sec. 4.1)."""
    return network != "convnet" or arm not in (*TAUGHT, *DROPPED)


TABLE = [
    (network, list(NORMS)[(row + column) % len(NORMS)], arm)
    for row, network in enumerate(NETWORKS)
    for column, arm in enumerate(ARMS)
    if applies(network, arm)
]
"""Network, norm, arm: each network with each of its arms, norms in turn."""

SETTINGS: dict[str, RunConfig] = {"-".join(row): make(*row) for row in TABLE}

TEACHER = make("convnet", "batch", "without_dp_kd")
STUDENT = make("resnet18", "batch", "full")
"""Learns from TEACHER."""
PLAIN = make("convnet", "batch", "baseline")


# Networks alone, for images that no file holds.


MODEL: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


def images_of(channels: int = 3, classes: int = 10, resolution: int = 32) -> Dataset:
    """A data set of that form, CIFAR-10's unless told otherwise."""
    return dataclasses.replace(DATASETS["digits"], channels=channels, classes=classes, resolution=resolution)


def model_of(network: str, norm: str = "batch", **changes: Any) -> ModelConfig:
    """A network of width 1 unless `changes` say otherwise."""
    return MODEL.validate_python({"architecture": network, **NORMS[norm], **changes})
