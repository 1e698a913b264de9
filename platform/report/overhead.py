"""What `crossarch overhead` times, and its table in a terminal."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from crossarch.platform.report.grid import grouped
from crossarch.search_spaces.study import Study

if TYPE_CHECKING:
    from crossarch.trainables.analysis.overhead import Timed


def timed_runs(study: Study) -> "list[Timed]":
    """The runs of a study's first seed, network by network, arm by arm."""
    from crossarch.trainables.analysis.overhead import Timed  # slow: torch

    labels = {arm.name: arm.label for arm in study.arms}
    planned = sorted(study.expand(study.seeds[:1]), key=lambda plan: study.networks.index(plan.cell[study.column]))
    return [Timed(network=plan.cell[study.column], arm=labels[plan.arm], config=plan.config) for plan in planned]


def export_timed(runs: "Sequence[Timed]", file: Path) -> None:
    """Writes the runs for `python -m crossarch.trainables.analysis.overhead` on another machine."""
    entries = [{"network": run.network, "arm": run.arm, "config": run.config.to_dict()} for run in runs]
    file.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def render_overhead(document: Mapping[str, Any]) -> RenderableType:
    """The table of what was measured, and on what."""
    from crossarch.trainables.analysis.overhead import HEADINGS, table

    grid = grouped(HEADINGS, table(document), texts=(0, 1), by=1)
    return Group(grid, Text(f"\n{remarks(document)}"))


def remarks(document: Mapping[str, Any]) -> str:
    """What the numbers of the table are, and of which machine."""
    facts, date = document["environment"], document["measured_at"][:10]
    hardware = facts["cpu"] if facts["device"] == "cpu" else facts["device"]
    turns = f"n = {document['repeats']} turns of {document['steps']} steps"
    return (
        f"Ratios are to the network's first arm: medians over {turns}, at each arm's lowest keep rate. Of a whole run: "
        "times its epochs over the first arm's, then with the training of its teacher. "
        f"{hardware}, one thread, torch {facts['torch']}, {date}."
    )
