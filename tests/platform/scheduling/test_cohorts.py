"""Whatever becomes of workers, each run ends once, in its own right, and no finished work is lost."""

import random
from collections import Counter
from types import SimpleNamespace

import pytest
from settings import PLAIN, STUDENT, TEACHER

from crossarch.platform.scheduling.demand import Demand
from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.platform.scheduling.workers import DIED, MAX_REASSIGNMENTS, RETRIES, Cohorts, Packing
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point

GRANDCHILD = STUDENT.replace({"kd.teacher": STUDENT.to_dict()})
SEEDS = [PLAIN.replace({"seed": seed}) for seed in range(4)]
POINT = {"epoch": 1, "train_loss": 2.0, "learning_rate": 1e-3, "keep_rate": 1.0}


class Notes:
    """A listener: the events of each run, the order of all, and the results."""

    def __init__(self):
        self.heard, self.results = [], {}

    def running(self, run):
        self.heard.append(("running", run.run_id))

    def point(self, run, point):
        self.heard.append(("point", run.run_id, point.epoch))

    def done(self, run, result):
        self.heard.append(("done", run.run_id))
        assert run.run_id not in self.results, "it has ended before"
        self.results[run.run_id] = (result.outcome, result.error)


@pytest.fixture
def study(planned, tmp_path):
    def make(*configs, most=8, slots=1, gpus=None):
        queue, notes = ReadyQueue([make_plan([planned(config) for config in configs], {}, tmp_path)]), Notes()
        cohorts = Cohorts(queue, [notes], Packing(Demand(gpus=gpus)), most=most, slots=slots)
        return SimpleNamespace(cohorts=cohorts, queue=queue, notes=notes)

    return make


def ids(configs):
    return [run_id(config) for config in configs]


def given(study, worker):
    cohort = study.cohorts.give(worker)
    return cohort and [run.run_id for run in cohort.left]


def test_a_run_of_a_cohort_is_running_from_its_turn_on_and_done_at_its_end(study, result):
    here, (first, second) = study(*SEEDS[:2]), ids(SEEDS[:2])
    assert given(here, "w") == [first, second]
    assert here.notes.heard == []
    here.cohorts.begin("w")
    here.cohorts.report("w", {"point": POINT})
    here.cohorts.report("w", {"result": result(SEEDS[0]).to_dict()})
    here.cohorts.report("w", {"point": POINT})
    assert here.notes.heard == [
        ("running", first),
        ("point", first, 1),
        ("done", first),
        ("running", second),
        ("point", second, 1),
    ]


def test_students_are_free_as_soon_as_their_teacher_has_ended(study, result):
    here = study(STUDENT, *SEEDS[1:])
    assert given(here, "w") == [run_id(TEACHER), *ids(SEEDS[1:])]
    here.cohorts.begin("w")
    assert given(here, "other") is None
    here.cohorts.report("w", {"result": result(TEACHER).to_dict()})
    assert given(here, "other") == [run_id(STUDENT)]


def test_a_failure_in_a_cohort_is_that_runs_alone(study, result):
    here = study(*SEEDS)
    given(here, "w")
    here.cohorts.begin("w")
    for index, config in enumerate(SEEDS):
        end = result(config, "failed", error="ValueError") if index == 1 else result(config)
        here.cohorts.report("w", {"result": end.to_dict()})
    here.cohorts.ended("w")
    assert Counter(here.notes.results.values()) == {("finished", None): 3, ("failed", "ValueError"): 1}
    assert here.queue.take() == []
    assert here.queue.over


def test_a_run_that_was_stopped_early_is_over_and_the_next_of_its_cohort_begins(study, result):
    here, (first, second) = study(*SEEDS[:2]), ids(SEEDS[:2])
    given(here, "w")
    here.cohorts.begin("w")
    here.cohorts.report("w", {"result": result(SEEDS[0], "stopped", error="low").to_dict()})
    assert here.notes.results == {first: ("stopped", "low")}
    assert [run.run_id for run in here.queue.in_state("stopped")] == [first]
    assert [run.run_id for run in here.queue.in_state("running")] == [second]
    here.cohorts.report("w", {"result": result(SEEDS[1]).to_dict()})
    assert here.queue.take() == []
    assert here.queue.over


def test_only_the_run_that_a_worker_died_of_counts_it(study, result):
    here, names = study(*SEEDS), ids(SEEDS)
    assert given(here, "w") == names
    here.cohorts.begin("w")
    here.cohorts.report("w", {"result": result(SEEDS[0]).to_dict()})
    here.cohorts.died("w")
    assert here.cohorts.deaths == {names[1]: 1}
    assert list(here.notes.results) == names[:1], "what was finished stays so"
    for number in range(RETRIES):
        worker = f"w{number}"
        assert given(here, worker) == names[1:], "what it had not begun is anyone's, and nothing else"
        here.cohorts.begin(worker)
        here.cohorts.died(worker)
    assert here.notes.results[names[1]] == ("failed", DIED)
    assert given(here, "last") == names[2:]
    assert here.cohorts.deaths == {names[1]: RETRIES + 1}


def test_a_worker_that_dies_too_often_blocks_students_and_no_others(study):
    here = study(GRANDCHILD, PLAIN, most=1)
    for number in range(RETRIES + 1):
        assert given(here, f"w{number}") == [run_id(TEACHER)]
        here.cohorts.begin(f"w{number}")
        here.cohorts.died(f"w{number}")
    assert here.notes.results == {
        run_id(TEACHER): ("failed", DIED),
        run_id(STUDENT): ("blocked", f"its teacher {run_id(TEACHER)} failed"),
        run_id(GRANDCHILD): ("blocked", f"its teacher {run_id(STUDENT)} was blocked"),
    }
    assert given(here, "w") == [run_id(PLAIN)]


def test_a_run_whose_worker_never_starts_is_asked_for_again_and_in_the_end_fails(study):
    """As on a node that was killed, and that Ray does not know to be lost yet."""
    here, names = study(*SEEDS[:2]), ids(SEEDS[:2])
    for number in range(MAX_REASSIGNMENTS + 1):
        assert not here.notes.heard
        assert not here.queue.over
        assert given(here, f"w{number}") == names
        here.cohorts.died(f"w{number}")
    assert here.notes.results == {
        names[0]: ("failed", f"its worker could not be started {MAX_REASSIGNMENTS + 1} times")
    }
    assert given(here, "w") == names[1:]
    assert not here.cohorts.deaths


def test_a_refusal_fails_the_run_that_was_to_be_trained(study):
    """As of a node with other versions: the worker ends, and others get the rest."""
    here, names = study(*SEEDS[:3]), ids(SEEDS[:3])
    given(here, "w")
    here.cohorts.begin("w")
    here.cohorts.report("w", {"failed": "the node and the driver differ", "quits": True})
    here.cohorts.ended("w")
    assert here.notes.results == {names[0]: ("failed", "the node and the driver differ")}
    assert here.notes.heard.count(("running", names[1])) == 0
    assert given(here, "other") == names[1:]


def test_after_an_error_of_cudas_the_rest_is_trained_by_another_worker(study, result):
    here, names = study(*SEEDS[:3]), ids(SEEDS[:3])
    given(here, "w")
    here.cohorts.begin("w")
    here.cohorts.report("w", {"result": result(SEEDS[0]).to_dict()})
    here.cohorts.report("w", {"result": result(SEEDS[1], "failed", error="CUDA").to_dict(), "quits": True})
    here.cohorts.died("w")
    assert here.notes.results == {names[0]: ("finished", None), names[1]: ("failed", "CUDA")}
    assert not here.cohorts.deaths
    assert not here.cohorts.unbegun
    assert given(here, "other") == names[2:]


def test_what_comes_after_the_end_is_passed_over(study, result):
    here = study(PLAIN)
    given(here, "w")
    here.cohorts.begin("w")
    here.cohorts.report("w", {"result": result(PLAIN).to_dict()})
    here.cohorts.ended("w")
    here.cohorts.report("w", {"point": POINT})
    here.cohorts.begin("w")
    here.cohorts.died("w")
    assert here.notes.heard == [("running", run_id(PLAIN)), ("done", run_id(PLAIN))]


def test_out_of_memory_a_run_is_tried_with_more_of_a_gpu_and_then_fails(study, result):
    here, names = study(*SEEDS[:2], gpus=0.25), ids(SEEDS[:2])
    shares = []
    for worker in "abc":
        cohort = here.cohorts.give(worker)
        shares.append(cohort.share)
        here.cohorts.begin(worker)
        here.cohorts.report(worker, {"out_of_memory": "OutOfMemoryError"})
        if worker == "a":
            here.cohorts.report(worker, {"result": result(SEEDS[1]).to_dict()})
        here.cohorts.ended(worker)
    assert shares == [0.25, 0.5, 1.0]
    assert here.notes.results == {names[1]: ("finished", None), names[0]: ("failed", "OutOfMemoryError")}
    assert not here.cohorts.deaths


def drive(here, chance, result, outcomes, trouble):
    """Workers that come and go until nothing is left; of each run so many `trouble`s at most, as chance has it."""
    workers, number, troubled = [], 0, Counter()
    while True:
        while len(workers) < here.cohorts.slots and (cohort := here.cohorts.give(f"w{number}")):
            workers.append((f"w{number}", cohort))
            here.cohorts.begin(f"w{number}")
            number += 1
        if not workers:
            return
        worker, cohort = chance.choice(workers)
        run = cohort.left[0]
        if chance.random() < trouble and troubled[run.run_id] < RETRIES:
            troubled[run.run_id] += 1
            here.cohorts.died(worker)
        elif chance.random() < 0.5:
            here.cohorts.report(worker, {"point": POINT})
        else:
            here.cohorts.report(worker, {"result": result(run.config, outcomes[run.run_id]).to_dict()})
            if not cohort.left:
                here.cohorts.ended(worker)
        if not cohort.left:
            workers.remove((worker, cohort))


@pytest.mark.parametrize("seed", range(20))
def test_the_results_are_the_same_whatever_the_cohorts_and_the_deaths(study, result, seed):
    chance = random.Random(seed)
    family = [config.replace({"seed": number}) for number in range(3) for config in (PLAIN, STUDENT, GRANDCHILD)]
    outcomes, endings = {}, []
    for most, slots, trouble in ((1, 1, 0.0), (1, 3, 0.2), (8, 2, 0.2), (3, 4, 0.0)):
        here = study(*family, most=most, slots=slots)
        runs = [run for state in ("ready", "waiting") for run in here.queue.in_state(state)]
        outcomes = outcomes or {run.run_id: chance.choice(["finished"] * 4 + ["failed", "diverged"]) for run in runs}
        drive(here, chance, result, outcomes, trouble)
        assert here.queue.over
        assert set(here.notes.results) == {run.run_id for run in runs}
        begun = {}
        for place, (what, name, *_) in enumerate(here.notes.heard):
            begun.setdefault((what, name), place)
        for run in runs:
            if run.teacher and ("running", run.run_id) in begun:
                assert begun["done", run.teacher.run_id] < begun["running", run.run_id], "a student before its teacher"
        endings.append({name: outcome for name, (outcome, _) in here.notes.results.items()})
    assert all(ending == endings[0] for ending in endings)


def test_a_point_is_passed_on_as_it_was_told(study):
    here, told = study(PLAIN), []
    here.cohorts.listeners.append(
        SimpleNamespace(running=lambda run: None, point=lambda run, point: told.append(point))
    )
    given(here, "w")
    here.cohorts.begin("w")
    here.cohorts.report("w", {"point": POINT})
    assert told == [Point(**POINT)]
