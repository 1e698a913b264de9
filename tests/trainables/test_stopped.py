"""A run that is told to end early ends at that report, is no result, and can be trained in full afterwards."""

from pathlib import Path

import pytest
from settings import EPOCHS, PLAIN, make

from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point
from crossarch.trainables.training.execute import Workplace, execute

pytestmark = pytest.mark.usefixtures("few_everywhere")

TESTED = make("convnet", "batch", "per_step")


def at(epoch: int) -> object:
    return lambda point: "too low" if point.epoch == epoch else None


@pytest.mark.parametrize("config", [PLAIN, TESTED, PLAIN.replace({"engine": "fast"})])
def test_it_ends_where_it_is_told_to_without_any_accuracy(tmp_path: Path, config) -> None:
    heard: list[Point] = []

    def report(point: Point) -> str | None:
        heard.append(point)
        return "too low" if point.epoch == 3 else None

    result = execute(config, Workplace(root=tmp_path), keep_weights=True, on_report=report)

    assert (result.outcome, result.error) == ("stopped", f"after epoch 3 of {EPOCHS}: too low")
    assert (result.test_accuracy, result.test_loss, result.validation_accuracy) == (None, None, None)
    assert result.best_test_accuracy is None
    assert result.curve == tuple(heard)
    assert heard[-1].epoch == 3
    assert result.steps == 3 * 2
    assert 0 < result.training_seconds < result.device_seconds
    assert result.environment
    assert not result.is_result
    assert not list(tmp_path.glob("weights/*"))


def test_a_run_that_is_done_is_not_stopped(tmp_path: Path) -> None:
    assert execute(PLAIN, Workplace(root=tmp_path), on_report=at(EPOCHS)).outcome == "finished"


@pytest.mark.parametrize("every", [0.0, 1e9])
def test_in_full_it_is_what_it_would_have_been(tmp_path: Path, every: float) -> None:
    """Whether a checkpoint is left or none."""
    whole = execute(PLAIN, Workplace(root=tmp_path / "whole"))
    workplace = Workplace(root=tmp_path / "stopped", checkpoint_seconds=every)
    assert execute(PLAIN, workplace, on_report=at(4)).outcome == "stopped"
    again = execute(PLAIN, workplace)

    assert (again.test_accuracy, again.test_loss, again.curve) == (whole.test_accuracy, whole.test_loss, whole.curve)


def test_a_driver_ends_it_by_a_file_and_none_does_so_by_default(tmp_path: Path) -> None:
    path = tmp_path / "stops" / run_id(PLAIN)
    path.parent.mkdir()
    path.write_text("too low")

    asked, not_asked = Workplace(root=tmp_path, stops="stops"), Workplace(root=tmp_path)
    assert asked.why_stop(PLAIN) == "too low"
    assert not_asked.why_stop(PLAIN) is None
