import random

import pytest
from settings import PLAIN, STUDENT

from crossarch.platform.scheduling.plan import Task, make_plan
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.trainables.config.identity import run_id


def task(name, teacher=None, *, teaches=False, study=""):
    return Task(run_id=name, config=PLAIN, teacher_id=teacher, teaches=teaches, study=study)


def names(tasks):
    return [item.run_id for item in tasks]


def take_all(queue):
    """All that can be taken now."""
    return names(task for (task,) in iter(queue.take, []))


def finish(queue, name, outcome="finished"):
    """Ends a running task as `Events` would; the names of those blocked by it."""
    return names(queue.finish(name, outcome))


def work(queue, slots, pick):
    """Takes tasks as Tune does, whenever a slot is free, and yields those that end: `pick` chooses from the running."""
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


CHAIN = [task("t", teaches=True), task("s", "t", teaches=True), task("g", "s")]
"""A teacher, its student, and the student's student."""

FAMILY = [task("plain"), task("t", teaches=True), task("s1", "t"), task("s2", "t")]


def test_students_wait_for_their_teacher():
    queue = ReadyQueue(FAMILY)
    assert take_all(queue) == ["t", "plain"]
    assert names(queue.in_state("waiting")) == ["s1", "s2"]
    assert finish(queue, "plain") == []
    assert queue.take() == []
    assert finish(queue, "t") == []
    assert take_all(queue) == ["s1", "s2"]


def test_teachers_are_handed_out_before_others():
    queue = ReadyQueue([task("a"), task("t1", teaches=True), task("b"), task("t2", teaches=True)])
    assert take_all(queue) == ["t1", "t2", "a", "b"]


def test_of_several_studies_the_first_is_served_as_long_as_something_of_it_is_ready():
    one = [task("a", study="one"), task("t", teaches=True, study="one"), task("s", "t", study="one")]
    two = [task("b", study="two"), task("u", teaches=True, study="two"), task("v", "t", study="two")]
    queue = ReadyQueue([*one, *two])
    assert names(queue.take(3)) == ["t", "a", "u"], "nothing waits for the teacher"
    finish(queue, "t")
    assert take_all(queue) == ["s", "b", "v"]


@pytest.mark.parametrize(("most", "slots", "shares"), [(8, 1, [8, 2]), (4, 2, [4, 3, 2, 1]), (99, 3, [4, 2, 2, 1, 1])])
def test_a_worker_gets_at_most_its_share_of_what_is_ready(most, slots, shares):
    queue = ReadyQueue([task(str(number)) for number in range(10)])
    assert [len(tasks) for tasks in iter(lambda: queue.take(most, slots), [])] == shares


def test_several_are_taken_teachers_first_and_in_order():
    queue = ReadyQueue([task("a"), task("b"), *FAMILY[1:]])
    assert names(queue.take(3)) == ["t", "a", "b"]
    assert queue.take(3) == [], "its students wait although it is taken"


def test_what_is_taken_and_not_begun_is_ready_and_not_running():
    queue = ReadyQueue([task("a"), task("b")])
    queue.take(2)
    assert queue.begin("a").run_id == "a"
    assert (names(queue.in_state("running")), names(queue.in_state("ready"))) == (["a"], ["b"])
    assert queue.take(2) == [], "but nobody else gets it"
    queue.put_back("b")
    assert names(queue.take(2)) == ["b"]


def test_a_student_that_teaches_overtakes_others_once_it_is_ready():
    queue = ReadyQueue([task("a"), task("b"), *CHAIN])
    assert names(queue.take() + queue.take()) == ["t", "a"]
    finish(queue, "t")
    assert take_all(queue) == ["s", "b"]


@pytest.mark.parametrize("outcome", ["failed", "diverged"])
def test_a_teacher_that_did_not_finish_blocks_its_students(outcome):
    queue = ReadyQueue(FAMILY)
    take_all(queue)
    assert finish(queue, "t", outcome) == ["s1", "s2"]
    assert names(queue.in_state("blocked")) == ["s1", "s2"]
    assert names(queue.in_state("failed")) == (["t"] if outcome == "failed" else [])
    assert queue.take() == []


def test_blocking_goes_down_the_whole_chain():
    queue = ReadyQueue(CHAIN)
    take_all(queue)
    assert finish(queue, "t", "diverged") == ["s", "g"]
    assert queue.over


def test_failure_of_a_student_blocks_nobody_beside_it():
    queue = ReadyQueue(FAMILY)
    take_all(queue)
    finish(queue, "t")
    take_all(queue)
    assert finish(queue, "s1", "failed") == []
    assert finish(queue, "s2") == []


def test_a_teacher_known_to_be_unfit_blocks_from_the_start():
    queue = ReadyQueue(CHAIN[1:], unfit=["t"])
    assert names(queue.in_state("blocked")) == ["s", "g"]
    assert queue.take() == []
    assert queue.over


def test_a_teacher_that_is_no_task_has_taught_before():
    assert take_all(ReadyQueue(CHAIN[1:])) == ["s"]


def test_a_task_known_already_is_passed_over():
    queue = ReadyQueue(FAMILY)
    first = queue.take()
    queue.add(FAMILY)
    assert [*names(first), *take_all(queue)] == ["t", "plain"]


def test_tasks_added_later_find_the_state_of_their_teacher():
    queue = ReadyQueue([task("good", teaches=True), task("bad", teaches=True), task("busy", teaches=True)])
    for name in take_all(queue):
        queue.begin(name)
    finish(queue, "good")
    finish(queue, "bad", "failed")
    queue.add([task("s1", "good"), task("s2", "bad", teaches=True), task("s3", "busy"), task("s4", "s2")])
    assert names(queue.in_state("ready")) == ["s1"]
    assert names(queue.in_state("waiting")) == ["s3"]
    assert names(queue.in_state("blocked")) == ["s2", "s4"]


def test_it_is_over_when_nothing_is_left_to_take():
    queue = ReadyQueue(CHAIN)
    assert not queue.over
    for name in ("t", "s", "g"):
        assert not queue.over
        assert names(queue.take()) == [name]
        assert queue.take() == []
        finish(queue, name)
    assert queue.over


def test_it_is_not_over_while_the_last_ones_still_run():
    """As one whose worker never starts is put back, and Tune, once told that nothing will come, does not ask again."""
    queue = ReadyQueue([task("a"), task("b")])
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
    answers = iter([[], [task("late")], [], None])
    asked = []

    def more():
        asked.append(len(asked))
        return next(answers)

    queue = ReadyQueue([task("early")], more=more)
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


def test_tasks_that_come_blocked_are_told_once_with_what_became_of_their_teachers():
    batches = [[task("a", "bad"), task("b", "broken"), task("c", "b"), task("d", "unfit"), task("e")], None]
    queue = ReadyQueue(
        [task("bad", teaches=True), task("broken", teaches=True)], ["unfit"], more=lambda: batches.pop(0)
    )
    assert queue.blocked_on_arrival() == []
    assert names(queue.take() + queue.take()) == ["bad", "broken"]
    finish(queue, "bad", "diverged")
    finish(queue, "broken", "failed")
    assert names(queue.take()) == ["e"]
    told = [(item.run_id, why) for item, why in queue.blocked_on_arrival()]
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
        return list(make_plan([self.planned(config)], {}, self.folder).tasks)


def test_a_sampler_inside_the_queue_gets_its_students_and_their_teachers(planned, tmp_path):
    search = RandomSearch(planned, tmp_path)
    queue = ReadyQueue([task("plain")], more=search)
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
        assert item.teacher_id is None or item.teacher_id in names(order[:place])


def family_tree(chance, size):
    """Random tasks: each learns from nobody or from any task before it."""
    parents = {f"r{index}": chance.choice([None, *(f"r{i}" for i in range(index))]) for index in range(size)}
    teaching = set(parents.values())
    return [task(name, parent, teaches=name in teaching) for name, parent in parents.items()]


def ancestors(name, parents):
    while (name := parents[name]) is not None:
        yield name


@pytest.mark.parametrize("seed", range(50))
def test_in_any_tree_everything_is_taken_once_after_its_teacher_or_blocked(seed):
    chance = random.Random(seed)
    tasks = family_tree(chance, chance.randint(1, 25))
    parents = {item.run_id: item.teacher_id for item in tasks}
    outcomes = {name: chance.choice(["finished"] * 6 + ["failed", "diverged"]) for name in parents}
    queue, done, blocked = ReadyQueue(tasks), [], []
    for item in work(queue, slots=chance.randint(1, 4), pick=chance.choice):
        assert item.teacher_id is None or (item.teacher_id in done and outcomes[item.teacher_id] == "finished")
        blocked += finish(queue, item.run_id, outcomes[item.run_id])
        done.append(item.run_id)
    doomed = {name for name in parents if any(outcomes[a] != "finished" for a in ancestors(name, parents))}
    assert sorted(blocked) == sorted(doomed)
    assert sorted(done) == sorted(set(parents) - doomed)
