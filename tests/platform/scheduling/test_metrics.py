"""What the driver and the runs tell Prometheus, as Ray's metric objects hear it."""

from typing import ClassVar

import pytest
import ray.util.metrics
from settings import PLAIN, STUDENT, TEACHER

from crossarch.platform.scheduling import events
from crossarch.platform.scheduling.events import MetricsListener
from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.trainables import tune as trainable
from crossarch.trainables.config.identity import run_id


class Recorder:
    """In the place of a metric of Ray's: values by name and tags."""

    values: ClassVar[dict] = {}

    def __init__(self, name, description, tag_keys):
        self.name, self.keys = name, tag_keys

    def set(self, value, tags):
        assert set(tags) == set(self.keys)
        self.values[self.name, *tags.values()] = value

    def inc(self, value, tags):
        self.set(self.values.get((self.name, *tags.values()), 0) + value, tags)


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(Recorder, "values", {})
    monkeypatch.setattr(events, "Gauge", Recorder)
    monkeypatch.setattr(events, "Counter", Recorder)
    monkeypatch.setattr(trainable, "Gauge", Recorder)
    return Recorder.values


@pytest.fixture
def queue(planned, tmp_path):
    """PLAIN, and STUDENT with its teacher."""
    return ReadyQueue([make_plan([planned(PLAIN), planned(STUDENT)], {}, tmp_path, study="s")])


def states(told, study="s"):
    found = {state: told["crossarch_runs", study, state] for state in ("waiting", "ready", "running", "done", "failed")}
    return {state: count for state, count in found.items() if count}


def test_runs_are_counted_by_state(told, queue, result):
    listener = MetricsListener(queue)
    assert states(told) == {"waiting": 1, "ready": 2}
    (teacher,) = queue.take()
    queue.begin(teacher.run_id)
    listener.running(teacher)
    assert states(told) == {"waiting": 1, "ready": 1, "running": 1}
    assert teacher.run_id == run_id(TEACHER)
    queue.finish(teacher.run_id, "finished")
    listener.done(teacher, result(TEACHER, training_seconds=2.0, device_seconds=3.0))
    assert states(told) == {"ready": 2, "done": 1}


def test_each_study_counts_the_runs_that_are_trained_for_it(told, planned, result, tmp_path):
    plans = [make_plan([planned(each)], {}, tmp_path, study=name) for each, name in ((PLAIN, "s"), (STUDENT, "t"))]
    queue = ReadyQueue(plans)
    listener = MetricsListener(queue)
    (run,) = queue.take()
    queue.finish(run.run_id, "finished")
    listener.done(run, result(PLAIN, device_seconds=2.0))
    assert (states(told), states(told, "t")) == ({"done": 1}, {"waiting": 1, "ready": 1})
    assert ("crossarch_runs_ended_total", "s", "finished") in told
    assert not any(key[:2] == ("crossarch_runs_ended_total", "t") for key in told)


def test_outcomes_and_device_seconds_add_up(told, queue, result):
    listener = MetricsListener(queue)
    (run,) = queue.take()
    for outcome, seconds in (("finished", 3.0), ("finished", 4.0), ("failed", None), ("diverged", 0.5)):
        listener.done(run, result(TEACHER, outcome, device_seconds=seconds))
    ended = {key[2]: value for key, value in told.items() if key[0] == "crossarch_runs_ended_total"}
    spent = {key[2]: value for key, value in told.items() if key[0] == "crossarch_device_seconds_total"}
    assert ended == {"finished": 2, "failed": 1, "diverged": 1}
    assert spent == {"finished": 7.0, "diverged": 0.5}


def test_a_run_tells_its_steps_a_second(told):
    seconds = iter([100.0, 102.0, 102.5, 102.5, 104.5])
    pace = trainable.Pace("resnet18", steps_an_epoch=10.0, clock=lambda: next(seconds))
    key = ("crossarch_steps_per_second", "resnet18")
    pace.tell(4)  # goes on from a checkpoint: what came before is not known
    assert key not in told
    pace.tell(8)
    assert told[key] == 20.0
    pace.tell(9)
    assert told[key] == 20.0
    pace.tell(9)  # the same epoch again
    pace.tell(10)
    assert told[key] == 5.0
    pace.end()
    assert told[key] == 0


def test_the_names_are_ones_that_prometheus_takes():
    """Ray drops a metric of another name with a warning, which is an error here."""
    ray.util.metrics.Gauge("crossarch_runs", "", ("study", "state")).set(1, {"study": "s", "state": "done"})
    ray.util.metrics.Counter("crossarch_device_seconds_total", "", ("study",)).inc(1.5, {"study": "s"})
