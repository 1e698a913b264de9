import io

import pytest
from rich.console import Console
from settings import PLAIN, STUDENT, TEACHER
from small import SMALL

from crossarch.platform.commands.forecast import render_forecasts
from crossarch.platform.scheduling.estimate import step_count
from crossarch.platform.scheduling.forecast import RECORD_BYTES, forecast_bytes, forecast_time
from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.store.ledger import Ledger
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.models.registry import build, parameter_count


@pytest.fixture
def plan(planned, tmp_path):
    """STUDENT, its teacher, and PLAIN of the teacher's kind."""
    return make_plan([planned(STUDENT), planned(PLAIN)], {}, tmp_path)


@pytest.fixture
def done(result, tmp_path):
    """A run that took so many seconds a step, in the ledger under another seed."""

    def record(config, pace):
        config = config.replace({"seed": 5})
        steps = step_count(config)
        Ledger(tmp_path).write(result(config, test_accuracy=50.0, steps=steps, device_seconds=pace * steps))

    return record


def test_without_a_history_the_time_is_not_known(plan, tmp_path):
    assert forecast_time(plan, tmp_path) == "not known: the ledger has no run of these kinds yet"
    assert list(tmp_path.iterdir()) == []


def test_from_a_history_of_all_kinds_the_time_is_known(plan, done, tmp_path):
    done(PLAIN, 1.0)
    done(STUDENT, 10.0)
    one_by_one = step_count(PLAIN) + step_count(TEACHER) + 10 * step_count(STUDENT)
    assert one_by_one == 12 * 16
    assert forecast_time(plan, tmp_path, 1) == "about 3 min 12 s, 1 at a time, from 2 runs done before"
    assert forecast_time(plan, tmp_path, 2) == "about 2 min 56 s, 2 at a time, from 2 runs done before"


def test_kinds_never_run_are_said_to_be_left_out(plan, done, tmp_path):
    done(PLAIN, 1.0)
    expected = "about 32 s, 1 at a time, from 1 runs done before; not counting 1 of kinds never run"
    assert forecast_time(plan, tmp_path, 1) == expected


def test_what_stays_on_disk_are_records_and_teachers(plan):
    parameters = parameter_count(build(TEACHER.model, DATASETS["digits"]))
    assert forecast_bytes(plan) == 3 * RECORD_BYTES + 4 * parameters


def test_of_several_studies_it_is_told_what_they_share(plan, planned, tmp_path):
    console = Console(file=io.StringIO(), width=100)
    console.print(render_forecasts([(SMALL, plan), (SMALL, make_plan([planned(STUDENT)], {}, tmp_path))], tmp_path))
    told = [
        line.removeprefix("To train").strip() for line in console.file.getvalue().splitlines() if "To train" in line
    ]
    assert told == ["3, of which 1 teach others", "2, of which 1 teach others", "3, of which 1 teach others"]
    assert "2 studies" in console.file.getvalue()
