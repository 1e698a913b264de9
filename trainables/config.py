"""The description of one run: frozen, validated, and complete enough to train it again.

This is the vocabulary that all three rooms share, in the standard library alone. Dotted names
(`keep_rate.minimum`, `kd.alpha`) are the same here, in search spaces, in the ledger and in MLflow.

A part that does not apply is `None`, never a set of neutral values, so that one run has one description:
no DropPath is `keep_rate=None`, no distillation is `kd=None`, and `phases` is there exactly when a schedule
uses it. Symbols are the paper's (Zhong & Liu, Alg. 1, Eq. 2, Eq. 3, App. C).
"""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from crossarch.trainables.data.catalog import DATASETS
from crossarch.trainables.settings import Part, Settings, setting

AUGMENTATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
ARCHITECTURES = ("convnet", "resnet18")


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """What the network is trained on: a class-balanced random subset of real images, drawn by the run's seed."""

    dataset: str = setting("data set", source="Sec. 4.1", choices=tuple(DATASETS))
    images_per_class: int = setting("training images of each class (IPC)", source="Sec. 4.1", unit="images", low=1)


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Settings):
    """The network, in its CIFAR form."""

    architecture: str = setting("network", source="App. C, Models", choices=ARCHITECTURES)
    width: float = setting(
        "factor on every channel count", source="ours; the paper's networks have 1", default=1.0, above=0, high=16
    )
    norm: str = setting(
        "normalisation layer: batch for FRePo's sets, instance for MTT's",
        source="App. C, Models",
        default="batch",
        choices=("batch", "instance"),
    )
    channels: tuple[int, ...] | None = setting(
        "output channels of each ConvNet block, and so its depth; None is FRePo's (128, 256, 512), or not a ConvNet",
        source="App. C, Models",
        unit="channels",
        default=None,
        low=1,
    )
    shortcut: str | None = setting(
        "residual shortcut where shapes differ; None for networks without residual blocks",
        source="Sec. 3.1, Fig. 2 (c), (d)",
        default=None,
        choices=("original", "improved"),
    )

    def __post_init__(self) -> None:
        """Raises ValueError also for a setting that the architecture does not have."""
        super().__post_init__()
        residual = self.architecture.startswith("resnet")
        if residual and self.shortcut is None:
            raise ValueError(f"shortcut = None, but {self.architecture} needs original or improved")
        if not residual and self.shortcut is not None:
            raise ValueError(
                f"shortcut = {self.shortcut!r}, but {self.architecture} has no residual blocks: leave it out"
            )
        if self.channels is not None and (self.architecture != "convnet" or not self.channels):
            raise ValueError(f"channels = {self.channels!r} is for a convnet of at least one block")


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


@dataclass(frozen=True, kw_only=True)
class LearningRateConfig(Settings):
    """The learning rate over epochs: Eq. 3's periodical one, or one cosine over the whole run."""

    schedule: str = setting(
        "periodic is Eq. 3, cosine is the baseline's", source="Eq. 3, Table 4", choices=("periodic", "cosine")
    )
    maximum: float = setting("lr_max", source="App. C: 5e-5 with Lion; 5e-4 with AdamW", above=0, high=10)
    decay: float | None = setting(
        "lambda, factor a period; periodic only", source="Eq. 3, App. C: 0.8", default=None, above=0, high=1
    )
    warmup: int | None = setting(
        "T_warm, epochs of linear rise; periodic only", source="Eq. 3, App. C: 50", unit="epochs", default=None, low=1
    )
    cosine_period: int | None = setting(
        "T_max, epochs of the cosine; periodic only", source="Eq. 3, App. C: 1000", unit="epochs", default=None, low=1
    )

    def __post_init__(self) -> None:
        """Raises ValueError also where the schedule lacks a setting or has one it does not use."""
        super().__post_init__()
        for name in ("decay", "warmup", "cosine_period"):
            if (self.schedule == "periodic") != (getattr(self, name) is not None):
                needs = "needs" if self.schedule == "periodic" else "does not use"
                raise ValueError(f"{name} = {getattr(self, name)}, but the {self.schedule} schedule {needs} it")
        if self.warmup is not None and self.cosine_period is not None and self.cosine_period <= self.warmup:
            raise ValueError(
                f"cosine_period = {self.cosine_period} must be greater than warmup = {self.warmup} (T_max > T_warm)"
            )


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Settings):
    """The optimizer; its learning rate is `learning_rate`."""

    name: str = setting("optimizer", source="Sec. 3.3, App. C", choices=("lion", "adamw"))
    beta1: float = setting("first momentum", source="App. C: 0.95 for Lion; 0.9 for AdamW", low=0, high=0.9999999)
    beta2: float = setting("second momentum", source="App. C: 0.98 for Lion; 0.999 for AdamW", low=0, high=0.9999999)
    weight_decay: float = setting(
        "decoupled weight decay: p *= 1 - lr * weight_decay", source="App. C: 5e-3; baseline 5e-4", low=0, high=10
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
    precision: str = setting(
        "of weights and arithmetic", source="ours", default="float32", choices=("float32", "float64")
    )
    engine: str = setting("training loop", source="ours", default="reference", choices=("reference",))

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
        if self.keep_rate is not None and self.model.architecture == "convnet":
            raise ValueError("keep_rate is given, but a convnet is too shallow for DropPath (Sec. 4.1): leave it out")
        available = DATASETS[self.data.dataset].images_per_class
        if self.data.images_per_class > available:
            raise ValueError(
                f"data.images_per_class = {self.data.images_per_class} is more than the {available} "
                f"that every class of {self.data.dataset} has"
            )
        if self.kd is not None and self.kd.teacher.data != self.data:
            raise ValueError("kd.teacher.data must be the student's data (App. C: trained on the same data set)")
        if self.kd is not None and self.kd.teacher.seed != self.seed:
            raise ValueError("kd.teacher.seed must be the student's seed: it draws the data they share")

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
        return dataclasses.asdict(self)


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


def from_dict(values: Mapping[str, Any]) -> RunConfig:
    """The inverse of `RunConfig.to_dict`. Raises ValueError for unknown or missing names and for bad values."""
    return _build(RunConfig, values, "")


def _build(part: type[Part], values: Mapping[str, Any], where: str) -> Part:
    fields = {field.name: field for field in dataclasses.fields(part)}
    unknown = sorted(set(values) - set(fields))
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
