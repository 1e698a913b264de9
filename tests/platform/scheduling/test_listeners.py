import pytest
from plans import run_of, to_train
from settings import PLAIN

from crossarch.platform.scheduling.events import LedgerListener, MlflowListener
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.store.ledger import Ledger
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point

RUN = run_of(run_id(PLAIN))


@pytest.fixture
def listener(tmp_path):
    return LedgerListener(Ledger(tmp_path), tmp_path)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "checkpoints" / RUN.run_id / "00000001.pt"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_the_ledger_hears_of_results_alone(listener, tmp_path):
    listener.running(RUN)
    listener.point(RUN, Point(epoch=1, train_loss=2.0, learning_rate=1e-3, keep_rate=1.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("outcome", ["finished", "diverged"])
def test_checkpoints_go_once_the_result_is_recorded(listener, checkpoint, result, outcome):
    listener.done(RUN, result(PLAIN, outcome))
    assert listener.ledger.read()[RUN.run_id].outcome == outcome
    assert not checkpoint.parent.exists()


@pytest.mark.parametrize("outcome", ["failed", "blocked"])
def test_checkpoints_stay_for_another_attempt(listener, checkpoint, result, outcome):
    listener.done(RUN, result(PLAIN, outcome, error="why"))
    assert listener.ledger.read()[RUN.run_id].error == "why"
    assert checkpoint.exists()


def test_checkpoints_stay_where_the_ledger_cannot_be_written(listener, checkpoint, result, monkeypatch):
    def full(self, result):
        raise OSError("no space left on device")

    monkeypatch.setattr(Ledger, "write", full)
    with pytest.raises(OSError, match="no space"):
        listener.done(RUN, result(PLAIN))
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
    ("study", "heard"), [("first", ["running", "point", "done"]), ("second", ["done"]), ("third", [])]
)
def test_a_shared_run_is_shown_while_it_trains_in_the_first_study_alone(result, study, heard):
    another = to_train([run_of("another")], "third")
    view, queue = View(), ReadyQueue([to_train([RUN], "first"), to_train([RUN], "second"), another])
    listener = MlflowListener(view, study, queue)
    listener.running(RUN)
    listener.point(RUN, Point(epoch=1, train_loss=2.0, learning_rate=1e-3, keep_rate=1.0))
    listener.done(RUN, result(PLAIN))
    assert view.heard == heard
