"""What a study would still train, in how much time and on how much disk, before anything is done."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType

from crossarch.platform.report.terminal import named
from crossarch.platform.scheduling.estimate import duration, makespan, paces
from crossarch.platform.scheduling.plan import Plan, merged
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.text import duration as in_words
from crossarch.search_spaces.study import Study

RECORD_BYTES = 75_000
"""Of one run: 29 kB in the ledger and 46 kB in the embedded MLflow, the means of 12 runs of quickstart."""


def render_forecasts(plans: Sequence[tuple[Study, Plan]], root: Path) -> RenderableType:
    """`render_forecast` of each study; of several, what they are together, too."""
    told = [render_forecast(study, plan, root) for study, plan in plans]
    if len(plans) > 1:
        together = merged([plan for _, plan in plans])
        told.append(named([("Together", f"{len(plans)} studies"), *_rows(together, root)]))
    return Group(*told)


def render_forecast(study: Study, plan: Plan, root: Path) -> RenderableType:
    """Counts of runs, those already done, disk, and the time from the ledger's history."""
    first, second, *others = _rows(plan, root)
    distilled = [
        ("To distil", f"{name}, first, in {config.steps:,} steps") for name, config in study.to_distil().items()
    ]
    return named([("Study", f"{study.name}: {study.question}"), first, second, *distilled, *others])


def _rows(plan: Plan, root: Path) -> list[tuple[str, str]]:
    teaching = sum(task.teaches for task in plan.tasks)
    rows = [
        ("Runs", f"{len(plan.members)}, of which {plan.done} are in the ledger"),
        ("To train", f"{len(plan.tasks)}, of which {teaching} teach others" if plan.tasks else "nothing"),
    ]
    if plan.tasks:
        rows += [("Time", forecast_time(plan, root)), ("Disk", f"about {forecast_bytes(plan) / 1e6:,.0f} MB")]
    return rows


def forecast_time(plan: Plan, root: Path, slots: int | None = None) -> str:
    """The time that the plan's tasks would take on this machine, as far as the ledger knows runs of their kinds."""
    slots = slots or os.cpu_count() or 1
    history = [result for result in Ledger(root).read().values() if result.outcome == "finished"]
    pace = paces(history)
    seconds = {task.run_id: duration(task.config, pace) for task in plan.tasks}
    known = {identity: value for identity, value in seconds.items() if value is not None}
    if not known:
        return "not known: the ledger has no run of these kinds yet"
    unknown = len(seconds) - len(known)
    text = (
        f"about {in_words(makespan(plan.tasks, known, slots))}, {slots} at a time, from {len(history)} runs done before"
    )
    return f"{text}; not counting {unknown} of kinds never run" if unknown else text


def forecast_bytes(plan: Plan) -> int:
    """Bytes that stay: records, and the weights that are kept."""
    from crossarch.trainables.config.datasets import DATASETS
    from crossarch.trainables.models.registry import build_on_meta, parameter_count

    weights = sum(
        4 * parameter_count(build_on_meta(task.config.model, DATASETS[task.config.data.dataset]))
        for task in plan.tasks
        if task.keeps_weights
    )
    return weights + RECORD_BYTES * len(plan.tasks)
