"""Study `quickstart`: distils a set of digits and trains on it, in minutes on two CPU cores, without downloads."""

import dataclasses

from crossarch.search_spaces.distillations import distillation
from crossarch.search_spaces.paper.tables import networks_axis
from crossarch.search_spaces.recipes import BASELINE_CHANGES, TABLE_1, Arm, Changes
from crossarch.search_spaces.study import Claim, Place, Smoke, Study
from crossarch.trainables.config.layers import merge_layers

BASE: Changes = {
    "data": {"kind": "real", "dataset": "digits", "images_per_class": 10},
    "model.width": 0.125,
    "learning_rate": BASELINE_CHANGES["learning_rate"],
    "optimizer": BASELINE_CHANGES["optimizer"],
    # Without "flip": a mirrored digit is a different character or none.
    "augmentation": {"folds": 2, "pool": ("color", "crop", "cutout", "scale", "rotate")},
    "epochs": 1000,
    "batch_size": 20,
}
"""Base configuration on real images; also used by `crossarch train`."""

SET, SMOKE_SET = "quickstart-frepo-ipc1", "quickstart-smoke-frepo-ipc1"
DISTILS = {
    SET: distillation("frepo", "digits", {"images_per_class": 1}),
    SMOKE_SET: distillation("frepo", "digits", {"images_per_class": 1, "steps": 4, "width": 1 / 32, "batch_size": 32}),
}
"""Configurations of the distilled sets by name; runs of all seeds share one set."""

DISTILLED = {
    "data": {"kind": "distilled", "dataset": "digits", "images_per_class": 1, "distilled_set": SET},
    "augmentation.folds": 4,
    "batch_size": 10,
}
"""Changes to BASE for the distilled set; folds and batch size are the paper's for 1 image per class."""

HASTE = 10
"""Factor on the paper's learning rates, as training takes a tenth of its epochs.

Measured on a set distilled with seed 100, mean accuracy in % on the 95 validation images over seeds 100 to 102:

| maximum | ConvNet | ResNet18 | VGG11 | mean |
|---|---|---|---|---|
| baseline, AdamW 5e-4 | 93.0 | 38.9 | 80.0 | 70.6 |
| 2e-3 | 95.8 | 71.2 | 86.3 | 84.4 |
| 5e-3, ten times the paper's | 94.0 | 78.2 | 84.9 | 85.7 |
| 1e-2 | 93.0 | 81.8 | 82.8 | 85.8 |
| w/o DP & KD; full, Lion 2e-4 | 95.1 | 87.4; 82.1 | 91.2; 88.4 | 88.8 |
| 5e-4, ten times the paper's | 95.8 | 87.4; 89.5 | 91.6; 88.1 | 90.5 |
| 1e-3 | 92.6 | 90.2; 87.7 | 91.6; 87.4 | 89.9 |

With 2 folds in place of the paper's 4, the ConvNet w/o DP & KD got 92.3, ResNet18 full 88.4, VGG11 full 90.2.
"""


def hastened(arm: Arm) -> Arm:
    """The arm with its learning rate, and its teacher's, multiplied by HASTE."""
    maximum = HASTE * arm.changes["learning_rate"]["maximum"]
    teacher = hastened(arm.teacher) if arm.teacher else None
    return dataclasses.replace(arm.changed({"learning_rate.maximum": maximum}), teacher=teacher)


ARMS = {arm.name: hastened(arm) for arm in TABLE_1}
"""The five arms of Table 1 with learning rates multiplied by HASTE, by name."""

BASELINE_CONVNET: Place = ("baseline", ("ConvNet",))


def claims(network: str) -> tuple[Claim, ...]:
    """The paper's claims on a deep network on distilled sets (Sec. 4.1): overfitting and the effect of the method."""
    baseline, misc, full = ((arm, (network,)) for arm in ("baseline", "without_dp_kd", "full"))
    return (
        Claim(sentence=f"Trained plainly, {network} loses to the ConvNet", higher=BASELINE_CONVNET, lower=baseline),
        Claim(sentence=f"The full method narrows {network}'s gap", higher=full, lower=baseline),
        Claim(
            sentence=f"With the full method, {network} passes the ConvNet's baseline",
            higher=full,
            lower=BASELINE_CONVNET,
        ),
        Claim(sentence=f"DropPath and distillation add to {network}", higher=full, lower=misc),
    )


QUICKSTART = Study(
    name="quickstart",
    question=(
        "On 1 distilled digit a class, do deeper networks lose to the 3-layer CNN that distilled it, "
        "and which parts of the method close the gap?"
    ),
    reference="Sec. 4.1, in miniature: FRePo's set of digits, narrow networks, 1/10 of the epochs",
    base=merge_layers(BASE, DISTILLED),
    arms=tuple(ARMS.values()),
    axes=(networks_axis(("ConvNet", "ResNet18", "VGG11")),),
    columns="architecture",
    teacher="ConvNet",
    seeds=(0, 1, 2),
    budget=0.1,
    # T = 2 epochs: with T = 1 the learning rate of Eq. 3, as printed, is 0 in every epoch before S.
    smoke_form=Smoke(budget=0.04, changes={"model.width": 0.0625, "data.distilled_set": SMOKE_SET}),
    distils=DISTILS,
    claims=tuple(claim for network in ("ResNet18", "VGG11") for claim in claims(network)),
)
