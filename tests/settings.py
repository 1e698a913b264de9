"""The table of settings, networks x norms x arms, that the training tests go through, each in a second or so."""

from typing import Any

from crossarch.trainables.config import RunConfig, from_dict

PHASES = {"warmup": 2, "period": 2, "stabilization": 6}
EPOCHS = 8
MIDDLE = 5
"""An epoch in the middle of training: DropPath is at its minimum, the optimizer has momentum."""

NETWORKS: dict[str, dict[str, Any]] = {
    "convnet": {"architecture": "convnet", "width": 1 / 32},
    "resnet18": {"architecture": "resnet18", "width": 1 / 16},
}

NORMS = ("batch", "instance")

BASELINE: dict[str, Any] = {
    "epochs": EPOCHS,
    "learning_rate": {"schedule": "cosine", "maximum": 5e-3},
    "optimizer": {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 5e-4},
    "augmentation": {"folds": 1},
}

WITHOUT_DP_KD: dict[str, Any] = {
    "epochs": EPOCHS,
    "phases": PHASES,
    "learning_rate": {"schedule": "periodic", "maximum": 1e-3, "decay": 0.8, "warmup": 1, "cosine_period": 4},
    "optimizer": {"name": "lion", "beta1": 0.95, "beta2": 0.98, "weight_decay": 5e-3},
    "augmentation": {"folds": 2},
}

FULL: dict[str, Any] = WITHOUT_DP_KD | {"keep_rate": {"minimum": 0.5, "final": 0.8, "decay": 0.25}}

ARMS = {"baseline": BASELINE, "without_dp_kd": WITHOUT_DP_KD, "full": FULL}


def make(network: str, norm: str, arm: str, seed: int = 0) -> RunConfig:
    """A run on two images of each digit. The arm `full` learns from the convnet trained without DropPath and KD."""
    model = NETWORKS[network] | {"norm": norm}
    if network.startswith("resnet"):
        model["shortcut"] = "improved" if arm == "full" else "original"
    values = ARMS[arm] | {
        "data": {"dataset": "digits", "images_per_class": 2},
        "model": model,
        "batch_size": 10,
        "seed": seed,
    }
    if arm == "full":
        values["kd"] = {
            "alpha": 0.5,
            "temperature": 1.5,
            "teacher": make("convnet", norm, "without_dp_kd", seed).to_dict(),
        }
    return from_dict(values)


SETTINGS: dict[str, RunConfig] = {
    f"{network}-{norm}-{arm}": make(network, norm, arm)
    for network in NETWORKS
    for norm in NORMS
    for arm in ARMS
    if (network, arm) != ("convnet", "full")
}
"""DropPath and distillation are for networks deeper than the convnet (Sec. 4.1)."""

TEACHER = SETTINGS["convnet-batch-without_dp_kd"]
STUDENT = SETTINGS["resnet18-batch-full"]
"""Learns from TEACHER."""
PLAIN = SETTINGS["convnet-batch-baseline"]
