import dataclasses

import pytest
from settings import PLAIN

from crossarch.platform.scheduling.events import LedgerListener, MlflowListener
from crossarch.platform.scheduling.plan import Task
from crossarch.platform.store.ledger import Ledger
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point

TASK = Task(run_id=run_id(PLAIN), config=PLAIN)


@pytest.fixture
def listener(tmp_path):
    return LedgerListener(Ledger(tmp_path), tmp_path)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "checkpoints" / TASK.run_id / "00000001.pt"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_the_ledger_hears_of_results_alone(listener, tmp_path):
    listener.running(TASK)
    listener.point(TASK, Point(epoch=1, train_loss=2.0, learning_rate=1e-3, keep_rate=1.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("outcome", ["finished", "diverged"])
def test_checkpoints_go_once_the_result_is_recorded(listener, checkpoint, result, outcome):
    listener.done(TASK, result(PLAIN, outcome))
    assert listener.ledger.read()[TASK.run_id].outcome == outcome
    assert not checkpoint.parent.exists()


@pytest.mark.parametrize("outcome", ["failed", "blocked"])
def test_checkpoints_stay_for_another_attempt(listener, checkpoint, result, outcome):
    listener.done(TASK, result(PLAIN, outcome, error="why"))
    assert listener.ledger.read()[TASK.run_id].error == "why"
    assert checkpoint.exists()


def test_checkpoints_stay_where_the_ledger_cannot_be_written(listener, checkpoint, result, monkeypatch):
    def full(self, result):
        raise OSError("no space left on device")

    monkeypatch.setattr(Ledger, "write", full)
    with pytest.raises(OSError, match="no space"):
        listener.done(TASK, result(PLAIN))
    assert checkpoint.exists()


class View:
    """In the place of MLflow's writer."""

    def __init__(self):
        self.heard = []

    def running(self, run_id, config):
        self.heard.append("running")

    def point(self, run_id, point):
        self.heard.append("point")

    def done(self, result):
        self.heard.append("done")


@pytest.mark.parametrize(
    ("study", "runs", "heard"),
    [
        ("first", {TASK.run_id}, ["running", "point", "done"]),
        ("second", {TASK.run_id}, ["done"]),
        ("third", {"another"}, []),
    ],
)
def test_a_shared_run_is_shown_while_it_trains_in_the_first_study_alone(result, study, runs, heard):
    view, task = View(), dataclasses.replace(TASK, study="first")
    listener = MlflowListener(view, study, runs)
    listener.running(task)
    listener.point(task, Point(epoch=1, train_loss=2.0, learning_rate=1e-3, keep_rate=1.0))
    listener.done(task, result(PLAIN))
    assert view.heard == heard
