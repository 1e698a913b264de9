import math
import random

import pytest
from plans import run_of
from settings import PLAIN, STUDENT, TEACHER

from crossarch.platform.scheduling.estimate import duration, kind, makespan, paces, step_count

LONG = PLAIN.replace({"epochs": 5 * PLAIN.epochs, "learning_rate.maximum": 1e-4, "seed": 7})
"""Of PLAIN's kind: the same network on as many images."""


@pytest.mark.parametrize(
    ("images_per_class", "batch_size", "steps_an_epoch"),
    [(2, 20, 1), (2, 7, 3), (1, 100, 1), (10, 100, 1), (10, 99, 2)],
)
def test_steps_are_batches_of_all_epochs_the_last_batch_smaller(images_per_class, batch_size, steps_an_epoch):
    config = PLAIN.replace({"data.images_per_class": images_per_class, "batch_size": batch_size, "epochs": 3})
    assert step_count(config) == 3 * steps_an_epoch


def test_the_kind_is_what_a_step_costs():
    assert kind(PLAIN) == kind(LONG) == kind(TEACHER)
    assert kind(PLAIN) != kind(STUDENT)
    for change in ({"model.width": 0.5}, {"model.norm": "instance"}, {"batch_size": 5}, {"precision": "float64"}):
        assert kind(PLAIN.replace(change)) != kind(PLAIN), change


def test_a_batch_larger_than_the_set_is_the_set():
    assert kind(PLAIN.replace({"batch_size": 20})) == kind(PLAIN.replace({"batch_size": 500}))


def test_the_pace_is_the_median_over_finished_runs_of_a_kind(result):
    seconds = [10.0, 40.0, 20.0]
    results = [result(PLAIN, steps=100, device_seconds=value) for value in seconds]
    results += [result(LONG, "diverged", steps=1, device_seconds=1e6), result(LONG, "failed")]
    results += [result(STUDENT, steps=0, device_seconds=5.0), result(TEACHER, steps=50, device_seconds=20.0)]
    assert paces(results) == {kind(PLAIN): pytest.approx(0.3)}, "of 0.1, 0.2, 0.4 and the teacher's 0.4"


def test_no_history_no_pace():
    assert paces([]) == {}


def test_a_run_takes_its_steps_at_its_kinds_pace():
    pace = {kind(PLAIN): 0.25}
    assert duration(PLAIN, pace) == 0.25 * step_count(PLAIN)
    assert duration(LONG, pace) == 5 * duration(PLAIN, pace)
    assert duration(STUDENT, pace) is None


@pytest.mark.parametrize(("slots", "expected"), [(1, 10), (2, 7), (3, 5), (4, 4), (9, 4), (0, 10)])
def test_runs_take_the_slot_that_is_free_first(slots, expected):
    seconds = {"a": 3, "b": 2, "c": 1, "d": 4}
    assert makespan([run_of(name) for name in seconds], seconds, slots) == expected


def test_nothing_takes_no_time():
    assert makespan([], {}, 2) == 0
    assert makespan([run_of("a")], {}, 2) == 0, "an unknown duration counts as none"


def test_students_begin_when_their_teacher_ends():
    teacher = run_of("t")
    runs = [teacher, run_of("s1", teacher), run_of("s2", teacher)]
    seconds = {"t": 5, "s1": 2, "s2": 3}
    assert makespan(runs, seconds, 1) == 10
    assert makespan(runs, seconds, 2) == 8
    assert makespan(runs, seconds, 3) == 8


def test_a_teacher_that_is_not_to_train_is_not_waited_for():
    assert makespan([run_of("s", run_of("long ago"))], {"s": 2}, 1) == 2


def test_teachers_go_first():
    teacher = run_of("t")
    runs = [run_of("a"), run_of("b"), teacher, run_of("s", teacher)]
    assert makespan(runs, {"a": 4, "b": 4, "t": 4, "s": 4}, 2) == 8


def test_a_chain_takes_the_sum_of_its_links():
    teacher = run_of("t")
    student = run_of("s", teacher)
    runs = [teacher, student, run_of("g", student)]
    assert makespan(runs, {"t": 1, "s": 2, "g": 4}, 3) == 7


@pytest.mark.parametrize("seed", range(50))
def test_no_schedule_beats_the_slots_or_the_longest_chain(seed):
    chance = random.Random(seed)
    names = [f"r{index}" for index in range(chance.randint(1, 20))]
    parents = {name: chance.choice([None, *names[:place]]) for place, name in enumerate(names)}
    made = {}
    for name, parent in parents.items():
        made[name] = run_of(name, made.get(parent))
    runs = list(made.values())
    seconds = {name: chance.uniform(0, 10) for name in names}
    ends: dict[str, float] = {}
    for name, parent in parents.items():
        ends[name] = seconds[name] + ends.get(parent, 0)
    total = sum(seconds.values())
    for slots in (1, 2, 5, 100):
        span = makespan(runs, seconds, slots)
        assert max(total / slots, *ends.values(), 0) <= span * (1 + 1e-12)
        assert span <= total * (1 + 1e-12)
    assert math.isclose(makespan(runs, seconds, 1), total)
