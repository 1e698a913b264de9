"""The settings of Table 1 in the profile `paper`, as changes to a base configuration.

Where paper, appendix and released code disagree, these follow the paper (see `profiles`, and the notes it cites).
"""

import math
from typing import Any

from crossarch.search_spaces.arm import Arm

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
