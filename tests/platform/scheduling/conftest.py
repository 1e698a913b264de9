"""Plans and results made up from the table of settings, without training anything."""

from collections.abc import Callable
from typing import Any

import pytest

from crossarch.search_spaces.study import Planned
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig


def plan_of(config: RunConfig, arm: str = "arm", cell: tuple[str, ...] = ("cell",)) -> Planned:
    """The run of `config` as a study would plan it, its teacher and the teacher's teacher included."""
    teacher = plan_of(config.kd.teacher, "recipe", ("teaching",)) if config.kd else None
    return Planned(arm=arm, cell=cell, config=config, teacher=teacher)


def result_of(config: RunConfig, outcome: str = "finished", **changes: Any) -> RunResult:
    return RunResult(config=config, outcome=outcome, **changes)


@pytest.fixture(scope="session")
def planned() -> Callable[..., Planned]:
    return plan_of


@pytest.fixture(scope="session")
def result() -> Callable[..., RunResult]:
    return result_of
