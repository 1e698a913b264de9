"""What the paper's tables share: distilled sets by name, what goes with each set, networks, the published numbers.

The sets are looked up in the store under the names that `set_name` gives; a cell whose set is not there is not run.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from crossarch.search_spaces.arm import Arm, Changes
from crossarch.search_spaces.arms import BASELINE_CHANGES
from crossarch.search_spaces.claims import Place
from crossarch.search_spaces.profiles import PAPER
from crossarch.search_spaces.published import LABELS, Published, published
from crossarch.search_spaces.study import Axis, Smoke, Study
from crossarch.trainables.config import from_dict
from crossarch.trainables.distillers.config import LABEL_TEMPERATURES

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
