"""What the queue and the listeners hear of Tune's trials, without Tune."""

import copy
import os
import pickle
import signal
import threading
from types import SimpleNamespace

import pytest
from plans import run_of, to_train
from ray.tune.execution import class_cache
from ray.tune.search import Searcher
from settings import PLAIN, STUDENT, TEACHER

from crossarch.platform.scheduling.estimate import step_count
from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.tune import Events, Interrupt, QueueSearcher, keep_credentials
from crossarch.platform.scheduling.version_check import versions
from crossarch.platform.scheduling.workers import Cohorts, Packing
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import from_dict

POINT = {"epoch": 1, "train_loss": 2.0, "learning_rate": 1e-3, "keep_rate": 1.0}


class Notes:
    """A listener that writes down what it hears."""

    def __init__(self):
        self.heard = []
        self.results = {}

    def running(self, run):
        self.heard.append(("running", run.run_id))

    def point(self, run, point):
        self.heard.append(("point", run.run_id, point))

    def done(self, run, result):
        assert result.run_id == run.run_id
        self.heard.append(("done", run.run_id, result.outcome))
        self.results[run.run_id] = result


class Study:
    """A queue of runs between a searcher and callbacks, and the trials that Tune would make of them."""

    def __init__(self, plan, root, most=1):
        self.notes, self.interrupt, site = Notes(), Interrupt(), Site(root=root, tracking="")
        cohorts = Cohorts(ReadyQueue([plan]), [self.notes], Packing(site.demand), most=most)
        self.searcher = QueueSearcher(cohorts, site, self.interrupt)
        self.events = Events(cohorts, self.interrupt)
        self.trials = 0

    def suggest(self):
        self.trials += 1
        return self.searcher.suggest(str(self.trials))

    def make(self):
        """A trial of the next runs, without a worker yet."""
        return SimpleNamespace(config=self.suggest(), trial_id=str(self.trials))

    def start(self):
        """A trial of the next runs."""
        trial = self.make()
        self.events.on_trial_start(0, [], trial)
        return trial

    def report(self, trial, **values):
        self.events.on_trial_result(0, [], trial, values)

    def end(self, trial, result):
        self.report(trial, result=result.to_dict())
        self.events.on_trial_complete(0, [], trial)


@pytest.fixture
def study(planned, tmp_path):
    def make(*configs, **options):
        return Study(make_plan([planned(config) for config in configs], {}, tmp_path), tmp_path, **options)

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
    spec = study(STUDENT, PLAIN, most=2).suggest()
    configs = [from_dict(run.pop("config")) for run in spec["runs"]]
    assert configs == [TEACHER, PLAIN]
    assert spec == {
        "root": str(tmp_path),
        "origin": None,
        "data_root": None,
        "checkpoint_seconds": 30.0,
        "gpu_share": 1.0,
        "versions": versions(),
        "runs": [
            {"run_id": run_id(TEACHER), "keep_weights": True, "steps": step_count(TEACHER)},
            {"run_id": run_id(PLAIN), "keep_weights": False, "steps": step_count(PLAIN)},
        ],
    }


def test_tune_waits_for_teachers_and_is_told_the_end(study, result):
    running = study(STUDENT)
    teacher = running.start()
    assert running.suggest() is None
    running.end(teacher, result(TEACHER))
    student = running.start()
    assert student.config["runs"][0]["keep_weights"] is False
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
    running.events.on_trial_recover(0, [], trial)
    running.events.on_trial_start(0, [], trial)
    assert running.notes.heard == [("running", run_id(PLAIN))]


def test_a_worker_that_is_replaced_has_no_run_of_its_cohort_twice(study, result):
    """As when a machine is taken away with notice, which Tune counts as no failure."""
    running = study(PLAIN, TEACHER, STUDENT, most=2)
    trial = running.start()
    running.report(trial, result=result(TEACHER).to_dict())
    running.events.on_trial_recover(0, [], trial)
    assert [run["run_id"] for run in trial.config["runs"]] == [run_id(PLAIN)]
    running.events.on_trial_start(0, [], trial)
    running.end(trial, result(PLAIN))
    assert [what for what, *_ in running.notes.heard] == ["running", "done"] * 2
    assert running.start().config["runs"][0]["run_id"] == run_id(STUDENT)


def test_what_comes_after_the_result_is_passed_over(study, result):
    running = study(PLAIN)
    trial = running.start()
    running.end(trial, result(PLAIN))
    running.report(trial, point=POINT)
    running.report(trial, done=True)
    running.events.on_trial_error(0, [], trial)
    assert [what for what, *_ in running.notes.heard] == ["running", "done"]


def test_a_run_whose_worker_dies_is_given_to_another(study, result):
    running = study(PLAIN)
    trial = running.start()
    running.events.on_trial_error(0, [], trial)
    assert not running.notes.results
    running.end(running.start(), result(PLAIN))
    assert running.notes.results[run_id(PLAIN)].outcome == "finished"
    assert running.suggest() == Searcher.FINISHED


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
    running.events.cohorts.listeners.append(threading.Lock())
    for part in (running.events, running.searcher, running.interrupt):
        assert copy.deepcopy(part) is part
        assert vars(pickle.loads(pickle.dumps(part))) == {}  # noqa: S301, our own


def test_a_further_run_that_comes_blocked_is_announced(tmp_path):
    teacher = run_of(run_id(TEACHER), config=TEACHER)
    student = run_of(run_id(STUDENT), teacher, STUDENT)
    batches = [[to_train([student])], None]
    queue, notes = ReadyQueue([], [teacher.run_id], more=lambda: batches.pop(0)), Notes()
    site = Site(root=tmp_path, tracking="")
    searcher = QueueSearcher(Cohorts(queue, [notes], Packing(site.demand)), site, Interrupt())
    assert searcher.suggest("trial") is None
    assert searcher.suggest("trial") == QueueSearcher.FINISHED
    assert notes.heard == [("done", student.run_id, "blocked")]
