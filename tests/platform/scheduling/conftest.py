"""Plans and results made up from the table of settings, without training anything."""

from collections.abc import Callable
from typing import Any

import pytest

from crossarch.search_spaces.study import PlannedRun
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig


def plan_of(config: RunConfig, arm: str = "arm", cell: tuple[str, ...] = ("cell",)) -> PlannedRun:
    """The run of `config` as a study would plan it, its teacher and the teacher's teacher included."""
    teacher = plan_of(config.kd.teacher, "recipe", ("teaching",)) if config.kd else None
    coordinates = {"arm": arm, **{f"axis{place}": choice for place, choice in enumerate(cell)}}
    return PlannedRun(run_id=run_id(config), coordinates=coordinates, config=config, teacher=teacher)


def result_of(config: RunConfig, outcome: str = "finished", **changes: Any) -> RunResult:
    return RunResult(config=config, outcome=outcome, **changes)


@pytest.fixture(scope="session")
def planned() -> Callable[..., PlannedRun]:
    return plan_of


@pytest.fixture(scope="session")
def result() -> Callable[..., RunResult]:
    return result_of
