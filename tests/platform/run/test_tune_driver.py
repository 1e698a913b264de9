"""What the queue and the listeners hear of Tune's trials, without Tune."""

import copy
import os
import pickle
import signal
import threading
from types import SimpleNamespace

import pytest
from ray.tune.execution import class_cache
from ray.tune.search import Searcher
from settings import PLAIN, STUDENT, TEACHER

from crossarch.platform.run.agreement import versions
from crossarch.platform.run.estimate import step_count
from crossarch.platform.run.plan import Task, make_plan
from crossarch.platform.run.ready_queue import ReadyQueue
from crossarch.platform.run.site import Site
from crossarch.platform.run.tune_driver import UNBEGUN, Events, Interrupt, QueueSearcher, keep_credentials
from crossarch.trainables.config import from_dict
from crossarch.trainables.identity import run_id
from crossarch.trainables.result import Point

GRANDCHILD = STUDENT.replace({"kd.teacher": STUDENT.to_dict()})

POINT = {"epoch": 1, "train_loss": 2.0, "learning_rate": 1e-3, "keep_rate": 1.0}


class Notes:
    """A listener that writes down what it hears."""

    def __init__(self):
        self.heard = []
        self.results = {}

    def running(self, task):
        self.heard.append(("running", task.run_id))

    def point(self, task, point):
        self.heard.append(("point", task.run_id, point))

    def done(self, task, result):
        assert result.run_id == task.run_id
        self.heard.append(("done", task.run_id, result.outcome))
        self.results[task.run_id] = result


class Study:
    """A queue of runs between a searcher and callbacks, and the trials that Tune would make of them."""

    def __init__(self, tasks, root):
        self.queue, self.notes, self.interrupt = ReadyQueue(tasks), Notes(), Interrupt()
        self.searcher = QueueSearcher(self.queue, Site(root=root, tracking=""), self.interrupt)
        self.events = Events(self.queue, [self.notes], self.interrupt)

    def suggest(self):
        return self.searcher.suggest("trial")

    def start(self):
        """A trial of the next task."""
        trial = SimpleNamespace(config=self.suggest())
        self.events.on_trial_start(0, [], trial)
        return trial

    def report(self, trial, **values):
        self.events.on_trial_result(0, [], trial, values)

    def end(self, trial, result):
        self.report(trial, result=result.to_dict())
        self.events.on_trial_complete(0, [], trial)


@pytest.fixture
def study(planned, tmp_path):
    def make(*configs):
        return Study(make_plan([planned(config) for config in configs], {}, tmp_path).tasks, tmp_path)

    return make


def test_tune_sends_no_credentials_to_its_workers(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    asked = []
    monkeypatch.setattr("ray.remote", lambda runtime_env: asked.append(runtime_env) or (lambda work: work))
    keep_credentials()
    class_cache._ActorClassCache().get(object)
    assert asked
    assert "secret" not in str(asked)


def test_a_trial_is_told_all_that_it_needs(study, tmp_path):
    running = study(STUDENT)
    spec = running.suggest()
    assert from_dict(spec.pop("config")) == TEACHER
    assert spec == {
        "root": str(tmp_path),
        "origin": None,
        "data_root": None,
        "checkpoint_seconds": 30.0,
        "gpu_share": 1.0,
        "versions": versions(),
        "run_id": run_id(TEACHER),
        "keep_weights": True,
        "steps": step_count(TEACHER),
    }


def test_tune_waits_for_teachers_and_is_told_the_end(study, result):
    running = study(STUDENT)
    teacher = running.start()
    assert running.suggest() is None
    running.end(teacher, result(TEACHER))
    student = running.start()
    assert student.config["keep_weights"] is False
    assert running.suggest() is None
    running.end(student, result(STUDENT))
    assert running.suggest() == Searcher.FINISHED


def test_points_and_results_reach_the_listeners_in_order(study, result):
    running = study(PLAIN)
    trial = running.start()
    running.report(trial, point=POINT)
    running.end(trial, result(PLAIN, test_accuracy=50.0))
    name = run_id(PLAIN)
    assert running.notes.heard == [("running", name), ("point", name, Point(**POINT)), ("done", name, "finished")]
    assert running.notes.results[name].test_accuracy == 50.0


def test_a_worker_that_is_replaced_is_no_second_start(study):
    running = study(PLAIN)
    trial = running.start()
    running.events.on_trial_start(0, [], trial)
    assert running.notes.heard == [("running", run_id(PLAIN))]


def test_what_comes_after_the_result_is_passed_over(study, result):
    running = study(PLAIN)
    trial = running.start()
    running.end(trial, result(PLAIN))
    running.report(trial, point=POINT)
    running.report(trial, done=True)
    running.events.on_trial_error(0, [], trial)
    assert [what for what, *_ in running.notes.heard] == ["running", "done"]


def test_a_worker_that_dies_too_often_is_a_failure_and_blocks(study):
    running = study(GRANDCHILD, PLAIN)
    trial = running.start()
    running.events.on_trial_error(0, [], trial)
    results = running.notes.results
    assert results[run_id(TEACHER)].outcome == "failed"
    assert results[run_id(TEACHER)].error.startswith("its worker died 3 times")
    assert results[run_id(STUDENT)].error == f"its teacher {run_id(TEACHER)} failed"
    assert results[run_id(GRANDCHILD)].error == f"its teacher {run_id(STUDENT)} was blocked"
    assert running.start().config["run_id"] == run_id(PLAIN), "the others go on"


def test_a_run_whose_worker_never_starts_is_asked_for_again_and_in_the_end_fails(study):
    """As on a node that was killed, and that Ray does not know to be lost yet."""
    running = study(PLAIN)
    spec = running.suggest()
    for _ in range(UNBEGUN):
        assert running.suggest() is None, "Tune must not believe that there is nothing left"
        running.events.on_trial_error(0, [], SimpleNamespace(config=spec))
        assert running.suggest() == spec
    assert not running.notes.heard

    running.events.on_trial_error(0, [], SimpleNamespace(config=spec))
    assert running.notes.results[run_id(PLAIN)].error.startswith("its worker died 3 times")
    assert running.suggest() == Searcher.FINISHED


def test_a_run_whose_worker_starts_at_the_second_attempt_is_as_any_other(study, result):
    running = study(PLAIN)
    running.events.on_trial_error(0, [], SimpleNamespace(config=running.suggest()))
    running.end(running.start(), result(PLAIN))
    assert running.notes.heard == [("running", run_id(PLAIN)), ("done", run_id(PLAIN), "finished")]
    assert running.suggest() == Searcher.FINISHED


def test_a_run_that_its_worker_refuses_fails_alone_and_says_why(study, result):
    running = study(PLAIN, TEACHER)
    trial = running.start()
    running.report(trial, failed="the node 10.0.0.9 and the driver differ")
    running.events.on_trial_complete(0, [], trial)
    running.end(running.start(), result(TEACHER))
    ends = {name: (end.outcome, end.error) for name, end in running.notes.results.items()}
    assert ends == {
        run_id(PLAIN): ("failed", "the node 10.0.0.9 and the driver differ"),
        run_id(TEACHER): ("finished", None),
    }


def test_a_trial_that_ends_without_a_result_is_a_failure(study):
    running = study(PLAIN)
    running.events.on_trial_complete(0, [], running.start())
    assert running.notes.results[run_id(PLAIN)].error == "it ended without a result"


def test_a_trial_that_is_interrupted_is_no_failure(study):
    running = study(PLAIN, STUDENT)
    trial = running.start()
    running.interrupt.asked = True
    running.events.on_trial_complete(0, [], trial)
    assert running.notes.results == {}
    assert running.suggest() == Searcher.FINISHED, "nothing new begins"
    assert running.interrupt.stop_all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_for_the_end(number):
    interrupt = Interrupt()
    before = signal.getsignal(number)
    with interrupt.on_signals():
        assert not interrupt.stop_all()
        os.kill(os.getpid(), number)
        assert interrupt.stop_all()
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(number) == before
    assert not interrupt("trial", {})


def test_a_second_ctrl_c_does_not_wait():
    def interrupt_twice():
        with Interrupt().on_signals():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupt_twice()
    assert signal.getsignal(signal.SIGINT) == before


def test_tunes_snapshots_leave_out_what_no_pickle_holds(study):
    running = study(PLAIN)
    running.events.listeners.append(threading.Lock())
    for part in (running.events, running.searcher, running.interrupt):
        assert copy.deepcopy(part) is part
        assert vars(pickle.loads(pickle.dumps(part))) == {}  # noqa: S301, our own


def test_a_further_task_that_comes_blocked_is_announced(tmp_path):
    student = Task(run_id=run_id(STUDENT), config=STUDENT, teacher_id=run_id(STUDENT.kd.teacher))
    batches = [[student], None]
    queue, notes = ReadyQueue([], [student.teacher_id], more=lambda: batches.pop(0)), Notes()
    searcher = QueueSearcher(queue, Site(root=tmp_path, tracking=""), Interrupt(), [notes])
    assert searcher.suggest("trial") is None
    assert searcher.suggest("trial") == QueueSearcher.FINISHED
    assert notes.heard == [("done", student.run_id, "blocked")]
