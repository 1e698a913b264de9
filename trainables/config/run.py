"""Configuration of one run: frozen pydantic models without unknown keys, sufficient to repeat the training.

All packages share these names: dotted names (`keep_rate.minimum`, `kd.alpha`) are the same here, on the command line,
in search spaces, in the ledger and in MLflow. A part with several forms is a tagged union with the discriminator
`data.kind`, `model.architecture`, `model.norm.kind`, `learning_rate.schedule` or `optimizer.name`; each form has only
the settings that it uses.

A part that does not apply is None: `keep_rate=None` without DropPath, `kd=None` without knowledge distillation, and
`phases` is set if and only if a schedule uses it. None is left out of a run's identity, so a new
setting that is off by default is None by default. Symbols are the paper's (Zhong & Liu, Alg. 1, Eq. 2, Eq. 3, App. C).
"""

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic.fields import FieldInfo

from crossarch.trainables.config.datasets import DATASETS, WHITENINGS, check_choice
from crossarch.trainables.config.errors import sentence
from crossarch.trainables.config.layers import merge_layers
from crossarch.trainables.config.part import Part, forms, setting

Operation = Literal["color", "crop", "cutout", "flip", "scale", "rotate"]
AUGMENTATIONS: tuple[Operation, ...] = typing.get_args(Operation)
"""The operations of DSA's pool (App. C, Augmentation)."""

FREPO_CHANNELS = (128, 256, 512)
"""Output channels of FRePo's ConvNet, block by block."""

TORCHVISION = "torchvision:"
"""Prefix of the names of torchvision's networks: `torchvision:mobilenet_v3_small`."""

AUXILIARY = (f"{TORCHVISION}googlenet", f"{TORCHVISION}inception_v3")
"""Torchvision networks with auxiliary classifiers: not supported, as they return several outputs in training."""


Names = Annotated[tuple[str, ...], Field(strict=False)]
"""Tuple of names; a list is converted."""


# Data


class _Data(Part):
    dataset: str = setting(f"real data set: {', '.join(DATASETS)}", source="Sec. 4.1")
    images_per_class: int = setting("training images of each class (IPC)", source="Sec. 4.1", unit="images", low=1)
    whitening: str = setting(
        f"whitening of all images: {', '.join(WHITENINGS)}; a distilled set brings its own",
        source="notes, Whitening",
        default="channel",
    )


class RealData(_Data):
    """A class-balanced subset of real training images."""

    kind: Literal["real"] = setting("tag of real images", source="Sec. 4.2")
    selection: Literal["kmeans", "herding"] | None = setting(
        "how the images are chosen; None: at random, by the run's seed",
        source="ours: baselines of the field",
        default=None,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_choice(self.dataset, self.whitening, self.images_per_class)
        return self


class DistilledData(_Data):
    """A distilled set from the store. Validation and test images are real, and whitened as the set is."""

    kind: Literal["distilled"] = setting("tag of distilled images", source="Sec. 4.1")
    distilled_set: str = setting("name of the set in the store", source="Sec. 4.1")
    sha256: str | None = setting(
        "SHA-256 of the set's contents, 64 hexadecimal digits; None until the set is looked up in the store",
        source="ours",
        default=None,
    )
    label_temperature: float | None = setting(
        "t: trained against softmax(y / t) of the set's soft labels y; None: against the labels as they are",
        source="App. C, Training: 0.3 for CIFAR-10, 0.04 for CIFAR-100, 0.02 for Tiny-ImageNet",
        default=None,
        above=0,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_choice(self.dataset, self.whitening)
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 = {self.sha256!r} is not 64 hexadecimal digits")
        return self


DataConfig = Annotated[RealData | DistilledData, Field(discriminator="kind")]


# Networks


class BatchNorm(Part):
    """Batch normalisation: FRePo's networks."""

    kind: Literal["batch"] = setting("tag of batch normalisation", source="App. C, Models", default="batch")


class InstanceNorm(Part):
    """Instance normalisation as MTT has it: group normalisation with one channel a group, affine."""

    kind: Literal["instance"] = setting("tag of instance normalisation", source="App. C, Models", default="instance")


class GroupNorm(Part):
    """Group normalisation with a fixed number of groups."""

    kind: Literal["group"] = setting("tag of group normalisation", source="App. C, Models", default="group")
    groups: int = setting("number of groups", source="notes: 4 in profile paper", unit="groups", low=1)


class ChannelGroupNorm(Part):
    """Group normalisation with groups of a fixed number of channels, at least one group."""

    kind: Literal["channel_group"] = setting(
        "tag of group normalisation by channels", source="App. C, Models", default="channel_group"
    )
    channels_per_group: int = setting(
        "channels of each group", source="notes: 16 in the released code", unit="channels", low=1
    )


def _named_norm(value: Any) -> Any:
    if isinstance(value, Part):
        return value.model_dump()
    return {"kind": value} if isinstance(value, str) else value


NormConfig = Annotated[
    BatchNorm | InstanceNorm | GroupNorm | ChannelGroupNorm, Field(discriminator="kind"), BeforeValidator(_named_norm)
]
"""Normalisation; may be abbreviated to its kind (`batch`, `instance`) if it has no other settings."""


class _Network(Part):
    drop_path_blocks: Names = setting(
        "modules that DropPath may drop, by their names in the network; none: the network's own blocks, which are "
        "residual blocks, and the paper's blocks of AlexNet and VGG11",
        source="Sec. 3.1; ours for other networks",
        default=(),
    )

    @model_validator(mode="after")
    def _check_blocks(self) -> Self:
        if len(set(self.drop_path_blocks)) < len(self.drop_path_blocks):
            raise ValueError(f"drop_path_blocks = {self.drop_path_blocks} names a module twice")
        return self


class _OwnNetwork(_Network):
    width: float = setting(
        "factor on every channel count", source="ours; the paper's networks have 1", default=1.0, above=0, high=16
    )
    norm: NormConfig = setting("normalisation", source="App. C, Models", default=BatchNorm())
    first_norm: NormConfig | None = setting(
        "normalisation of the first layer; None: as all others",
        source="notes: AlexNet with InstanceNorm and DropPath in the released code",
        default=None,
    )
    conv_bias: bool = setting(
        "whether convolutions have a bias although a norm follows", source="notes: released code", default=False
    )

    @model_validator(mode="before")
    @classmethod
    def _normalise_first_norm(cls, values: Any) -> Any:
        """Sets a first norm that equals `norm` to None, so that equal networks have equal configurations."""
        if not isinstance(values, Mapping):
            return values
        first, norm = values.get("first_norm"), values.get("norm", "batch")
        return {**values, "first_norm": None} if _named_norm(first) == _named_norm(norm) else values


class ConvNetConfig(_OwnNetwork):
    """The CNN of dataset distillation: blocks of 3x3 convolution, norm, ReLU and 2x2 average pooling."""

    architecture: Literal["convnet"] = setting("tag of the ConvNet", source="App. C, Models")
    channels: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)] = setting(
        "output channels of each block, at width 1",
        source="App. C, Models: FRePo 128, 256, 512; MTT 128, 128, 128",
        unit="channels",
        default=FREPO_CHANNELS,
    )

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        if not self.channels:
            raise ValueError("channels = () has none: a ConvNet is of at least one block")
        return self


class ResNetConfig(_OwnNetwork):
    """A ResNet in CIFAR form."""

    architecture: Literal["resnet18", "resnet50"] = setting("tag of the ResNets", source="App. C, Models")
    shortcut: Literal["original", "improved"] = setting(
        "residual shortcut where shapes differ", source="Sec. 3.1, Fig. 2 (c), (d)", default="original"
    )


class SingleBranchConfig(_OwnNetwork):
    """AlexNet or VGG11 in CIFAR form."""

    architecture: Literal["alexnet", "vgg11"] = setting("tag of the single-branch networks", source="App. C, Models")


class TorchvisionConfig(_Network):
    """A classifier of torchvision's, with its own widths and norms."""

    architecture: str = setting(f"{TORCHVISION}NAME", source="ours: networks that the paper has not")

    @model_validator(mode="after")
    def _check_architecture(self) -> Self:
        if self.architecture in AUXILIARY:
            raise ValueError(f"architecture = {self.architecture!r} has auxiliary classifiers, which have no loss here")
        return self


NETWORKS: dict[str, type[_Network]] = {
    name: network
    for network in (ConvNetConfig, ResNetConfig, SingleBranchConfig)
    for name in typing.get_args(network.model_fields["architecture"].annotation)
}
"""Configuration classes of crossarch's own networks by architecture."""


def _network_tag(value: Any) -> str | None:
    architecture = value.get("architecture") if isinstance(value, Mapping) else getattr(value, "architecture", None)
    if isinstance(architecture, str) and architecture.startswith(TORCHVISION):
        return TorchvisionConfig.__name__
    own = NETWORKS.get(architecture) if isinstance(architecture, str) else None
    return own.__name__ if own else None


ModelConfig = Annotated[
    Annotated[ConvNetConfig, Tag("ConvNetConfig")]
    | Annotated[ResNetConfig, Tag("ResNetConfig")]
    | Annotated[SingleBranchConfig, Tag("SingleBranchConfig")]
    | Annotated[TorchvisionConfig, Tag("TorchvisionConfig")],
    Discriminator(_network_tag),
]


# Schedules


class PhasesConfig(Part):
    """The epochs at which keep rate and periodical learning rate change."""

    warmup: int = setting("W, epochs before the keep rate falls", source="Alg. 1", unit="epochs", default=500, low=0)
    period: int = setting("T, epochs between two changes", source="Alg. 1, Eq. 3", unit="epochs", default=500, low=1)
    stabilization: int = setting(
        "S, epoch at which the final phase begins", source="Alg. 1, Eq. 3", unit="epochs", default=3000, low=1
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.stabilization <= self.warmup:
            raise ValueError(
                f"stabilization = {self.stabilization} must come after warmup = {self.warmup} (S > W in Alg. 1)"
            )
        return self


class KeepRateConfig(Part):
    """DropPath's three-phase keep rate (Alg. 1): 1, then falling to the minimum, then the final rate."""

    minimum: float = setting("p_min, where the decay ends", source="Alg. 1, Fig. 4 (a)", default=0.5, above=0, high=1)
    final: float = setting("p_final, from epoch S on", source="Alg. 1, Table 3", default=0.8, above=0, high=1)
    decay: float = setting("gamma, lost each period", source="Alg. 1", default=0.1, above=0, high=1)


class _LearningRate(Part):
    maximum: float = setting("lr_max", source="App. C: 5e-5 with Lion; 5e-4 with AdamW", above=0, high=10)
    granularity: Literal["epoch", "step"] = setting(
        "whether the rate changes every epoch, as printed, or every step, with the epoch as a real number",
        source="Eq. 3; notes: the released code steps per iteration",
        default="epoch",
    )


class PeriodicRate(_LearningRate):
    """The periodical learning rate (Eq. 3): a linear rise and a cosine that begin again at each change of phase."""

    schedule: Literal["periodic"] = setting("tag of the periodical rate", source="Eq. 3")
    decay: float = setting("lambda, factor a period", source="Eq. 3, App. C: 0.8", above=0, high=1)
    warmup: int = setting("T_warm, epochs of linear rise", source="Eq. 3, App. C: 50", unit="epochs", low=1)
    cosine_period: int = setting("T_max, epochs of the cosine", source="Eq. 3, App. C: 1000", unit="epochs", low=1)

    @model_validator(mode="after")
    def _check_period(self) -> Self:
        if self.cosine_period <= self.warmup:
            raise ValueError(
                f"cosine_period = {self.cosine_period} must be greater than warmup = {self.warmup} (T_max > T_warm)"
            )
        return self


class CosineRate(_LearningRate):
    """One half cosine over the whole run, after a linear rise if there is one (Table 4; the baseline's)."""

    schedule: Literal["cosine"] = setting("tag of the cosine", source="Table 4")
    warmup: int = setting(
        "epochs of linear rise; 0: none", source="notes: 100 in the released code", unit="epochs", default=0, low=0
    )


class StepRate(_LearningRate):
    """A rate that falls once (the released code's baseline)."""

    schedule: Literal["step"] = setting("tag of the rate that falls once", source="notes: released code's baseline")
    decay: float = setting("factor at the milestone", source="notes: 0.1", above=0, high=1)
    milestone: int = setting("epoch at which the rate falls", source="notes: 500", unit="epochs", low=1)


LearningRateConfig = Annotated[PeriodicRate | CosineRate | StepRate, Field(discriminator="schedule")]


# Optimizers


class _Optimizer(Part):
    weight_decay: float = setting(
        "weight decay: decoupled, p *= 1 - lr * weight_decay, but for SGD",
        source="App. C: 5e-3 with Lion; baseline 5e-4",
        low=0,
        high=10,
    )


class LionConfig(_Optimizer):
    """Lion (Sec. 3.3; Chen et al. 2023, Alg. 2)."""

    name: Literal["lion"] = setting("tag of Lion", source="Sec. 3.3, App. C")
    beta1: float = setting("weight of the momentum in the update", source="App. C", default=0.95, low=0, high=0.9999999)
    beta2: float = setting("decay of the momentum", source="App. C", default=0.98, low=0, high=0.9999999)


class AdamWConfig(_Optimizer):
    """AdamW (the baseline's)."""

    name: Literal["adamw"] = setting("tag of AdamW", source="App. C")
    beta1: float = setting("decay of the first moment", source="App. C", default=0.9, low=0, high=0.9999999)
    beta2: float = setting("decay of the second moment", source="App. C", default=0.999, low=0, high=0.9999999)


class SGDConfig(_Optimizer):
    """Stochastic gradient descent with momentum; weight decay is added to the gradient."""

    name: Literal["sgd"] = setting("tag of SGD", source="ours")
    momentum: float = setting("decay of the momentum", source="ours", default=0.9, low=0, high=0.9999999)


OptimizerConfig = Annotated[LionConfig | AdamWConfig | SGDConfig, Field(discriminator="name")]


# Augmentation and knowledge distillation


class AugmentationConfig(Part):
    """k-fold augmentation: k different operations of the pool a batch, in random order."""

    folds: int = setting("k, operations a batch", source="Sec. 3.3, App. C", unit="operations", low=0, high=6)
    pool: Annotated[tuple[Operation, ...], Field(strict=False)] = setting(
        "operations to draw from", source="App. C, Augmentation", default=AUGMENTATIONS
    )

    @model_validator(mode="after")
    def _check_pool(self) -> Self:
        if len(set(self.pool)) != len(self.pool):
            raise ValueError(f"pool = {self.pool} names an operation twice")
        if self.folds > len(self.pool):
            raise ValueError(f"folds = {self.folds} is more than the {len(self.pool)} operations of the pool")
        return self


class KnowledgeDistillationConfig(Part):
    """Knowledge distillation (Eq. 2) from a smaller network trained on the same data with the same seed."""

    alpha: float = setting("weight of the KL term", source="Eq. 2, App. C", default=0.5, low=0, high=1)
    temperature: float = setting("tau", source="Eq. 2, App. C", default=1.5, above=0)
    teacher: "RunConfig" = setting("the teacher's whole recipe; its seed is the student's", source="Sec. 3.2, App. C")
    teacher_weights: Literal["final", "best"] = setting(
        "the teacher after its final epoch, or at its best on test data",
        source="notes: best in profile released_code",
        default="final",
    )


class RunConfig(Part):
    """One run: a network, trained on a small set, tested on the whole test set."""

    data: DataConfig = setting("training set", source="Sec. 4")
    model: ModelConfig = setting("network", source="App. C, Models")
    learning_rate: LearningRateConfig = setting("learning rate", source="Eq. 3, Table 4")
    optimizer: OptimizerConfig = setting("optimizer; its learning rate is `learning_rate`", source="Sec. 3.3, App. C")
    augmentation: AugmentationConfig = setting("augmentation", source="App. C, Augmentation")
    phases: PhasesConfig | None = setting("epochs of change, if a schedule has any", source="Alg. 1", default=None)
    keep_rate: KeepRateConfig | None = setting("DropPath, or None for none", source="Alg. 1", default=None)
    kd: KnowledgeDistillationConfig | None = setting(
        "knowledge distillation, or None for none", source="Eq. 2", default=None
    )
    epochs: int = setting("N, passes over the training set", source="App. C: 4000", unit="epochs", low=1)
    batch_size: int = setting("images a step, at most the set's size", source="notes", unit="images", low=1)
    seed: int = setting(
        "of data subset, weights, batches, augmentation, drops", source="Table 7", default=0, low=0, high=2**31 - 1
    )
    test_evaluations: int = setting(
        "tests on the whole test set, evenly spaced to the final epoch; with more than one, the best is told, too",
        source="notes: 41 or 11 in profile released_code",
        unit="evaluations",
        default=1,
        low=1,
        high=1000,
    )
    precision: Literal["float32", "float64"] = setting("of weights and arithmetic", source="ours", default="float32")
    engine: Literal["reference", "fast", "fast_bfloat16"] = setting(
        "training loop: the readable one, the fast one, or the fast one with arithmetic in bfloat16",
        source="ours",
        default="reference",
    )

    @model_validator(mode="after")
    def _check_parts_together(self) -> Self:
        needs_phases = self.keep_rate is not None or isinstance(self.learning_rate, PeriodicRate)
        if needs_phases and self.phases is None:
            raise ValueError("phases = None, but keep_rate and the periodic learning rate need them")
        if not needs_phases and self.phases is not None:
            raise ValueError("phases is given, but neither keep_rate nor the periodic learning rate is: leave it out")
        if self.phases is not None and self.epochs > 2 * self.phases.stabilization:
            raise ValueError(
                f"epochs = {self.epochs} is more than twice phases.stabilization = {self.phases.stabilization}: "
                "Eq. 3 would begin again (N <= 2 S)"
            )
        if self.engine == "fast_bfloat16" and self.precision != "float32":
            raise ValueError(f"engine = 'fast_bfloat16' needs precision = 'float32', not {self.precision!r}")
        self._check_network()
        self._check_teacher()
        return self

    def _check_network(self) -> None:
        match self.model:
            case ConvNetConfig(channels=channels):
                side = DATASETS[self.data.dataset].resolution
                if side >> len(channels) == 0:
                    raise ValueError(
                        f"model.channels: {len(channels)} blocks are too many for images of {side} x {side} pixels"
                    )
                if self.keep_rate is not None and not self.model.drop_path_blocks:
                    raise ValueError("keep_rate is given, but a convnet is too shallow for DropPath (Sec. 4.1)")
            case TorchvisionConfig(architecture=name, drop_path_blocks=()) if self.keep_rate is not None:
                raise ValueError(
                    f"keep_rate is given, but {name} has no blocks of its own: name model.drop_path_blocks"
                )

    def _check_teacher(self) -> None:
        if self.kd is None:
            return
        if self.kd.teacher.data != self.data:
            raise ValueError("kd.teacher.data must be the student's data (App. C: trained on the same data set)")
        if self.kd.teacher.seed != self.seed:
            raise ValueError("kd.teacher.seed must be the student's seed: it draws the data they share")
        if self.kd.teacher_weights == "best" and self.kd.teacher.test_evaluations == 1:
            raise ValueError("kd.teacher_weights = 'best' needs kd.teacher.test_evaluations above 1")

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values for JSON."""
        return self.model_dump()

    def replace(self, changes: Mapping[str, Any]) -> "RunConfig":
        """A copy with `changes`, merged by `merge_layers`. A new seed is also given to the teacher.

        Raises ValueError, with one sentence, for an unknown name or a value that is not allowed.
        """
        values = merge_layers(self.to_dict(), changes)
        if "seed" in changes:
            _reseed_teachers(values, changes["seed"])
        return from_dict(values)

    def reseeded(self, seed: int) -> Self:
        """A copy with another seed, also for the teacher. Raises ValueError for a seed that is not allowed.

        The rest is not validated again, for speed: a study may have thousands of runs.
        """
        if type(seed) is not int:
            raise ValueError(f"seed = {seed!r} is not a whole number")
        if not 0 <= seed < 2**31:
            raise ValueError(f"seed = {seed!r} is outside [0, {2**31 - 1}]")
        if self.kd is None:
            return self.model_copy(update={"seed": seed})
        kd = self.kd.model_copy(update={"teacher": self.kd.teacher.reseeded(seed)})
        return self.model_copy(update={"seed": seed, "kd": kd})


KnowledgeDistillationConfig.model_rebuild()


# Plain mappings


def _reseed_teachers(values: dict[str, Any], seed: Any) -> None:
    kd = values.get("kd")
    while isinstance(kd, dict) and isinstance(kd.get("teacher"), dict):
        kd["teacher"]["seed"] = seed
        kd = kd["teacher"].get("kd")


def from_dict(values: Mapping[str, Any]) -> RunConfig:
    """The inverse of `RunConfig.to_dict`. Raises ValueError, with one sentence, for invalid names and values."""
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ValueError(sentence(error, RunConfig)) from error


def flatten(config: Part, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields dotted names and plain values in the order of declaration, without Nones and teachers."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, RunConfig):
            continue
        if isinstance(value, Part):
            yield from flatten(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value


def setting_fields(part: type[Part] = RunConfig, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yields dotted name and field of every plain setting, without teachers' settings.

    The forms of a union follow one another: a name in several forms (`model.width`) is yielded once per form.
    """
    for name, field in part.model_fields.items():
        inner = forms(field.annotation)
        if not inner:
            yield f"{prefix}{name}", field
        for form in inner:
            if form is not RunConfig:
                yield from setting_fields(form, f"{prefix}{name}.")
