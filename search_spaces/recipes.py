"""Training recipes: an arm as changes to a base configuration, the arms of Table 1, two readings of the paper."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Changes = Mapping[str, Any]
"""New values by dotted name, as `RunConfig.replace` takes them."""


def merged(*layers: Changes) -> dict[str, Any]:
    """Changes made one after another: a later one to a whole part undoes the earlier ones to its settings."""
    changes: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            for undone in [earlier for earlier in changes if f"{earlier}.".startswith(f"{name}.")]:
                del changes[undone]
            changes[name] = value
    return changes


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A training recipe: changes to the base configuration, and a row of the table."""

    name: str
    label: str
    changes: Changes
    network_changes: Mapping[str, Changes] = field(default_factory=dict)
    """Further changes for some networks only, by architecture."""
    teacher: "Arm | None" = None
    """The recipe of the network that teaches; None where the arm distils no knowledge."""
    for_teacher: bool = True
    """Whether the arm applies to the teacher's architecture: DropPath and distillation do not (Sec. 4.1)."""
    networks: tuple[str, ...] | None = None
    """The networks, by label, to which alone the arm applies; None for all."""
    teacher_network: str | None = None
    """The network that teaches, by label; None for the study's teacher."""
    exact: Changes = field(default_factory=dict)
    """Changes made last of all, after the budget has scaled the epochs."""

    def changed(self, changes: Changes) -> "Arm":
        """The arm with further `changes`, made after all of its own, those for some networks included."""
        networks = {name: merged(own, changes) for name, own in self.network_changes.items()}
        return dataclasses.replace(self, changes=merged(self.changes, changes), network_changes=networks)

    def named(self, name: str, label: str, **parts: Any) -> "Arm":
        """The arm under another name and label, with new `parts`, its fields by name."""
        return dataclasses.replace(self, name=name, label=label, **parts)

    def applies(self, network: str, teacher: str) -> bool:
        """Whether the arm applies to a network, by label, in a study in which `teacher` teaches."""
        return (self.for_teacher or network != teacher) and (self.networks is None or network in self.networks)


RESIDUAL = ("resnet18", "resnet50")
IMPROVED = {name: {"model.shortcut": "improved"} for name in RESIDUAL}
"""Arms with DropPath have the improved shortcut (Sec. 3.1); the others keep the original one."""

BASELINE_CHANGES: dict[str, Any] = {
    "epochs": 1000,
    "learning_rate": {"schedule": "cosine", "maximum": 5e-4},
    "optimizer": {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 5e-4},
    "augmentation.folds": 1,
}

LION: dict[str, Any] = {"name": "lion", "beta1": 0.95, "beta2": 0.98, "weight_decay": 5e-3}

MISC_CHANGES: dict[str, Any] = {
    "epochs": 4000,
    "phases": {"warmup": 500, "period": 500, "stabilization": 3000},
    "learning_rate": {"schedule": "periodic", "maximum": 5e-5, "decay": 0.8, "warmup": 50, "cosine_period": 1000},
    "optimizer": LION,
}
"""The methods of Sec. 3.3. The folds depend on the images per class: they are the study's, in its base."""

FINAL_EPOCHS = MISC_CHANGES["epochs"] - MISC_CHANGES["phases"]["stabilization"]
"""Epochs of the final phase, N - S."""

DROP_PATH_CHANGES: dict[str, Any] = {"keep_rate": {"minimum": 0.5, "final": 0.8, "decay": 0.1}}

KD_CHANGES: dict[str, Any] = {"kd.alpha": 0.5, "kd.temperature": 1.5}

BASELINE = Arm(name="baseline", label="Baseline", changes=BASELINE_CHANGES)

WITHOUT_DP_KD = Arm(name="without_dp_kd", label="w/o DP & KD", changes=MISC_CHANGES)

WITHOUT_DP = Arm(
    name="without_dp",
    label="w/o DP",
    changes=MISC_CHANGES | KD_CHANGES,
    teacher=WITHOUT_DP_KD,
    for_teacher=False,
)

WITHOUT_KD = Arm(
    name="without_kd",
    label="w/o KD",
    changes=MISC_CHANGES | DROP_PATH_CHANGES,
    network_changes=IMPROVED,
    for_teacher=False,
)

FULL = Arm(
    name="full",
    label="Full",
    changes=MISC_CHANGES | DROP_PATH_CHANGES | KD_CHANGES,
    network_changes=IMPROVED,
    teacher=WITHOUT_DP_KD,
    for_teacher=False,
)

TABLE_1 = (BASELINE, WITHOUT_DP_KD, WITHOUT_DP, WITHOUT_KD, FULL)
"""In the order of the paper's rows."""

# The ablations of Tables 3 and 4, for `FULL.changed`; those of one table can be united in any order.

NO_FINAL_HIGH_KEEP_RATE: dict[str, Any] = {"keep_rate.final": DROP_PATH_CHANGES["keep_rate"]["minimum"]}
"""Table 3: the keep rate stays at its minimum; the learning rate is untouched (notes)."""

ORIGINAL_SHORTCUT: dict[str, Any] = {"model.shortcut": "original"}
"""Table 3; for residual networks."""

NO_PERIODICAL_RATE: dict[str, Any] = {
    "learning_rate.schedule": "cosine",
    **{f"learning_rate.{name}": None for name in ("decay", "warmup", "cosine_period")},
}
"""Table 4: one cosine over the same 4000 epochs in place of Eq. 3, with the same maximum."""

NO_LION: dict[str, Any] = {
    "learning_rate.maximum": BASELINE_CHANGES["learning_rate"]["maximum"],
    "optimizer": BASELINE_CHANGES["optimizer"],
}
"""Table 4: AdamW with the baseline's rate and weight decay (notes)."""

NO_STRONGER_AUGMENTATION: dict[str, Any] = {"augmentation.folds": 1}
"""Table 4: 1-fold augmentation."""


def lengths(
    minimum: float, decay: float, period: int, warmup: int = MISC_CHANGES["phases"]["warmup"]
) -> dict[str, Any]:
    """T, S and N, as changes, for a keep rate that falls by `decay` (gamma) every `period` (T) to `minimum` (p_min).

    S = W + T ceil((1 - p_min) / gamma) and N = S + 1000, as a lower minimum "makes the training longer" (Sec. 4.3, Fig.
    4 (a)): with S fixed, whatever lies below what is reached by then would be the same run (notes). Where Eq. 3 would
    begin again, N = 2 S.
    """
    stabilization = warmup + period * math.ceil(round((1 - minimum) / decay, 9))
    return {
        "phases.period": period,
        "phases.stabilization": stabilization,
        "epochs": min(stabilization + FINAL_EPOCHS, 2 * stabilization),
    }


def three_phase(minimum: float, decay: float = 0.1, period: int = 500) -> dict[str, Any]:
    """Such a keep rate with a W of one period, as changes, with its `lengths`.

    Raises ValueError where `minimum` or `decay` is outside (0, 1).
    """
    for name, value in (("minimum", minimum), ("decay", decay)):
        if not 0 < value < 1:
            raise ValueError(f"{name} = {value:g} is outside (0, 1)")
    changes = {"keep_rate.minimum": minimum, "keep_rate.decay": decay, "phases.warmup": period}
    return changes | lengths(minimum, decay, period, warmup=period)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A reading of the paper: the arms of Table 1, and the accuracy that they report."""

    name: str
    arms: tuple[Arm, ...]
    metric: str

    def __getitem__(self, name: str) -> Arm:
        """The arm of that name. Raises KeyError where there is none."""
        return {arm.name: arm for arm in self.arms}[name]


PAPER = Profile(name="paper", arms=TABLE_1, metric="test_accuracy")


def released_code(norm: str) -> Profile:
    """The profile `released_code` for networks with that `norm`, and its sixth arm, whose paths are never dropped.

    The released code's function that sets the keep rates tests the wrong variable, so that every rate stays 1. Here
    the arms do what it meant; `full_keep_rate_1` does what it did.
    """
    common: dict[str, Any] = {"model.conv_bias": True, "test_evaluations": 11}
    if norm == "group":
        common |= {"model.groups": None, "model.channels_per_group": 16}
    misc = common | {
        "epochs": 1000,
        "learning_rate": {"schedule": "cosine", "maximum": 5e-5, "warmup": 100, "granularity": "step"},
        "optimizer": LION,
    }
    dropped = common | {
        "epochs": MISC_CHANGES["epochs"],
        "phases": MISC_CHANGES["phases"],
        "learning_rate": MISC_CHANGES["learning_rate"] | {"decay": 1.0, "warmup": 100, "granularity": "step"},
        "optimizer": LION,
        "test_evaluations": 41,
        **DROP_PATH_CHANGES,
    }
    baseline = common | BASELINE_CHANGES
    baseline["learning_rate"] = {"schedule": "step", "maximum": 5e-4, "milestone": 500, "decay": 0.1}
    distilled = KD_CHANGES | {"kd.teacher_weights": "best"}
    # ResNet50's rate falls in steps of 0.13 without a floor: five of them end at 0.35.
    steep = {"resnet50": IMPROVED["resnet50"] | {"keep_rate.decay": 0.13, "keep_rate.minimum": 0.35}}
    first = {"alexnet": {"model.first_norm": "batch"}} if norm == "instance" else {}
    with_drop_path: Mapping[str, Changes] = {**IMPROVED, **steep, **first}
    teacher = dataclasses.replace(WITHOUT_DP_KD, changes=misc, network_changes=IMPROVED)
    full = dataclasses.replace(FULL, changes=dropped | distilled, network_changes=with_drop_path, teacher=teacher)
    never = {name: change for name, change in dropped.items() if name != "keep_rate"}
    arms = (
        dataclasses.replace(BASELINE, changes=baseline, network_changes=IMPROVED),
        teacher,
        dataclasses.replace(WITHOUT_DP, changes=misc | distilled, network_changes=IMPROVED, teacher=teacher),
        dataclasses.replace(WITHOUT_KD, changes=dropped, network_changes=with_drop_path),
        full,
        dataclasses.replace(
            full,
            name="full_keep_rate_1",
            label="Full, keep rate 1",
            changes=never | distilled,
            network_changes={**IMPROVED, **first},
        ),
    )
    return Profile(name="released_code", arms=arms, metric="best_test_accuracy")
