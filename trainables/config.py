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

from crossarch.trainables.data.catalog import DATASETS, check_choice
from crossarch.trainables.parts import (
    TORCHVISION,
    AugmentationConfig,
    DataConfig,
    KeepRateConfig,
    LearningRateConfig,
    ModelConfig,
    OptimizerConfig,
    PhasesConfig,
)
from crossarch.trainables.settings import Part, Settings, check_kind, check_value, setting


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
