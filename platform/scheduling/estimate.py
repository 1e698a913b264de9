"""How long runs take, from runs already done."""

import math
import statistics
from collections.abc import Hashable, Iterable, Mapping

from crossarch.platform.scheduling.plan import Task
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig


def step_count(config: RunConfig) -> int:
    """Optimizer steps of the whole run."""
    images = DATASETS[config.data.dataset].classes * config.data.images_per_class
    return config.epochs * math.ceil(images / config.batch_size)


def kind(config: RunConfig) -> Hashable:
    """What decides the seconds a step takes, near enough: network, images and batch, not arm, schedule or seed."""
    model, data = config.model, config.data
    images = DATASETS[data.dataset].classes * data.images_per_class
    batch = min(config.batch_size, images)
    return (model.architecture, model.width, model.channels, model.norm, data.dataset, batch, config.precision)


def paces(results: Iterable[RunResult]) -> dict[Hashable, float]:
    """Median seconds a step by kind, test and set-up included, over the finished runs among `results`."""
    seconds: dict[Hashable, list[float]] = {}
    for result in results:
        if result.outcome == "finished" and result.steps:
            seconds.setdefault(kind(result.config), []).append(result.device_seconds / result.steps)
    return {key: statistics.median(values) for key, values in seconds.items()}


def duration(config: RunConfig, pace: Mapping[Hashable, float]) -> float | None:
    """Seconds the run would take on one device; None where no run of its kind is known."""
    a_step = pace.get(kind(config))
    return None if a_step is None else a_step * step_count(config)


def makespan(tasks: Iterable[Task], seconds: Mapping[str, float], slots: int) -> float:
    """Seconds until all `tasks` are done, `slots` at a time, in their order, each after its teacher.

    `seconds` are the durations by run id; tasks that it does not name take none. `tasks` names teachers before
    their students.
    """
    free = [0.0] * max(1, slots)
    ends: dict[str, float] = {}
    for task in sorted(tasks, key=lambda task: not task.teaches):
        slot = free.index(min(free))
        begin = max(free[slot], ends.get(task.teacher_id or "", 0.0))
        free[slot] = ends[task.run_id] = begin + seconds.get(task.run_id, 0.0)
    return max(free)
