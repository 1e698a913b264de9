"""Recommended dataset distillation settings: defaults of each distiller and changes by data set."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from crossarch.trainables.config.distiller import DistillConfig, from_dict

BASES: dict[str, dict[str, Any]] = {"frepo": {"steps": 500_000}}
"""Settings of a distiller for every data set, from its authors."""

CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    # Takes about a minute on one core. Few steps need a higher learning rate: of 3e-3, 1e-2 and 3e-2, 1e-2 had the
    # lowest final loss at 1 image per class, and none was lower at 10 (seeds 100 to 102).
    ("frepo", "digits"): {"steps": 400, "width": 0.125, "batch_size": 256, "learning_rate": 1e-2},
}
"""Changes to BASES by distiller and data set."""


def distillation(distiller: str, dataset: str, changes: Mapping[str, Any]) -> DistillConfig:
    """Recommended configuration for distilling `dataset`, with `changes`.

    Raises ValueError for an unknown distiller or setting, or a value that is not allowed.
    """
    own = {**BASES.get(distiller, {}), **CHANGES.get((distiller, dataset), {})}
    return from_dict({"distiller": distiller, "dataset": dataset, **own, **changes})


def command(config: DistillConfig, name: str) -> str:
    """The command line that distils `config` into the store under `name`."""
    usual = distillation(config.distiller, config.dataset, {"images_per_class": config.images_per_class}).to_dict()
    options = {"dataset": config.dataset, "ipc": config.images_per_class, "steps": config.steps, "seed": config.seed}
    words = ["crossarch", "distill", config.distiller]
    for key, value in config.to_dict().items():
        if key not in (*options, "images_per_class") and value != usual[key]:
            words.append(f"{key}={value if isinstance(value, str) else json.dumps(value)}")
    for key, value in {**options, "name": name}.items():
        words += [f"--{key}", str(value)]
    return shlex.join(words)
