"""Training recipes: arms as changes to a base configuration, the arms of Table 1, and two profiles of the paper."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crossarch.trainables.config.layers import merge_layers

Changes = Mapping[str, Any]
"""New values by dotted name, as accepted by `RunConfig.replace`."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A training recipe: changes to the base configuration. One arm is one row of the table."""

    name: str
    label: str
    changes: Changes
    by_architecture: Mapping[str, Changes] = field(default_factory=dict)
    """Additional changes by architecture."""
    teacher: "Arm | None" = None
    """The teacher's recipe; None if the arm uses no knowledge distillation."""
    for_teacher: bool = True
    """Whether the arm applies to the teacher's network: DropPath and knowledge distillation do not (Sec. 4.1)."""
    networks: tuple[str, ...] | None = None
    """Labels of the networks to which the arm is limited; None for all."""
    teacher_network: str | None = None
    """Label of the teacher's network; None for the study's teacher."""
    exact: Changes = field(default_factory=dict)
    """Changes applied last, after the budget has scaled the epochs."""

    def changed(self, changes: Changes) -> "Arm":
        """The arm with additional `changes`, which take precedence over its own, also over those by architecture."""
        further = {name: merge_layers(own, changes) for name, own in self.by_architecture.items()}
        return dataclasses.replace(self, changes=merge_layers(self.changes, changes), by_architecture=further)

    def named(self, name: str, label: str, **parts: Any) -> "Arm":
        """The arm with another name and label, and with new values of the fields in `parts`."""
        return dataclasses.replace(self, name=name, label=label, **parts)

    def applies(self, network: str, teacher: str) -> bool:
        """Whether the arm applies to the network with label `network` in a study whose teacher has label `teacher`."""
        return (self.for_teacher or network != teacher) and (self.networks is None or network in self.networks)


RESIDUAL = ("resnet18", "resnet50")
IMPROVED = {name: {"model.shortcut": "improved"} for name in RESIDUAL}
"""Changes by architecture in arms with DropPath: the improved shortcut (Sec. 3.1)."""

BASELINE_CHANGES: dict[str, Any] = {
    "epochs": 1000,
    "learning_rate": {"schedule": "cosine", "maximum": 5e-4},
    "optimizer": {"name": "adamw", "weight_decay": 5e-4},
    "augmentation.folds": 1,
}

LION: dict[str, Any] = {"name": "lion", "weight_decay": 5e-3}

MISC_CHANGES: dict[str, Any] = {
    "epochs": 4000,
    "phases": {"warmup": 500, "period": 500, "stabilization": 3000},
    "learning_rate": {"schedule": "periodic", "maximum": 5e-5, "decay": 0.8, "warmup": 50, "cosine_period": 1000},
    "optimizer": LION,
}
"""Methods of Sec. 3.3, except the augmentation folds: these depend on the images per class and are set by the study."""

FINAL_EPOCHS = MISC_CHANGES["epochs"] - MISC_CHANGES["phases"]["stabilization"]
"""Number of epochs of the final phase, N - S."""

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
    by_architecture=IMPROVED,
    for_teacher=False,
)

FULL = Arm(
    name="full",
    label="Full",
    changes=MISC_CHANGES | DROP_PATH_CHANGES | KD_CHANGES,
    by_architecture=IMPROVED,
    teacher=WITHOUT_DP_KD,
    for_teacher=False,
)

TABLE_1 = (BASELINE, WITHOUT_DP_KD, WITHOUT_DP, WITHOUT_KD, FULL)
"""In the order of the paper's rows."""

# Ablations of Tables 3 and 4, for `FULL.changed`. Those of one table can be merged, NO_PERIODICAL_RATE first.

NO_FINAL_HIGH_KEEP_RATE: dict[str, Any] = {"keep_rate.final": DROP_PATH_CHANGES["keep_rate"]["minimum"]}
"""Table 3: the keep rate stays at its minimum; the learning rate is unchanged (notes)."""

ORIGINAL_SHORTCUT: dict[str, Any] = {"model.shortcut": "original"}
"""Table 3: the original shortcut, for residual networks."""

NO_PERIODICAL_RATE: dict[str, Any] = {
    "learning_rate": {"schedule": "cosine", "maximum": MISC_CHANGES["learning_rate"]["maximum"]}
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
    """Changes of T, S, N for a keep rate that falls by `decay` (gamma) every `period` (T) epochs to `minimum` (p_min).

    S = W + T ceil((1 - p_min) / gamma), with W = `warmup` epochs, and N = min(S + 1000, 2 S), as Eq. 3 would restart
    after 2 S. S depends on p_min because a lower minimum "makes the training longer" (Sec. 4.3, Fig. 4 (a)): with S
    fixed, all minima that are not reached before S would give the same run (notes).
    """
    stabilization = warmup + period * math.ceil(round((1 - minimum) / decay, 9))
    return {
        "phases.period": period,
        "phases.stabilization": stabilization,
        "epochs": min(stabilization + FINAL_EPOCHS, 2 * stabilization),
    }


def three_phase(minimum: float, decay: float = 0.1, period: int = 500) -> dict[str, Any]:
    """Changes of the keep rate (minimum, decay) and its phases, with W = T = `period` epochs and S, N from `lengths`.

    Raises ValueError if `minimum` or `decay` is outside (0, 1).
    """
    for name, value in (("minimum", minimum), ("decay", decay)):
        if not 0 < value < 1:
            raise ValueError(f"{name} = {value:g} is outside (0, 1)")
    changes = {"keep_rate.minimum": minimum, "keep_rate.decay": decay, "phases.warmup": period}
    return changes | lengths(minimum, decay, period, warmup=period)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A reading of the paper: the arms of Table 1 and the reported metric."""

    name: str
    arms: tuple[Arm, ...]
    metric: str

    def __getitem__(self, name: str) -> Arm:
        """The arm with the given name. Raises KeyError if there is none."""
        return {arm.name: arm for arm in self.arms}[name]


PAPER = Profile(name="paper", arms=TABLE_1, metric="test_accuracy")


def released_code(norm: str) -> Profile:
    """Profile `released_code` for networks with normalisation `norm`, with a sixth arm `full_keep_rate_1`.

    The function of the released code that sets the keep rates tests the wrong variable, so all keep rates stay 1. The
    first five arms implement the intended behaviour, `full_keep_rate_1` the actual one.
    """
    common: dict[str, Any] = {"model.conv_bias": True, "test_evaluations": 11}
    if norm == "group":
        common |= {"model.norm": {"kind": "channel_group", "channels_per_group": 16}}
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
    # ResNet50's keep rate falls in five steps of 0.13 to 0.35, without a lower limit.
    steep = {"resnet50": IMPROVED["resnet50"] | {"keep_rate.decay": 0.13, "keep_rate.minimum": 0.35}}
    first = {"alexnet": {"model.first_norm": "batch"}} if norm == "instance" else {}
    with_drop_path: Mapping[str, Changes] = {**IMPROVED, **steep, **first}
    teacher = dataclasses.replace(WITHOUT_DP_KD, changes=misc, by_architecture=IMPROVED)
    full = dataclasses.replace(FULL, changes=dropped | distilled, by_architecture=with_drop_path, teacher=teacher)
    never = {name: change for name, change in dropped.items() if name != "keep_rate"}
    arms = (
        dataclasses.replace(BASELINE, changes=baseline, by_architecture=IMPROVED),
        teacher,
        dataclasses.replace(WITHOUT_DP, changes=misc | distilled, by_architecture=IMPROVED, teacher=teacher),
        dataclasses.replace(WITHOUT_KD, changes=dropped, by_architecture=with_drop_path),
        full,
        dataclasses.replace(
            full,
            name="full_keep_rate_1",
            label="Full, keep rate 1",
            changes=never | distilled,
            by_architecture={**IMPROVED, **first},
        ),
    )
    return Profile(name="released_code", arms=arms, metric="best_test_accuracy")
