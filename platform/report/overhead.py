"""The runs that `crossarch overhead` and `crossarch bench` time, and the tables of their results in a terminal."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from crossarch.platform.report.terminal import NARROW, grouped
from crossarch.search_spaces.overhead import bench_runs
from crossarch.search_spaces.study import Study
from crossarch.trainables.analysis import engine_speed, step_cost
from crossarch.trainables.analysis.step_cost import Timed


def timed_runs(study: Study) -> list[Timed]:
    """The runs of a study's first seed, by network and arm."""
    planned = sorted(study.expand(study.seeds[:1]), key=lambda plan: study.networks.index(plan.cell[study.column]))
    return [
        Timed(network=study.labels(plan.cell)[study.column], arm=study.label("arm", plan.arm), config=plan.config)
        for plan in planned
    ]


def timed_bench(architectures: Sequence[str], images_per_class: Sequence[int], width: float) -> list[Timed]:
    """The runs of `bench_runs`. Raises ValueError as that does."""
    runs = bench_runs(architectures, images_per_class, width)
    return [Timed(network=network, arm=arm, config=config) for network, arm, config in runs]


def export_timed(runs: Sequence[Timed], file: Path) -> None:
    """Writes the runs for `python -m crossarch.trainables.analysis.step_cost` on another machine."""
    entries = [{"network": run.network, "arm": run.arm, "config": run.config.to_dict()} for run in runs]
    file.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def render_overhead(document: Mapping[str, Any]) -> RenderableType:
    """The table of the results of `crossarch overhead`, and the remarks below it."""
    grid = grouped(step_cost.HEADINGS, step_cost.table(document), texts=(0, 1), by=1)
    return Group(grid, Text(f"\n{remarks(document)}"))


def remarks(document: Mapping[str, Any]) -> str:
    """The definitions of the table's numbers, and the machine that they were measured on."""
    turns = f"n = {document['repeats']} turns of {document['steps']} steps"
    return (
        f"Ratios are to the network's first arm: medians over {turns}, at each arm's lowest keep rate. Of a whole run: "
        f"times its epochs over the first arm's, then with the training of its teacher. {_machine(document)}."
    )


def render_bench(document: Mapping[str, Any]) -> RenderableType:
    """The table of the results of `crossarch bench`, and the remarks below it."""
    grid = grouped(engine_speed.HEADINGS, engine_speed.table(document), texts=(0, 2), by=2, padding=NARROW)
    epochs = ", ".join(map(str, sorted({each["epochs"] for each in document["runs"]})))
    note = (
        "Ratios are of steps a second to those of the field's loop with 4 workers and with 0: medians and 95 % "
        f"intervals over n = {document['repeats']} turns of {epochs} epochs, on random images. "
        f"{_machine(document)}, commit {document['environment']['commit'] or 'unknown'}."
    )
    return Group(grid, Text(f"\n{note}"))


def _machine(document: Mapping[str, Any]) -> str:
    facts = document["environment"]
    hardware = facts["cpu"] if facts["device"] == "cpu" else facts["device"]
    return f"{hardware}, one thread, torch {facts['torch']}, {document['measured_at'][:10]}"
