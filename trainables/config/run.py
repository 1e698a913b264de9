"""The description of one run: frozen, validated, and complete enough to train it again.

This is the vocabulary that all three rooms share, in the standard library alone. Dotted names
(`keep_rate.minimum`, `kd.alpha`) are the same here, in search spaces, in the ledger and in MLflow.

A part that does not apply is `None`, never a set of neutral values, so that one run has one description:
no DropPath is `keep_rate=None`, no distillation is `kd=None`, and `phases` is there exactly when a schedule
uses it. Symbols are the paper's (Zhong & Liu, Alg. 1, Eq. 2, Eq. 3, App. C).
"""

import copy
import dataclasses
import functools
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from types import UnionType
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from crossarch.trainables.config.datasets import DATASETS, WHITENINGS, check_choice


def setting(
    meaning: str,
    *,
    source: str,
    default: Any = MISSING,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A documented field: `low` and `high` are allowed values, `above` is an excluded lower bound.

    A field with a lower bound is a number; None is allowed only where it is the default.
    """
    metadata = {
        "meaning": meaning,
        "source": source,
        "unit": unit,
        "low": low,
        "high": high,
        "above": above,
        "choices": choices,
    }
    return dataclasses.field(default=default, metadata=metadata)


class Settings:
    """What every part of a configuration does: check its values against what its fields allow."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __post_init__(self) -> None:
        """Raises ValueError, in one sentence, for a value outside what its field allows."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is not None:
                raise ValueError(f"{field.name} = None, but a run needs it")
            for item in value if isinstance(value, tuple) else (value,):
                if item is not None and not isinstance(item, Settings):
                    check_value(field, item)
            if value is not None:
                check_kind(field, value)


Part = TypeVar("Part", bound=Settings)


def check_value(field: dataclasses.Field[Any], value: Any) -> None:
    """Raises ValueError where `value` is none of the field's choices, no number, not finite, or out of its bounds."""
    rules = field.metadata
    if rules["choices"] and value not in rules["choices"]:
        raise ValueError(f"{field.name} = {value!r} is not one of {', '.join(rules['choices'])}")
    if rules["low"] is None and rules["above"] is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{field.name} = {value!r} is not a number in {allowed_range(rules)}")
    in_range = (
        abs(value) <= sys.float_info.max  # a whole number may be more than any float
        and (rules["low"] is None or value >= rules["low"])
        and (rules["high"] is None or value <= rules["high"])
        and (rules["above"] is None or value > rules["above"])
    )
    if not in_range:
        raise ValueError(f"{field.name} = {value!r} is outside {allowed_range(rules)}")


def check_kind(field: dataclasses.Field[Any], value: Any) -> None:
    """Raises ValueError where `value` is a list and the field is not, or the other way round, or of another kind."""
    annotation: Any = field.type
    kind = _kind(annotation)
    if kind.is_list != isinstance(value, tuple):
        raise ValueError(f"{field.name} = {value!r} is not {'a list' if kind.is_list else 'a single value'}")
    if kind.is_list and None in value:
        raise ValueError(f"{field.name} = {value!r} has an empty entry")
    single = value if kind.is_list else (value,)
    if kind.is_flag and not isinstance(value, bool):
        raise ValueError(f"{field.name} = {value!r} is neither true nor false")
    if kind.is_text and any(not isinstance(item, str) for item in single):
        raise ValueError(f"{field.name} = {value!r} is not {'a list of names' if kind.is_list else 'a name'}")
    if kind.is_whole and any(not isinstance(item, int) for item in single):
        raise ValueError(
            f"{field.name} = {value!r} is not {'a list of whole numbers' if kind.is_list else 'a whole number'}"
        )


class _Kind(NamedTuple):
    """What a field's annotation allows, beside None."""

    is_list: bool
    is_flag: bool
    is_text: bool
    is_whole: bool


@functools.cache
def _kind(annotation: Any) -> _Kind:
    kinds = set(typing.get_args(annotation)) - {type(None)} if isinstance(annotation, UnionType) else {annotation}
    lists = [kind for kind in kinds if typing.get_origin(kind) is tuple]

    def holds(kind: type) -> bool:
        return kind in kinds or any(kind in typing.get_args(each) for each in lists)

    return _Kind(is_list=bool(lists), is_flag=bool in kinds, is_text=holds(str), is_whole=holds(int))


def allowed_range(rules: Mapping[str, Any]) -> str:
    """The interval a field allows, as mathematics writes it: `(0, 1]`."""
    left = f"[{rules['low']}" if rules["low"] is not None else f"({rules['above']}"
    return f"{left}, {rules['high']}]" if rules["high"] is not None else f"{left}, inf)"


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


@dataclass(frozen=True, kw_only=True)
class DistillationConfig(Settings):
    """Knowledge distillation (Eq. 2) from a smaller network trained on the same data with the same seed."""

    alpha: float = setting("weight of the KL term", source="Eq. 2, App. C", default=0.5, low=0, high=1)
    temperature: float = setting("tau", source="Eq. 2, App. C", default=1.5, above=0)
    teacher: "RunConfig" = setting("the teacher's whole recipe; its seed is the student's", source="Sec. 3.2, App. C")
    teacher_weights: str = setting(
        "the teacher after its final epoch, or at its best on test data",
        source="notes: best in profile released_code",
        default="final",
        choices=("final", "best"),
    )


@dataclass(frozen=True, kw_only=True)
class RunConfig(Settings):
    """One run: a network, trained on a small set, tested on the whole test set."""

    data: DataConfig = setting("training set", source="Sec. 4")
    model: ModelConfig = setting("network", source="App. C, Models")
    learning_rate: LearningRateConfig = setting("learning rate", source="Eq. 3")
    optimizer: OptimizerConfig = setting("optimizer", source="App. C, Optimizer")
    augmentation: AugmentationConfig = setting("augmentation", source="App. C, Augmentation")
    phases: PhasesConfig | None = setting("epochs of change, if a schedule has any", source="Alg. 1", default=None)
    keep_rate: KeepRateConfig | None = setting("DropPath, or None for none", source="Alg. 1", default=None)
    kd: DistillationConfig | None = setting("distillation, or None for none", source="Eq. 2", default=None)
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
    precision: str = setting(
        "of weights and arithmetic", source="ours", default="float32", choices=("float32", "float64")
    )
    engine: str = setting(
        "training loop: the readable one, the fast one, or the fast one with arithmetic in bfloat16",
        source="ours",
        default="reference",
        choices=("reference", "fast", "fast_bfloat16"),
    )

    def __post_init__(self) -> None:
        """Raises ValueError also for parts that contradict each other."""
        super().__post_init__()
        needs_phases = self.keep_rate is not None or self.learning_rate.schedule == "periodic"
        if needs_phases and self.phases is None:
            raise ValueError("phases = None, but keep_rate and the periodic learning rate need them")
        if not needs_phases and self.phases is not None:
            raise ValueError("phases is given, but neither keep_rate nor the periodic learning rate is: leave it out")
        if self.phases is not None and self.epochs > 2 * self.phases.stabilization:
            raise ValueError(
                f"epochs = {self.epochs} is more than twice phases.stabilization = {self.phases.stabilization}: "
                "Eq. 3 would begin again (N <= 2 S)"
            )
        if self.keep_rate is not None and self.keep_rate.blocks is None:
            if self.model.architecture == "convnet":
                raise ValueError("keep_rate is given, but a convnet is too shallow for DropPath (Sec. 4.1)")
            if self.model.architecture.startswith(TORCHVISION):
                raise ValueError(f"keep_rate.blocks = None, but {self.model.architecture} needs its blocks named")
        if self.engine == "fast_bfloat16" and self.precision != "float32":
            raise ValueError(f"engine = 'fast_bfloat16' needs precision = 'float32', not {self.precision!r}")
        self._check_data()
        self._check_teacher()

    def _check_data(self) -> None:
        facts = DATASETS[self.data.dataset]
        blocks = len(self.model.channels or ())
        if facts.resolution >> blocks == 0:
            side = facts.resolution
            raise ValueError(f"model.channels: {blocks} blocks are too many for images of {side} x {side} pixels")
        real = self.data.images_per_class if self.data.distilled is None else None
        check_choice(self.data.dataset, self.data.whitening, real, "data.")

    def _check_teacher(self) -> None:
        if self.kd is None:
            return
        if self.kd.teacher.data != self.data:
            raise ValueError("kd.teacher.data must be the student's data (App. C: trained on the same data set)")
        if self.kd.teacher.seed != self.seed:
            raise ValueError("kd.teacher.seed must be the student's seed: it draws the data they share")
        if self.kd.teacher_weights == "best" and self.kd.teacher.test_evaluations == 1:
            raise ValueError("kd.teacher_weights = 'best' needs kd.teacher.test_evaluations above 1")

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with `changes` by dotted name; a value is a scalar, or a mapping or None for a whole part.

        Raises ValueError for an unknown name or a value that is not allowed. A new seed is the teacher's too.
        """
        values = self.to_dict()
        for name, value in changes.items():
            set_dotted(values, name, value)
        kd = values["kd"]
        if "seed" in changes and isinstance(kd, dict) and isinstance(kd.get("teacher"), dict):
            kd["teacher"] = _build(RunConfig, kd["teacher"], "kd.teacher.").replace({"seed": changes["seed"]}).to_dict()
        return _build(type(self), values, "")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, ready for JSON."""
        return _plain(self)

    def reseeded(self, seed: int) -> Self:
        """A copy with another seed, its teacher's too. Raises ValueError for a seed that is not allowed.

        All else has been checked, and is not again: a study has thousands of seeds and cells.
        """
        field = self.__dataclass_fields__["seed"]
        check_value(field, seed)
        check_kind(field, seed)
        changed = copy.copy(self)
        object.__setattr__(changed, "seed", seed)
        if self.kd is not None:
            taught = copy.copy(self.kd)
            object.__setattr__(taught, "teacher", self.kd.teacher.reseeded(seed))
            object.__setattr__(changed, "kd", taught)
        return changed


PARTS: dict[str, type[Settings]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "phases": PhasesConfig,
    "keep_rate": KeepRateConfig,
    "learning_rate": LearningRateConfig,
    "optimizer": OptimizerConfig,
    "augmentation": AugmentationConfig,
    "kd": DistillationConfig,
    "teacher": RunConfig,
}


def _plain(settings: Settings) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    return {name: _plain(value) if isinstance(value, Settings) else value for name, value in values.items()}


def from_dict(values: Mapping[str, Any]) -> RunConfig:
    """The inverse of `RunConfig.to_dict`. Raises ValueError for unknown or missing names and for bad values."""
    return _build(RunConfig, values, "")


def _build(part: type[Part], values: Mapping[str, Any], where: str) -> Part:
    fields = part.__dataclass_fields__
    unknown = sorted(values.keys() - fields.keys())
    if unknown:
        raise ValueError(f"{where}{unknown[0]} is unknown; known here: {', '.join(sorted(fields))}")
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in values]
    if missing:
        raise ValueError(f"{where}{missing[0]} is missing, but a run needs it")
    built = {}
    for name, value in values.items():
        if name in PARTS and isinstance(value, Mapping):
            value = _build(PARTS[name], value, f"{where}{name}.")
        elif name in PARTS and value is not None:
            raise ValueError(f"{where}{name} = {value!r} is not allowed: it has settings of its own, by name")
        built[name] = tuple(value) if isinstance(value, list) else value
    try:
        return part(**built)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error


def set_dotted(values: dict[str, Any], name: str, value: Any) -> None:
    """Sets `values["a"]["b"] = value` for the name `a.b`. Raises ValueError where `a` is no part of it."""
    *parents, last = name.split(".")
    here = values
    for parent in parents:
        if here.get(parent) is None and parent in PARTS:
            here[parent] = {}
        inner = here.get(parent)
        if not isinstance(inner, dict):
            raise ValueError(f"{name} is unknown: {parent} is not a part of the configuration")
        here = inner
    here[last] = copy.deepcopy(dict(value)) if isinstance(value, Mapping) else value


def flatten(config: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and scalar values, in the order of declaration. Absent parts and teachers yield nothing."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, RunConfig):
            continue
        if isinstance(value, Settings):
            yield from flatten(value, f"{prefix}{field.name}.")
        elif value is not None:
            yield f"{prefix}{field.name}", value
