"""Estimates of durations, from runs that have finished."""

import math
import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence

from crossarch.platform.scheduling.plan import teaching
from crossarch.search_spaces.study import PlannedRun
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig


def step_count(config: RunConfig) -> int:
    """Number of optimizer steps of the whole run."""
    images = DATASETS[config.data.dataset].classes * config.data.images_per_class
    return config.epochs * math.ceil(images / config.batch_size)


def kind(config: RunConfig) -> Hashable:
    """A key of runs whose steps take about the same time: network, images and batch, not arm, schedule or seed."""
    images = DATASETS[config.data.dataset].classes * config.data.images_per_class
    return (config.model, config.data.dataset, min(config.batch_size, images), config.precision)


def paces(results: Iterable[RunResult]) -> dict[Hashable, float]:
    """Median seconds per step by `kind`, test and set-up included, over the finished runs among `results`."""
    seconds: dict[Hashable, list[float]] = {}
    for result in results:
        if result.outcome == "finished" and result.steps:
            seconds.setdefault(kind(result.config), []).append(result.device_seconds / result.steps)
    return {key: statistics.median(values) for key, values in seconds.items()}


def duration(config: RunConfig, pace: Mapping[Hashable, float]) -> float | None:
    """Seconds that the run would take on one device; None if no run of its kind is known."""
    a_step = pace.get(kind(config))
    return None if a_step is None else a_step * step_count(config)


def makespan(runs: Sequence[PlannedRun], seconds: Mapping[str, float], slots: int) -> float:
    """Seconds until all runs are done, by list scheduling: `slots` at a time, in order, each after its teacher.

    Args:
        runs: The runs, teachers before their students.
        seconds: Durations by run id; runs without one take 0 s.
        slots: Number of concurrent runs.
    """
    free = [0.0] * max(1, slots)
    ends: dict[str, float] = {}
    first = teaching(runs)
    for run in sorted(runs, key=lambda run: run.run_id not in first):
        slot = free.index(min(free))
        begin = max(free[slot], ends.get(run.teacher.run_id, 0.0) if run.teacher else 0.0)
        free[slot] = ends[run.run_id] = begin + seconds.get(run.run_id, 0.0)
    return max(free)
