"""The description of one distillation: frozen, validated, and complete enough to distil again; and its identity."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from crossarch.trainables.config.datasets import DATASETS, WHITENINGS, check_choice
from crossarch.trainables.config.identity import canonical
from crossarch.trainables.config.run import Settings, setting

LABEL_TEMPERATURES = {"cifar10": 0.3, "cifar100": 0.04, "tiny_imagenet": 0.02, "digits": 0.3}
"""t by which networks are trained on FRePo's labels, softmax(y / t): the paper's (App. C), and for digits ours.

For digits 0.1, 0.2, 0.3 and 0.5 were tried: a ConvNet trained on 1 image a class got 89, 91, 93 and 94 % of the 95
validation images (mean of seeds 100 to 102). The last two cannot be told apart, and 0.3 is CIFAR-10's.
"""


@dataclass(frozen=True, kw_only=True)
class DistillConfig(Settings):
    """What all distillers have in common; the settings of each are a subclass of it."""

    distiller: ClassVar[str]
    """The method's name, in the store and on the command line."""

    dataset: str = setting("data set that is distilled", source="Sec. 4.1", choices=tuple(DATASETS))
    images_per_class: int = setting("distilled images of each class (IPC)", source="Sec. 4.1", unit="images", low=1)
    whitening: str | None = setting(
        "space the images are learned in; None: frepo for colour images, channel for grey ones",
        source="FRePo, lib/dataset/dataloader.py: grey images are only standardised",
        default=None,
        choices=tuple(WHITENINGS),
    )
    steps: int = setting("updates of the distilled images", source="FRePo: 500,000", unit="steps", low=1)
    label_temperature: float | None = setting(
        "t of softmax(y / t), by which the set is to be trained on; None: the data set's own",
        source="App. C, Training; ours for digits",
        default=None,
        above=0,
    )
    seed: int = setting("of images, networks and batches", source="ours", default=0, low=0, high=2**31 - 1)
    precision: str = setting(
        "of images, weights and arithmetic", source="ours", default="float32", choices=("float32", "float64")
    )

    def __post_init__(self) -> None:
        """Raises ValueError also for a whitening or a number of images that the data set does not have."""
        super().__post_init__()
        check_choice(self.dataset, self.whitening, self.images_per_class)

    def resolved(self) -> Self:
        """The same distillation with nothing left to a rule: what None stands for, written out."""
        grey = DATASETS[self.dataset].channels == 1
        return dataclasses.replace(
            self,
            whitening=self.whitening or ("channel" if grey else "frepo"),
            label_temperature=self.label_temperature or LABEL_TEMPERATURES.get(self.dataset, 0.3),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, the distiller's name among them."""
        return {"distiller": self.distiller, **dataclasses.asdict(self)}


@dataclass(frozen=True, kw_only=True)
class FRePoConfig(DistillConfig):
    """FRePo (Zhou, Nezhadarya & Ba 2022); the defaults are its authors', with 500,000 steps and width 1."""

    distiller: ClassVar[str] = "frepo"

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
        """As every distiller's, with the rule of mirroring applied."""
        mirror = mirrors(self.dataset, self.images_per_class) if self.mirror is None else self.mirror
        return dataclasses.replace(super().resolved(), mirror=mirror)


def mirrors(dataset: str, images_per_class: int) -> bool:
    """FRePo's rule: CIFAR-10 always, CIFAR-100 and Tiny-ImageNet at 1 image a class, digits never."""
    return dataset == "cifar10" or (dataset in ("cifar100", "tiny_imagenet") and images_per_class == 1)


CONFIGS: dict[str, type[DistillConfig]] = {config.distiller: config for config in (FRePoConfig,)}
"""The settings of each distiller by its name."""


def from_dict(values: Mapping[str, Any]) -> DistillConfig:
    """The inverse of `DistillConfig.to_dict`.

    Raises ValueError, in one sentence, for an unknown distiller, an unknown or missing setting, or a value that is
    not allowed.
    """
    given = dict(values)
    name = given.pop("distiller", None)
    if name not in CONFIGS:
        raise ValueError(f"distiller = {name!r} is not one of {', '.join(CONFIGS)}")
    fields = {field.name: field for field in dataclasses.fields(CONFIGS[name])}
    unknown = [key for key in given if key not in fields]
    if unknown:
        raise ValueError(f"{unknown[0]} is unknown; known to {name}: {', '.join(fields)}")
    missing = [key for key, field in fields.items() if field.default is dataclasses.MISSING and given.get(key) is None]
    if missing:
        raise ValueError(f"{missing[0]} is missing, but a distillation needs it")
    return CONFIGS[name](**given)


METHOD_VERSIONS = {"frepo": 1}
"""Raised whenever the same configuration would distil to another set."""


def distill_digest(config: DistillConfig) -> str:
    """64 hexadecimal digits of SHA-256 over all that can change the result, the seed included.

    A rule's outcome, written out, is the same configuration.
    """
    identity = {
        "distiller": config.distiller,
        "method_version": METHOD_VERSIONS[config.distiller],
        "data_digest": DATASETS[config.dataset].digest,
        "config": canonical(config.resolved().to_dict()),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def distill_id(config: DistillConfig) -> str:
    """The name of a distillation in MLflow and the file system: `<distiller>-<digest>-s<seed>`."""
    return f"{config.distiller}-{distill_digest(config)[:16]}-s{config.seed}"
