"""The settings of Table 1, in the notes' profile `paper`, as changes to a base configuration."""

from typing import Any

from crossarch.search_spaces.study import Arm

BASELINE_CHANGES: dict[str, Any] = {
    "epochs": 1000,
    "learning_rate": {"schedule": "cosine", "maximum": 5e-4},
    "optimizer": {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 5e-4},
    "augmentation.folds": 1,
}

MISC_CHANGES: dict[str, Any] = {
    "epochs": 4000,
    "phases": {"warmup": 500, "period": 500, "stabilization": 3000},
    "learning_rate": {"schedule": "periodic", "maximum": 5e-5, "decay": 0.8, "warmup": 50, "cosine_period": 1000},
    "optimizer": {"name": "lion", "beta1": 0.95, "beta2": 0.98, "weight_decay": 5e-3},
}
"""The methods of Sec. 3.3. The folds depend on the images per class: they are the study's, in its base."""

DROP_PATH_CHANGES: dict[str, Any] = {"keep_rate": {"minimum": 0.5, "final": 0.8, "decay": 0.1}}

BASELINE = Arm(name="baseline", label="Baseline", changes=BASELINE_CHANGES)

WITHOUT_DP_KD = Arm(name="without_dp_kd", label="w/o DP & KD", changes=MISC_CHANGES)

FULL = Arm(
    name="full",
    label="Full",
    changes=MISC_CHANGES | DROP_PATH_CHANGES | {"kd.alpha": 0.5, "kd.temperature": 1.5},
    residual_changes={"model.shortcut": "improved"},
    teacher=WITHOUT_DP_KD,
    for_teacher=False,
)
