"""Configuration of a dataset distillation, frozen, validated and sufficient to repeat it; and its identity."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from crossarch.trainables.config.datasets import DATASETS, WHITENINGS, check_choice
from crossarch.trainables.config.errors import sentence
from crossarch.trainables.config.identity import canonical
from crossarch.trainables.config.part import Part, setting

LABEL_TEMPERATURES = {"cifar10": 0.3, "cifar100": 0.04, "tiny_imagenet": 0.02, "digits": 0.3}
"""Temperature t of FRePo's labels, softmax(y / t), by data set: the paper's (App. C), and ours for digits.

For digits, a ConvNet trained on 1 image per class reached 89, 91, 93 and 94 % on the 95 validation images with t = 0.1,
0.2, 0.3 and 0.5 (mean of seeds 100 to 102). The last two are indistinguishable, and 0.3 is CIFAR-10's.
"""


class DistillConfig(Part):
    """Settings common to all distillers; each distiller has a subclass with its own settings."""

    distiller: str = setting("the method's name, in the store and on the command line", source="ours")
    dataset: str = setting(f"data set that is distilled: {', '.join(DATASETS)}", source="Sec. 4.1")
    images_per_class: int = setting("distilled images of each class (IPC)", source="Sec. 4.1", unit="images", low=1)
    whitening: str | None = setting(
        f"whitening of the images: {', '.join(WHITENINGS)}; None: frepo for colour images, channel for grey ones",
        source="FRePo, lib/dataset/dataloader.py: grey images are only standardised",
        default=None,
    )
    steps: int = setting("updates of the distilled images", source="FRePo: 500,000", unit="steps", low=1)
    label_temperature: float | None = setting(
        "t of softmax(y / t), by which the set is to be trained on; None: the data set's own",
        source="App. C, Training; ours for digits",
        default=None,
        above=0,
    )
    seed: int = setting("of images, networks and batches", source="ours", default=0, low=0, high=2**31 - 1)
    precision: Literal["float32", "float64"] = setting(
        "of images, weights and arithmetic", source="ours", default="float32"
    )

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        check_choice(self.dataset, self.whitening, self.images_per_class)
        return self

    def resolved(self) -> Self:
        """The configuration with every None replaced by the value of its default rule."""
        grey = DATASETS[self.dataset].channels == 1
        return self.model_copy(
            update={
                "whitening": self.whitening or ("channel" if grey else "frepo"),
                "label_temperature": self.label_temperature or LABEL_TEMPERATURES.get(self.dataset, 0.3),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, including the distiller's name."""
        return self.model_dump()


class FRePoConfig(DistillConfig):
    """FRePo (Zhou, Nezhadarya & Ba 2022); the defaults are its authors', with 500,000 steps and width 1."""

    distiller: Literal["frepo"] = setting("tag of FRePo", source="ours", default="frepo")

    learning_rate: float = setting(
        "of images and labels (LAMB) at the start; a cosine takes it to a tenth",
        source="FRePo, script/distill.py",
        default=3e-4,
        above=0,
        high=10,
    )
    batch_size: int = setting(
        "real images a step, at most all there are",
        source="FRePo, script/distill.py",
        unit="images",
        default=1024,
        low=1,
    )
    pool_size: int = setting(
        "networks in the pool", source="FRePo, Sec. 3.3", unit="networks", default=10, low=1, high=1000
    )
    pool_stagger: int = setting(
        "uses by which one network of the pool starts ahead of the one before",
        source="FRePo, lib/datadistillation/frepo.py: limit / size",
        unit="uses",
        default=10,
        low=0,
    )
    pool_limit: int = setting(
        "uses after which a network is made anew", source="FRePo, Sec. 3.3", unit="uses", default=100, low=1
    )
    online_learning_rate: float = setting(
        "of the pool's networks (Adam)", source="FRePo, script/distill.py", default=3e-4, above=0, high=10
    )
    online_batch_size: int = setting(
        "distilled images that a network of the pool is trained on at once, at most all",
        source="FRePo, script/distill.py",
        unit="images",
        default=1000,
        low=2,
    )
    width: float = setting(
        "factor on the networks' channels 128, 256, 512", source="FRePo has 1", default=1.0, above=0, high=16
    )
    mirror: bool | None = setting(
        "whether each distilled image stands for its mirror image, too; None: FRePo's rule",
        source="FRePo, script/distill.py",
        default=None,
    )
    learn_labels: bool = setting("whether labels are learned, too", source="FRePo, Sec. 3", default=True)
    margin_weight: float = setting(
        "of the label margin in the loss", source="FRePo, lib/datadistillation/frepo.py", default=1.0, low=0
    )
    ridge: float = setting(
        "of the regression, in units of the kernel's mean diagonal entry", source="FRePo", default=1e-6, above=0
    )

    def resolved(self) -> Self:
        """As `DistillConfig.resolved`, and with `mirror` from FRePo's rule."""
        mirror = mirrors(self.dataset, self.images_per_class) if self.mirror is None else self.mirror
        return super().resolved().model_copy(update={"mirror": mirror})


def mirrors(dataset: str, images_per_class: int) -> bool:
    """FRePo's mirroring rule: CIFAR-10 always, CIFAR-100 and Tiny-ImageNet at 1 image per class, digits never."""
    return dataset == "cifar10" or (dataset in ("cifar100", "tiny_imagenet") and images_per_class == 1)


CONFIGS: dict[str, type[DistillConfig]] = {"frepo": FRePoConfig}
"""Configuration classes by distiller."""


def from_dict(values: Mapping[str, Any]) -> DistillConfig:
    """The inverse of `DistillConfig.to_dict`.

    Raises ValueError, in one sentence, for an unknown distiller, an unknown or missing setting, or a value that is
    not allowed.
    """
    name = values.get("distiller")
    if name not in CONFIGS:
        raise ValueError(f"distiller = {name!r} is not one of {', '.join(CONFIGS)}")
    try:
        return CONFIGS[name].model_validate(values)
    except ValidationError as error:
        raise ValueError(sentence(error, CONFIGS[name])) from error


METHOD_VERSIONS = {"frepo": 1}
"""Incremented when an unchanged configuration gives a different distilled set."""


def distill_digest(config: DistillConfig) -> str:
    """SHA-256 (64 hexadecimal digits) of everything that can change the result, including the seed.

    It is computed from the resolved configuration: None and the value of its default rule give the same digest.
    """
    identity = {
        "distiller": config.distiller,
        "method_version": METHOD_VERSIONS[config.distiller],
        "data_digest": DATASETS[config.dataset].digest,
        "config": canonical(config.resolved().to_dict()),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def distill_id(config: DistillConfig) -> str:
    """Name of a dataset distillation in MLflow and the file system: `<distiller>-<digest, 16 digits>-s<seed>`."""
    return f"{config.distiller}-{distill_digest(config)[:16]}-s{config.seed}"
