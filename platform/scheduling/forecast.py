"""Estimates the time and the disk space that a plan would take, before anything is trained."""

import os
from pathlib import Path

from crossarch.platform.scheduling.estimate import duration, makespan, paces
from crossarch.platform.scheduling.plan import Plan
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.text import duration as in_words
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.models.registry import build_on_meta, parameter_count

RECORD_BYTES = 75_000
"""Of one run: 29 kB in the ledger and 46 kB in the embedded MLflow, the means of 12 runs of quickstart."""


def forecast_time(plan: Plan, root: Path, slots: int | None = None) -> str:
    """The time that the plan's runs would take on this machine, as far as the ledger knows runs of their kinds."""
    slots = slots or os.cpu_count() or 1
    history = [result for result in Ledger(root).read().values() if result.outcome == "finished"]
    pace = paces(history)
    seconds = {run.run_id: duration(run.config, pace) for run in plan.todo}
    known = {identity: value for identity, value in seconds.items() if value is not None}
    if not known:
        return "not known: the ledger has no run of these kinds yet"
    unknown = len(seconds) - len(known)
    text = (
        f"about {in_words(makespan(plan.todo, known, slots))}, {slots} at a time, from {len(history)} runs done before"
    )
    return f"{text}; not counting {unknown} of kinds never run" if unknown else text


def forecast_bytes(plan: Plan) -> int:
    """Bytes that stay: records, and the weights that are kept."""
    weights = sum(
        4 * parameter_count(build_on_meta(run.config.model, DATASETS[run.config.data.dataset]))
        for run in plan.todo
        if run.run_id in plan.keeps_weights
    )
    return weights + RECORD_BYTES * len(plan.todo)
