"""The paper's 406 published accuracies (Tables 2 to 8)."""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from crossarch.search_spaces.study import Published

LABELS = {"convnet": "ConvNet", "resnet18": "ResNet18", "alexnet": "AlexNet", "vgg11": "VGG11", "resnet50": "ResNet50"}
"""Labels by architecture, in the order of the paper's columns."""


@cache
def published(table: int) -> tuple[Published, ...]:
    """Accuracies of a table, in the paper's order; empty for a table without accuracies."""
    with Path(__file__).with_name("published.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["table"]) == table]
    return tuple(_cell(row, name) for row in rows for name in LABELS if row[name])


def _cell(row: Mapping[str, str], network: str) -> Published:
    """Parses the accuracy of a network from a row of the CSV file, which is laid out like the paper's tables."""
    accuracy, _, std = row[network].partition(" ± ")
    return Published(
        table=int(row["table"]),
        dataset=row["dataset"],
        distiller=row["distiller"],
        images_per_class=int(row["ipc"]),
        method=row["method"],
        network=LABELS[network],
        accuracy=float(accuracy),
        std=float(std) if std else None,
    )
