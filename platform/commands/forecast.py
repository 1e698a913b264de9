"""Renders the forecast of `crossarch run --dry-run`: missing runs, training time and disk space."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType

from crossarch.platform.report.terminal import named
from crossarch.platform.scheduling.forecast import forecast_bytes, forecast_time
from crossarch.platform.scheduling.plan import Plan, merged, teaching
from crossarch.search_spaces.study import Study


def render_forecasts(plans: Sequence[tuple[Study, Plan]], root: Path) -> RenderableType:
    """`render_forecast` of each study, followed by the total if there are several."""
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
    teachers = teaching(plan.todo).intersection(run.run_id for run in plan.todo)
    rows = [
        ("Runs", f"{len(plan.runs)}, of which {plan.done} are in the ledger"),
        ("To train", f"{len(plan.todo)}, of which {len(teachers)} teach others" if plan.todo else "nothing"),
    ]
    if plan.todo:
        rows += [("Time", forecast_time(plan, root)), ("Disk", f"about {forecast_bytes(plan) / 1e6:,.0f} MB")]
    return rows
