"""The parts of a run's description that stand alone: data, network, schedules, optimizer, augmentation.

Symbols, and what None means, are as in `config`.
"""

import re
from dataclasses import dataclass

from crossarch.trainables.data.catalog import DATASETS, WHITENINGS
from crossarch.trainables.settings import Settings, setting

AUGMENTATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
ARCHITECTURES = ("convnet", "resnet18", "resnet50", "alexnet", "vgg11")
FREPO_CHANNELS = (128, 256, 512)
TORCHVISION = "torchvision:"
"""Begins the names of torchvision's networks: `torchvision:mobilenet_v3_small`."""
AUXILIARY = (f"{TORCHVISION}googlenet", f"{TORCHVISION}inception_v3")
"""Those with auxiliary classifiers, which in training return several outputs."""


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """What the network is trained on: a distilled set, or a class-balanced subset of real images.

    Validation and test images are real, and whitened like the training images.
    """

    dataset: str = setting("data set", source="Sec. 4.1", choices=tuple(DATASETS))
    images_per_class: int = setting("training images of each class (IPC)", source="Sec. 4.1", unit="images", low=1)
    whitening: str = setting(
        "whitening of all images; a distilled set brings its own",
        source="notes, Whitening",
        default="channel",
        choices=tuple(WHITENINGS),
    )
    selection: str | None = setting(
        "how real images are chosen; None: at random, by the run's seed",
        source="ours: baselines of the field",
        default=None,
        choices=("kmeans", "herding"),
    )
    distilled: str | None = setting(
        "distilled set, by its name in the store; None for real images", source="Sec. 4.1", default=None
    )
    sha256: str | None = setting(
        "digest of the distilled set's contents, which the store knows; it is what makes the set itself",
        source="ours",
        default=None,
    )
    label_temperature: float | None = setting(
        "t: trained against softmax(y / t) of the set's soft labels y; None: against the labels as they are",
        source="App. C, Training: 0.3 for CIFAR-10, 0.04 for CIFAR-100, 0.02 for Tiny-ImageNet",
        default=None,
        above=0,
    )

    def __post_init__(self) -> None:
        """Raises ValueError also for a setting that real images, or distilled ones, do not have."""
        super().__post_init__()
        for name in ("sha256", "label_temperature"):
            if getattr(self, name) is not None and self.distilled is None:
                raise ValueError(f"{name} = {getattr(self, name)!r} is for distilled sets: leave it out")
        if self.selection is not None and self.distilled is not None:
            raise ValueError(f"selection = {self.selection!r} is for real images: leave it out")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 = {self.sha256!r} is not 64 hexadecimal digits")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Settings):
    """The network, in its CIFAR form."""

    architecture: str = setting(f"{', '.join(ARCHITECTURES)}, or {TORCHVISION}NAME", source="App. C, Models")
    width: float = setting(
        "factor on every channel count", source="ours; the paper's networks have 1", default=1.0, above=0, high=16
    )
    norm: str = setting(
        "normalisation layer: batch for FRePo's sets, instance for MTT's",
        source="App. C, Models",
        default="batch",
        choices=("batch", "instance", "group"),
    )
    groups: int | None = setting(
        "groups of each GroupNorm", source="notes: 4 in profile paper", unit="groups", default=None, low=1
    )
    channels_per_group: int | None = setting(
        "channels in each group of a GroupNorm, in place of `groups`",
        source="notes: 16 in profile released_code",
        unit="channels",
        default=None,
        low=1,
    )
    first_norm: str | None = setting(
        "normalisation of the first layer, where it is another",
        source="notes: the released code's AlexNet with DropPath",
        default=None,
        choices=("batch", "instance"),
    )
    conv_bias: bool = setting(
        "whether convolutions before a norm have a bias", source="notes: in profile released_code", default=False
    )
    channels: tuple[int, ...] | None = setting(
        "output channels of each ConvNet block, and so its depth; None is FRePo's (128, 256, 512), or not a ConvNet",
        source="App. C, Models",
        unit="channels",
        default=None,
        low=1,
    )
    shortcut: str | None = setting(
        "residual shortcut where shapes differ; None for networks without residual blocks of ours",
        source="Sec. 3.1, Fig. 2 (c), (d)",
        default=None,
        choices=("original", "improved"),
    )

    def __post_init__(self) -> None:
        """Raises ValueError also for a setting that the architecture does not have."""
        super().__post_init__()
        foreign = str(self.architecture).startswith(TORCHVISION)
        if self.architecture not in ARCHITECTURES and not foreign:
            known = f"{', '.join(ARCHITECTURES)}, {TORCHVISION}NAME"
            raise ValueError(f"architecture = {self.architecture!r} is not one of {known}")
        if self.architecture in AUXILIARY:
            raise ValueError(f"architecture = {self.architecture!r} has auxiliary classifiers, which have no loss here")
        residual = self.architecture.startswith("resnet")
        if residual and self.shortcut is None:
            raise ValueError(f"shortcut = None, but {self.architecture} needs original or improved")
        if not residual and self.shortcut is not None:
            raise ValueError(
                f"shortcut = {self.shortcut!r}, but {self.architecture} has no residual blocks: leave it out"
            )
        if self.channels == FREPO_CHANNELS:
            raise ValueError(f"channels = {self.channels!r} is the default: leave it out")
        if self.first_norm == self.norm:
            raise ValueError(f"first_norm = {self.first_norm!r} is what norm is: leave it out")
        if self.channels is not None and (self.architecture != "convnet" or not self.channels):
            raise ValueError(f"channels = {self.channels!r} is for a convnet of at least one block")
        if (self.norm == "group") != ((self.groups is None) != (self.channels_per_group is None)):
            raise ValueError("norm = 'group' needs either groups or channels_per_group, and other norms neither")
        ours = (self.width, self.norm, self.first_norm, self.conv_bias) == (1.0, "batch", None, False)
        if foreign and not ours:
            raise ValueError(f"{self.architecture} is torchvision's own: leave width, norm, first_norm, conv_bias out")


@dataclass(frozen=True, kw_only=True)
class PhasesConfig(Settings):
    """The epochs at which keep rate and periodical learning rate change."""

    warmup: int = setting("W, epochs before the keep rate falls", source="Alg. 1", unit="epochs", default=500, low=0)
    period: int = setting("T, epochs between two changes", source="Alg. 1, Eq. 3", unit="epochs", default=500, low=1)
    stabilization: int = setting(
        "S, epoch at which the final phase begins", source="Alg. 1, Eq. 3", unit="epochs", default=3000, low=1
    )

    def __post_init__(self) -> None:
        """Raises ValueError also where S does not come after W."""
        super().__post_init__()
        if self.stabilization <= self.warmup:
            raise ValueError(
                f"stabilization = {self.stabilization} must come after warmup = {self.warmup} (S > W in Alg. 1)"
            )


@dataclass(frozen=True, kw_only=True)
class KeepRateConfig(Settings):
    """DropPath's three-phase keep rate (Alg. 1): 1, then falling to the minimum, then the final rate."""

    minimum: float = setting("p_min, where the decay ends", source="Alg. 1, Fig. 4 (a)", default=0.5, above=0, high=1)
    final: float = setting("p_final, from epoch S on", source="Alg. 1, Table 3", default=0.8, above=0, high=1)
    decay: float = setting("gamma, lost each period", source="Alg. 1", default=0.1, above=0, high=1)
    blocks: tuple[str, ...] | None = setting(
        "modules to drop, by their names in the network; None for the paper's blocks of its networks",
        source="Sec. 3.1; ours for other networks",
        default=None,
    )

    def __post_init__(self) -> None:
        """Raises ValueError also for a list of blocks that is empty or repeats itself."""
        super().__post_init__()
        if self.blocks is not None and (not self.blocks or len(set(self.blocks)) < len(self.blocks)):
            raise ValueError(f"blocks = {self.blocks} must name one block at least, and none twice")


NEEDED = {"periodic": ("decay", "warmup", "cosine_period"), "cosine": (), "step": ("decay", "milestone")}
ALLOWED = {"periodic": NEEDED["periodic"], "cosine": ("warmup",), "step": NEEDED["step"]}
"""Settings of each learning rate schedule, beside `maximum` and `granularity`."""


@dataclass(frozen=True, kw_only=True)
class LearningRateConfig(Settings):
    """The learning rate over epochs."""

    schedule: str = setting(
        "periodic is Eq. 3; cosine goes once over the whole run, step falls once",
        source="Eq. 3, Table 4; step is the released code's baseline",
        choices=tuple(NEEDED),
    )
    maximum: float = setting("lr_max", source="App. C: 5e-5 with Lion; 5e-4 with AdamW", above=0, high=10)
    decay: float | None = setting(
        "lambda, factor a period; with step, factor at the milestone",
        source="Eq. 3, App. C: 0.8; notes: 0.1 for step",
        default=None,
        above=0,
        high=1,
    )
    warmup: int | None = setting(
        "T_warm, epochs of linear rise; cosine may have one, too",
        source="Eq. 3, App. C: 50; notes: 100 in profile released_code",
        unit="epochs",
        default=None,
        low=1,
    )
    cosine_period: int | None = setting(
        "T_max, epochs of the cosine; periodic only", source="Eq. 3, App. C: 1000", unit="epochs", default=None, low=1
    )
    milestone: int | None = setting(
        "epoch at which the rate falls; step only", source="notes: 500", unit="epochs", default=None, low=1
    )
    granularity: str = setting(
        "whether the rate changes every epoch, as printed, or every step, with the epoch as a real number",
        source="Eq. 3; notes: the released code steps per iteration",
        default="epoch",
        choices=("epoch", "step"),
    )

    def __post_init__(self) -> None:
        """Raises ValueError also where the schedule lacks a setting or has one it does not use."""
        super().__post_init__()
        for name in ("decay", "warmup", "cosine_period", "milestone"):
            value = getattr(self, name)
            if value is None and name in NEEDED[self.schedule]:
                raise ValueError(f"{name} = None, but the {self.schedule} schedule needs it")
            if value is not None and name not in ALLOWED[self.schedule]:
                raise ValueError(f"{name} = {value}, but the {self.schedule} schedule does not use it")
        if self.warmup is not None and self.cosine_period is not None and self.cosine_period <= self.warmup:
            raise ValueError(
                f"cosine_period = {self.cosine_period} must be greater than warmup = {self.warmup} (T_max > T_warm)"
            )


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Settings):
    """The optimizer; its learning rate is `learning_rate`."""

    name: str = setting("optimizer", source="Sec. 3.3, App. C", choices=("lion", "adamw", "sgd"))
    beta1: float = setting(
        "first momentum; of SGD the only one",
        source="App. C: 0.95 for Lion; 0.9 for AdamW",
        low=0,
        high=0.9999999,
    )
    beta2: float | None = setting(
        "second momentum; None for SGD",
        source="App. C: 0.98 for Lion; 0.999 for AdamW",
        default=None,
        low=0,
        high=0.9999999,
    )
    weight_decay: float = setting(
        "weight decay, decoupled but for SGD: p *= 1 - lr * weight_decay",
        source="App. C: 5e-3; baseline 5e-4",
        low=0,
        high=10,
    )

    def __post_init__(self) -> None:
        """Raises ValueError also where the optimizer lacks its second momentum or has none."""
        super().__post_init__()
        if (self.name == "sgd") != (self.beta2 is None):
            raise ValueError(
                f"beta2 = {self.beta2}, but {self.name} {'has none' if self.name == 'sgd' else 'needs it'}"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig(Settings):
    """k-fold augmentation: k different operations of the pool a batch, in random order."""

    folds: int = setting("k, operations a batch", source="Sec. 3.3, App. C", unit="operations", low=0, high=6)
    pool: tuple[str, ...] = setting(
        "operations to draw from", source="App. C, Augmentation", default=AUGMENTATIONS, choices=AUGMENTATIONS
    )

    def __post_init__(self) -> None:
        """Raises ValueError also where the pool is smaller than the folds or repeats itself."""
        super().__post_init__()
        if len(set(self.pool)) != len(self.pool):
            raise ValueError(f"pool = {self.pool} names an operation twice")
        if self.folds > len(self.pool):
            raise ValueError(f"folds = {self.folds} is more than the {len(self.pool)} operations of the pool")
