import random

import pytest
from plans import run_of, to_train
from settings import STUDENT

from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.trainables.config.identity import run_id


def queue_of(*runs, **options):
    """A queue of one study that has these runs to train."""
    return ReadyQueue([to_train(runs)], **options)


def names(runs):
    return [run.run_id for run in runs]


def take_all(queue):
    """All that can be taken now."""
    return names(run for (run,) in iter(queue.take, []))


def finish(queue, name, outcome="finished"):
    """Ends a run as `Events` would; the names of those blocked by it."""
    return names(queue.finish(name, outcome))


def work(queue, slots, pick):
    """Takes runs as Tune does, whenever a slot is free, and yields those that end: `pick` chooses from the running."""
    running = []
    while True:
        while len(running) < slots and (items := queue.take()):
            running += items
        if not running:
            assert queue.over, "nothing runs and nothing can be taken, but it is not over"
            return
        ended = pick(running)
        running.remove(ended)
        yield ended


TEACHER = run_of("t")
CHAIN = [TEACHER, run_of("s", TEACHER)]
CHAIN.append(run_of("g", CHAIN[-1]))
"""A teacher, its student, and the student's student."""

FAMILY = [run_of("plain"), TEACHER, run_of("s1", TEACHER), run_of("s2", TEACHER)]


def test_students_wait_for_their_teacher():
    queue = queue_of(*FAMILY)
    assert take_all(queue) == ["t", "plain"]
    assert names(queue.in_state("waiting")) == ["s1", "s2"]
    assert finish(queue, "plain") == []
    assert queue.take() == []
    assert finish(queue, "t") == []
    assert take_all(queue) == ["s1", "s2"]


def test_teachers_are_handed_out_before_others():
    first, second = run_of("t1"), run_of("t2")
    queue = queue_of(run_of("a"), first, run_of("b"), second, run_of("s1", first), run_of("s2", second))
    assert take_all(queue) == ["t1", "t2", "a", "b"]


def test_of_several_studies_the_first_is_served_as_long_as_something_of_it_is_ready():
    other = run_of("u")
    one = [run_of("a"), TEACHER, run_of("s", TEACHER)]
    two = [run_of("b"), other, run_of("v", TEACHER), run_of("w", other)]
    queue = ReadyQueue([to_train(one, "one"), to_train(two, "two")])
    assert names(queue.take(3)) == ["t", "a", "u"], "nothing waits for the teacher"
    finish(queue, "t")
    assert take_all(queue) == ["s", "b", "v"]


def test_a_run_that_studies_share_is_handed_out_once_and_with_the_first_of_them():
    queue = ReadyQueue([to_train([run_of("a"), run_of("b")], "one"), to_train([run_of("c"), run_of("b")], "two")])
    assert [queue.studies(name) for name in "abc"] == [("one",), ("one", "two"), ("two",)]
    assert len(queue) == 3
    assert take_all(queue) == ["a", "b", "c"]


def test_weights_are_kept_that_any_study_wants():
    queue = ReadyQueue([to_train([run_of("a"), run_of("b")], "one", "a")])
    assert queue.keeps_weights == {"a"}
    queue.add(to_train([run_of("b"), run_of("c")], "two", "bc"))
    assert queue.keeps_weights == {"a", "b", "c"}


@pytest.mark.parametrize(("most", "slots", "shares"), [(8, 1, [8, 2]), (4, 2, [4, 3, 2, 1]), (99, 3, [4, 2, 2, 1, 1])])
def test_a_worker_gets_at_most_its_share_of_what_is_ready(most, slots, shares):
    queue = queue_of(*(run_of(str(number)) for number in range(10)))
    assert [len(runs) for runs in iter(lambda: queue.take(most, slots), [])] == shares


def test_several_are_taken_teachers_first_and_in_order():
    queue = queue_of(run_of("a"), run_of("b"), *FAMILY[1:])
    assert names(queue.take(3)) == ["t", "a", "b"]
    assert queue.take(3) == [], "its students wait although it is taken"


def test_what_is_taken_and_not_begun_is_ready_and_not_running():
    queue = queue_of(run_of("a"), run_of("b"))
    queue.take(2)
    assert queue.begin("a").run_id == "a"
    assert (names(queue.in_state("running")), names(queue.in_state("ready"))) == (["a"], ["b"])
    assert queue.take(2) == [], "but nobody else gets it"
    queue.put_back("b")
    assert names(queue.take(2)) == ["b"]


def test_a_student_that_teaches_overtakes_others_once_it_is_ready():
    queue = queue_of(run_of("a"), run_of("b"), *CHAIN)
    assert names(queue.take() + queue.take()) == ["t", "a"]
    finish(queue, "t")
    assert take_all(queue) == ["s", "b"]


@pytest.mark.parametrize("outcome", ["failed", "diverged"])
def test_a_teacher_that_did_not_finish_blocks_its_students(outcome):
    queue = queue_of(*FAMILY)
    take_all(queue)
    assert finish(queue, "t", outcome) == ["s1", "s2"]
    assert names(queue.in_state("blocked")) == ["s1", "s2"]
    assert names(queue.in_state("failed")) == (["t"] if outcome == "failed" else [])
    assert queue.take() == []


def test_blocking_goes_down_the_whole_chain():
    queue = queue_of(*CHAIN)
    take_all(queue)
    assert finish(queue, "t", "diverged") == ["s", "g"]
    assert queue.over


def test_failure_of_a_student_blocks_nobody_beside_it():
    queue = queue_of(*FAMILY)
    take_all(queue)
    finish(queue, "t")
    take_all(queue)
    assert finish(queue, "s1", "failed") == []
    assert finish(queue, "s2") == []


def test_a_teacher_known_to_be_unfit_blocks_from_the_start():
    queue = queue_of(*CHAIN[1:], unfit=["t"])
    assert names(queue.in_state("blocked")) == ["s", "g"]
    assert queue.take() == []
    assert queue.over


def test_a_teacher_that_is_not_to_train_has_taught_before():
    assert take_all(queue_of(*CHAIN[1:])) == ["s"]


def test_a_run_known_already_is_passed_over():
    queue = queue_of(*FAMILY)
    first = queue.take()
    queue.add(to_train(FAMILY))
    assert [*names(first), *take_all(queue)] == ["t", "plain"]


def test_runs_added_later_find_the_state_of_their_teacher():
    good, bad, busy = (run_of(name) for name in ("good", "bad", "busy"))
    queue = queue_of(good, bad, busy)
    for name in take_all(queue):
        queue.begin(name)
    finish(queue, "good")
    finish(queue, "bad", "failed")
    doomed = run_of("s2", bad)
    queue.add(to_train([run_of("s1", good), doomed, run_of("s3", busy), run_of("s4", doomed)]))
    assert names(queue.in_state("ready")) == ["s1"]
    assert names(queue.in_state("waiting")) == ["s3"]
    assert names(queue.in_state("blocked")) == ["s2", "s4"]


def test_it_is_over_when_nothing_is_left_to_take():
    queue = queue_of(*CHAIN)
    assert not queue.over
    for name in ("t", "s", "g"):
        assert not queue.over
        assert names(queue.take()) == [name]
        assert queue.take() == []
        finish(queue, name)
    assert queue.over


def test_it_is_not_over_while_the_last_ones_still_run():
    """As one whose worker never starts is put back, and Tune, once told that nothing will come, does not ask again."""
    queue = queue_of(run_of("a"), run_of("b"))
    take_all(queue)
    finish(queue, "a")
    assert not queue.over
    queue.put_back("b")
    assert names(queue.take()) == ["b"]
    finish(queue, "b")
    assert queue.over


def test_an_empty_queue_is_over_once_it_has_been_asked():
    queue = ReadyQueue([])
    assert queue.take() == []
    assert queue.over


def test_an_empty_answer_means_later_and_none_means_never():
    answers = iter([[], [to_train([run_of("late")])], [], None])
    asked = []

    def more():
        asked.append(len(asked))
        return next(answers)

    queue = queue_of(run_of("early"), more=more)
    assert names(queue.take()) == ["early"]
    assert asked == [], "nobody is asked while something is ready"
    assert queue.take() == []
    assert not queue.over
    assert names(queue.take()) == ["late"]
    finish(queue, "early")
    finish(queue, "late")
    assert queue.take() == []
    assert not queue.over
    assert queue.take() == []
    assert queue.over
    assert queue.take() == []
    assert len(asked) == 4, "None is an answer for ever"


def test_runs_that_come_blocked_are_told_once_with_what_became_of_their_teachers():
    bad, broken = run_of("bad"), run_of("broken")
    doomed = run_of("b", broken)
    late = [run_of("a", bad), doomed, run_of("c", doomed), run_of("d", run_of("unfit")), run_of("e")]
    batches = [[to_train(late)], None]
    queue = queue_of(bad, broken, unfit=["unfit"], more=lambda: batches.pop(0))
    assert queue.blocked_on_arrival() == []
    assert names(queue.take() + queue.take()) == ["bad", "broken"]
    finish(queue, "bad", "diverged")
    finish(queue, "broken", "failed")
    assert names(queue.take()) == ["e"]
    told = [(run.run_id, why) for run, why in queue.blocked_on_arrival()]
    assert told == [("a", "diverged"), ("b", "failed"), ("c", "was blocked"), ("d", "diverged")]
    assert queue.blocked_on_arrival() == []


class RandomSearch:
    """Tries Eq. 2's alpha and the teacher's learning rate at random, at most `parallel` students at a time."""

    def __init__(self, planned, folder, trials=8, parallel=2):
        self.planned, self.folder = planned, folder
        self.trials, self.parallel = trials, parallel
        self.chance = random.Random(0)
        self.students = []
        self.open = 0

    def __call__(self):
        if len(self.students) == self.trials:
            return None
        if self.open == self.parallel:
            return []
        rate = self.chance.choice([1e-3, 2e-3])
        config = STUDENT.replace({"kd.alpha": self.chance.random(), "kd.teacher.learning_rate.maximum": rate})
        self.students.append(run_id(config))
        self.open += 1
        return [make_plan([self.planned(config)], {}, self.folder)]


def test_a_sampler_inside_the_queue_gets_its_students_and_their_teachers(planned, tmp_path):
    search = RandomSearch(planned, tmp_path)
    queue = queue_of(run_of("plain"), more=search)
    order = []
    for item in work(queue, slots=3, pick=lambda running: running[0]):
        assert search.open <= search.parallel
        finish(queue, item.run_id)
        search.open -= item.run_id in search.students
        order.append(item)
    assert names(order)[0] == "plain"
    assert len(set(names(order))) == len(order) == 1 + 8 + 2, "two teachers serve eight students"
    assert set(search.students) < set(names(order))
    for place, item in enumerate(order):
        assert item.teacher is None or item.teacher.run_id in names(order[:place])


def family_tree(chance, size):
    """Random runs: each learns from nobody or from any run before it."""
    runs = []
    for index in range(size):
        runs.append(run_of(f"r{index}", chance.choice([None, *runs])))
    return runs


def ancestors(name, parents):
    while (name := parents[name]) is not None:
        yield name


@pytest.mark.parametrize("seed", range(50))
def test_in_any_tree_everything_is_taken_once_after_its_teacher_or_blocked(seed):
    chance = random.Random(seed)
    runs = family_tree(chance, chance.randint(1, 25))
    parents = {run.run_id: run.teacher and run.teacher.run_id for run in runs}
    outcomes = {name: chance.choice(["finished"] * 6 + ["failed", "diverged"]) for name in parents}
    queue, done, blocked = queue_of(*runs), [], []
    for item in work(queue, slots=chance.randint(1, 4), pick=chance.choice):
        teacher = parents[item.run_id]
        assert teacher is None or (teacher in done and outcomes[teacher] == "finished")
        blocked += finish(queue, item.run_id, outcomes[item.run_id])
        done.append(item.run_id)
    doomed = {name for name in parents if any(outcomes[a] != "finished" for a in ancestors(name, parents))}
    assert sorted(blocked) == sorted(doomed)
    assert sorted(done) == sorted(set(parents) - doomed)
