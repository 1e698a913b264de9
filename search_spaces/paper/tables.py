"""The paper's tables as studies, and what they share: distilled sets by name, networks, the published numbers."""

from collections.abc import Iterable, Mapping
from typing import Any

from crossarch.search_spaces.paper.published import LABELS, published
from crossarch.search_spaces.recipes import (
    BASELINE,
    BASELINE_CHANGES,
    FULL,
    NO_FINAL_HIGH_KEEP_RATE,
    NO_LION,
    NO_PERIODICAL_RATE,
    NO_STRONGER_AUGMENTATION,
    ORIGINAL_SHORTCUT,
    PAPER,
    WITHOUT_DP_KD,
    Arm,
    Changes,
    merged,
    released_code,
)
from crossarch.search_spaces.study import Axis, Chart, Place, Published, Smoke, Study
from crossarch.trainables.config.distiller import LABEL_TEMPERATURES
from crossarch.trainables.config.run import from_dict

DISTILLERS = {"frepo": "FRePo", "mtt": "MTT"}

BATCH_SIZES = {
    "cifar10": {1: 10, 10: 100, 50: 128},
    "cifar100": {1: 100, 10: 256, 50: 256},
    "tiny_imagenet": {1: 100, 10: 256},
}
"""App. C, Training: by images per class; Tiny-ImageNet's, which the paper does not give, as CIFAR-100's (notes)."""

FOLDS = {1: 4, 10: 2, 50: 2}
"""Sec. 3.3: by images per class."""

CHANNELS = {
    ("cifar10", "mtt"): (128, 128, 128),
    ("cifar100", "mtt"): (128, 128, 128),
    ("tiny_imagenet", "mtt"): (128, 128, 128, 128),
    ("tiny_imagenet", "frepo"): (128, 256, 512, 1024),
}
"""Of the CNN that distils, where not FRePo's 128, 256, 512. Four blocks for 64 x 64 pixels (notes); that FRePo's fourth
doubles the channels as the others do is our reading."""

BASE = from_dict(
    {
        "data": {"dataset": "cifar10", "images_per_class": 1},
        "model": {"architecture": "convnet"},
        "epochs": BASELINE_CHANGES["epochs"],
        "learning_rate": BASELINE_CHANGES["learning_rate"],
        "optimizer": BASELINE_CHANGES["optimizer"],
        "augmentation": {"folds": BASELINE_CHANGES["augmentation.folds"]},
        "batch_size": 10,
    }
)

ALL = tuple(LABELS.values())
"""The paper's networks, by label."""

Cells = Mapping[Place, Published]
"""The paper's numbers by the arm's name and the cell."""


def set_name(dataset: str, distiller: str, images_per_class: int) -> str:
    """The name of a distilled set in the store: `cifar10-frepo-ipc10`."""
    return f"{dataset}-{distiller}-ipc{images_per_class}"


def set_label(distiller: str, images_per_class: int) -> str:
    """The name of a distilled set in a table: `FRePo IPC 10`."""
    return f"{DISTILLERS[distiller]} IPC {images_per_class}"


def set_changes(dataset: str, distiller: str, images_per_class: int) -> Changes:
    """What goes with a distilled set: labels, batch, folds, normalisation and the CNN's channels.

    Raises KeyError where the paper has no such set.
    """
    soft = {"label_temperature": LABEL_TEMPERATURES[dataset]} if distiller == "frepo" else {}
    name = set_name(dataset, distiller, images_per_class)
    channels = CHANNELS.get((dataset, distiller))
    return {
        "data": {"dataset": dataset, "images_per_class": images_per_class, "distilled": name} | soft,
        "batch_size": BATCH_SIZES[dataset][images_per_class],
        "augmentation.folds": FOLDS[images_per_class],
        "model.norm": {"frepo": "batch", "mtt": "instance"}[distiller],
        **({"model.channels": channels} if channels else {}),
    }


def sets_axis(dataset: str, distillers: Iterable[str], sizes: Iterable[int]) -> Axis:
    """The axis `data`: each distiller's sets of those images per class."""
    pairs = [(distiller, size) for distiller in distillers for size in sizes]
    choices = {set_label(*pair): set_changes(dataset, *pair) for pair in pairs}
    return Axis(name="data", choices=choices, beneath_arms=True)


def networks_axis(labels: Iterable[str] = ALL) -> Axis:
    """The axis `architecture` over the paper's networks of those labels, in the paper's order."""
    chosen = set(labels)
    names = {label: {"model.architecture": name} for name, label in LABELS.items() if label in chosen}
    return Axis(name="architecture", choices=names)


def published_cells(table: int, arms: Iterable[Arm]) -> Cells:
    """The accuracies of a table by arm and cell of a study over `sets_axis` and `networks_axis`.

    Raises KeyError for a row whose method is no arm's label.
    """
    names = {arm.label: arm.name for arm in arms}
    return {
        (names[row.method], (set_label(row.distiller, row.images_per_class), row.network)): row
        for row in published(table)
    }


def paper_study(reference: str, question: str, axes: tuple[Axis, ...], arms: tuple[Arm, ...], **parts: Any) -> Study:
    """The study `table5` of the paper's `Table 5`; the first of its axes is the data. `parts` are fields of `Study`."""
    first = axes[0]
    common: dict[str, Any] = {
        "columns": "architecture",
        "teacher": LABELS["convnet"],
        "seeds": (0, 1, 2),
        # Digits, which are on every machine, stand in for the data.
        "smoke_form": Smoke(
            budget=0.004,
            changes={"data": {"dataset": "digits", "images_per_class": 1}, "model.width": 1 / 32},
            only={first.name: (next(iter(first.choices)),)},
            sparing={"ResNet50": ("baseline", "full", "full_resnet18")},
            note="its data replaced by digits",
        ),
    }
    common["name"] = reference.lower().replace(" ", "")
    return Study(question=question, reference=reference, base=BASE, arms=arms, axes=axes, **common | parts)


def paper_table(
    table: int,
    question: str,
    data: Axis,
    networks: Iterable[str] = ALL,
    arms: tuple[Arm, ...] = PAPER.arms,
    **parts: Any,
) -> Study:
    """The study `table<table>` with its published numbers: `arms` on the sets of `data` and on `networks`, by label."""
    axes = (data, networks_axis(networks))
    known = published_cells(table, arms)
    return paper_study(f"Table {table}", question, axes, arms, published=known, **parts)


TABLE2 = paper_table(
    2,
    "How much does each remedy cure architecture overfitting on CIFAR-10, by distiller, size and network?",
    sets_axis("cifar10", DISTILLERS, FOLDS),
    chart=Chart(
        reference="Figure 1",
        quantity="Images per class",
        axis="data",
        points={set_label(name, ipc): ((label, ipc),) for name, label in DISTILLERS.items() for ipc in FOLDS},
        arms=("baseline", "full"),
        log=True,
    ),
)


TABLE3_ARMS = (
    FULL.changed(merged(NO_FINAL_HIGH_KEEP_RATE, ORIGINAL_SHORTCUT)).named(
        "neither", "no final high keep rate, original shortcut"
    ),
    FULL.changed(ORIGINAL_SHORTCUT).named("high_keep_rate", "final high keep rate, original shortcut"),
    FULL.changed(NO_FINAL_HIGH_KEEP_RATE).named("improved_shortcut", "no final high keep rate, improved shortcut"),
    FULL.named("both", "final high keep rate, improved shortcut"),
)

TABLE3 = paper_table(
    3,
    "What do the final high keep rate and the improved shortcut each add, on ResNet18?",
    sets_axis("cifar10", ("frepo",), (10,)),
    ("ConvNet", "ResNet18"),
    TABLE3_ARMS,
)


TABLE4_ARMS = (
    FULL.changed(merged(NO_PERIODICAL_RATE, NO_LION, NO_STRONGER_AUGMENTATION)).named(
        "none", "cosine LR, AdamW, 1-fold augmentation"
    ),
    FULL.changed(merged(NO_LION, NO_STRONGER_AUGMENTATION)).named(
        "periodical_rate", "periodical LR, AdamW, 1-fold augmentation"
    ),
    FULL.changed(NO_STRONGER_AUGMENTATION).named("lion", "periodical LR, Lion, 1-fold augmentation"),
    FULL.named("augmentation", "periodical LR, Lion, 2-fold augmentation"),
)

TABLE4 = paper_table(
    4,
    "What do periodical learning rate, Lion and stronger augmentation each add, on ResNet18?",
    sets_axis("cifar10", ("frepo",), (10,)),
    ("ConvNet", "ResNet18"),
    TABLE4_ARMS,
)


TABLE5 = paper_table(
    5,
    "Does the method cure architecture overfitting on CIFAR-100 as it does on CIFAR-10?",
    sets_axis("cifar100", DISTILLERS, FOLDS),
)


TABLE6 = paper_table(
    6,
    "Does the method cure architecture overfitting on Tiny-ImageNet as it does on CIFAR-10?",
    sets_axis("tiny_imagenet", DISTILLERS, (1, 10)),
)


TABLE7 = paper_table(
    7,
    "How far do accuracies on FRePo's sets of CIFAR-10 spread over seeds, by size, arm and network?",
    sets_axis("cifar10", ("frepo",), FOLDS),
    cells=tuple(published_cells(7, PAPER.arms)),
)


TABLE8 = paper_table(
    8,
    "Is 4-fold augmentation worth its while at one image per class, or is 2-fold as good?",
    Axis(
        name="data",
        choices={set_label("frepo", 1): {**set_changes("cifar10", "frepo", 1), "augmentation.folds": 2}},
        beneath_arms=True,
    ),
)


TEACHER_SET, TEACHER_NETWORK = set_label("frepo", 1), TABLE2.teacher
RELEASED = released_code("batch")

ONE_COSINE: Changes = {**NO_PERIODICAL_RATE, "phases": None}
"""Without DropPath the phases have nothing left to govern."""

SHORT_COSINE: Changes = {**ONE_COSINE, "epochs": BASELINE.changes["epochs"]}

TEACHER = paper_study(
    "Table 2, the 3-layer CNN",
    "On FRePo's set of 1 image a class, which part of its recipe makes the teacher weaker than the baseline?",
    (sets_axis("cifar10", ("frepo",), (1,)), networks_axis((TEACHER_NETWORK,))),
    (
        BASELINE,
        WITHOUT_DP_KD,
        WITHOUT_DP_KD.changed({"augmentation.folds": 2}).named("two_folds", "2-fold"),
        WITHOUT_DP_KD.changed(NO_STRONGER_AUGMENTATION).named("one_fold", "1-fold"),
        WITHOUT_DP_KD.changed(NO_LION).named("adamw", "AdamW"),
        WITHOUT_DP_KD.changed(ONE_COSINE).named("one_cosine", "One cosine"),
        WITHOUT_DP_KD.changed(SHORT_COSINE).named("short", "One cosine, 1000 epochs"),
        RELEASED["baseline"].named("released_baseline", "Baseline, released code"),
        RELEASED["without_dp_kd"].named("released_without_dp_kd", "w/o DP & KD, released code"),
    ),
    name="teacher",
    published={place: row for place, row in TABLE2.published.items() if place[1] == (TEACHER_SET, TEACHER_NETWORK)},
)
