"""Studies of the paper's tables, and their distilled sets, networks and published accuracies."""

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
    released_code,
)
from crossarch.search_spaces.study import Axis, Chart, Place, Published, Smoke, Study
from crossarch.trainables.config.distiller import LABEL_TEMPERATURES
from crossarch.trainables.config.layers import merge_layers

DISTILLERS = {"frepo": "FRePo", "mtt": "MTT"}

BATCH_SIZES = {
    "cifar10": {1: 10, 10: 100, 50: 128},
    "cifar100": {1: 100, 10: 256, 50: 256},
    "tiny_imagenet": {1: 100, 10: 256},
}
"""Batch sizes by data set and images per class (App. C, Training). The paper gives none for Tiny-ImageNet, which uses
CIFAR-100's (notes)."""

FOLDS = {1: 4, 10: 2, 50: 2}
"""Augmentation folds by images per class (Sec. 3.3)."""

CHANNELS = {
    ("cifar10", "mtt"): (128, 128, 128),
    ("cifar100", "mtt"): (128, 128, 128),
    ("tiny_imagenet", "mtt"): (128, 128, 128, 128),
    ("tiny_imagenet", "frepo"): (128, 256, 512, 1024),
}
"""Channels of the ConvNet by data set and distiller, if not FRePo's 128, 256, 512. Images of 64 x 64 pixels need four
blocks (notes); that FRePo's fourth block doubles the channels again is our reading."""

BASE: Changes = {
    "epochs": BASELINE_CHANGES["epochs"],
    "learning_rate": BASELINE_CHANGES["learning_rate"],
    "optimizer": BASELINE_CHANGES["optimizer"],
    "augmentation": {"folds": BASELINE_CHANGES["augmentation.folds"]},
}
"""The baseline's recipe. The axes set data, batch size and network."""

ALL = tuple(LABELS.values())
"""Labels of the paper's networks."""

Cells = Mapping[Place, Published]
"""The paper's accuracies by arm name and cell."""


def set_name(dataset: str, distiller: str, images_per_class: int) -> str:
    """Name of a distilled set in the store: `cifar10-frepo-ipc10`."""
    return f"{dataset}-{distiller}-ipc{images_per_class}"


def set_label(distiller: str, images_per_class: int) -> str:
    """Label of a distilled set in tables: `FRePo IPC 10`."""
    return f"{DISTILLERS[distiller]} IPC {images_per_class}"


def set_changes(dataset: str, distiller: str, images_per_class: int) -> Changes:
    """Changes for a distilled set: data, label temperature, batch size, augmentation folds and normalisation.

    Raises KeyError if the paper has no such set.
    """
    soft = {"label_temperature": LABEL_TEMPERATURES[dataset]} if distiller == "frepo" else {}
    name = set_name(dataset, distiller, images_per_class)
    return {
        "data": {
            "kind": "distilled",
            "dataset": dataset,
            "images_per_class": images_per_class,
            "distilled_set": name,
            **soft,
        },
        "batch_size": BATCH_SIZES[dataset][images_per_class],
        "augmentation.folds": FOLDS[images_per_class],
        "model.norm": {"frepo": "batch", "mtt": "instance"}[distiller],
    }


def convnet_changes(dataset: str, distiller: str) -> Mapping[str, Changes]:
    """Changes by architecture on a distiller's sets: the ConvNet's channels, if they are not FRePo's."""
    channels = CHANNELS.get((dataset, distiller))
    return {"convnet": {"model.channels": channels}} if channels else {}


def sets_axis(dataset: str, distillers: Iterable[str], sizes: Iterable[int]) -> Axis:
    """Axis `data`: the sets of each distiller with `sizes` images per class."""
    pairs = [(distiller, size) for distiller in distillers for size in sizes]
    return Axis(
        name="data",
        choices={set_name(dataset, *pair): set_changes(dataset, *pair) for pair in pairs},
        labels={set_name(dataset, *pair): set_label(*pair) for pair in pairs},
        by_architecture={set_name(dataset, *pair): convnet_changes(dataset, pair[0]) for pair in pairs},
        beneath_arms=True,
    )


def networks_axis(labels: Iterable[str] = ALL) -> Axis:
    """Axis `architecture`: the paper's networks with the given labels, in the paper's order."""
    chosen = set(labels)
    names = {label: {"model.architecture": name} for name, label in LABELS.items() if label in chosen}
    return Axis(name="architecture", choices=names)


def published_cells(table: int, arms: Iterable[Arm]) -> Cells:
    """Published accuracies of a table by arm name and cell (distilled set, network).

    Raises KeyError if a row's method is not the label of an arm.
    """
    names = {arm.label: arm.name for arm in arms}
    return {
        (names[row.method], (set_name(row.dataset, row.distiller, row.images_per_class), row.network)): row
        for row in published(table)
    }


def paper_study(reference: str, question: str, axes: tuple[Axis, ...], arms: tuple[Arm, ...], **parts: Any) -> Study:
    """Study of a table or figure of the paper: `table5` for `Table 5`.

    Args:
        reference: The table or figure, from which the name is derived.
        question: The study's question.
        axes: The axes, the first one for the data.
        arms: The arms.
        **parts: Other fields of `Study`, which replace the common ones.
    """
    first = axes[0]
    common: dict[str, Any] = {
        "columns": "architecture",
        "teacher": LABELS["convnet"],
        "seeds": (0, 1, 2),
        # Digits replace the data, as they are available on every machine.
        "smoke_form": Smoke(
            budget=0.004,
            changes={"data": {"kind": "real", "dataset": "digits", "images_per_class": 1}, "model.width": 1 / 32},
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
    """Study `table<table>` with its published accuracies: `arms` on the sets of `data` and on networks, by label.

    `parts` are other fields of `Study`.
    """
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
        points={set_name("cifar10", name, ipc): ((label, ipc),) for name, label in DISTILLERS.items() for ipc in FOLDS},
        arms=("baseline", "full"),
        log=True,
    ),
)


TABLE3_ARMS = (
    FULL.changed(merge_layers(NO_FINAL_HIGH_KEEP_RATE, ORIGINAL_SHORTCUT)).named(
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
    FULL.changed(merge_layers(NO_PERIODICAL_RATE, NO_LION, NO_STRONGER_AUGMENTATION)).named(
        "none", "cosine LR, AdamW, 1-fold augmentation"
    ),
    FULL.changed(merge_layers(NO_LION, NO_STRONGER_AUGMENTATION)).named(
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
        choices={set_name("cifar10", "frepo", 1): {**set_changes("cifar10", "frepo", 1), "augmentation.folds": 2}},
        labels={set_name("cifar10", "frepo", 1): set_label("frepo", 1)},
        beneath_arms=True,
    ),
)


TEACHER_SET, TEACHER_NETWORK = set_name("cifar10", "frepo", 1), TABLE2.teacher
RELEASED = released_code("batch")

ONE_COSINE: Changes = {**NO_PERIODICAL_RATE, "phases": None}
"""One cosine and no phases, which nothing uses without DropPath."""

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
