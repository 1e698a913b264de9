"""What `crossarch bench` times, and its tables in a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from crossarch.platform.report.grid import NARROW, grouped
from crossarch.search_spaces.bench import bench_runs

if TYPE_CHECKING:
    from crossarch.trainables.analysis.overhead import Timed


def timed_runs(architectures: Sequence[str], images_per_class: Sequence[int], width: float) -> "list[Timed]":
    """The runs of `bench_runs`, to be timed. Raises ValueError as that does."""
    from crossarch.trainables.analysis.overhead import Timed  # slow: torch

    runs = bench_runs(architectures, images_per_class, width)
    return [Timed(network=network, arm=arm, config=config) for network, arm, config in runs]


def render_bench(document: Mapping[str, Any]) -> RenderableType:
    """The table of what was measured, and on what."""
    from crossarch.trainables.analysis.bench import HEADINGS, table

    grid = grouped(HEADINGS, table(document), texts=(0, 2), by=2, padding=NARROW)
    return Group(grid, Text(f"\n{remarks(document)}"))


def remarks(document: Mapping[str, Any]) -> str:
    """What the numbers of the table are, and of which machine."""
    facts, date = document["environment"], document["measured_at"][:10]
    epochs = ", ".join(map(str, sorted({each["epochs"] for each in document["runs"]})))
    hardware = facts["cpu"] if facts["device"] == "cpu" else facts["device"]
    return (
        "Ratios are of steps a second to those of the field's loop with 4 workers and with 0: medians and 95 % "
        f"intervals over n = {document['repeats']} turns of {epochs} epochs, on random images. "
        f"{hardware}, one thread, torch {facts['torch']}, {date}, commit {facts['commit'] or 'unknown'}."
    )
