import random

import pytest
from settings import PLAIN, STUDENT, TEACHER

from crossarch.platform.scheduling.plan import make_plan, merged
from crossarch.search_spaces.catalog import find
from crossarch.trainables.config.identity import run_id

OTHER = STUDENT.replace({"kd.alpha": 0.25})
"""Learns from the same teacher as STUDENT."""

GRANDCHILD = STUDENT.replace({"kd.teacher": STUDENT.to_dict()})
"""Learns from STUDENT, which learns from TEACHER."""


@pytest.fixture
def plan(planned, result, tmp_path):
    """The plan of some runs, when the ledger has some outcomes and the folder of weights some files."""

    def make(configs, outcomes=(), kept=()):
        for config in kept:
            (tmp_path / f"{run_id(config)}.pt").touch()
        results = {run_id(config): result(config, outcome) for config, outcome in dict(outcomes).items()}
        return make_plan([planned(config) for config in configs], results, tmp_path)

    return make


def trained(plan):
    return [task.config for task in plan.tasks]


def test_a_teacher_comes_first_and_once_for_all_its_students(plan):
    made = plan([PLAIN, STUDENT, OTHER])
    assert trained(made) == [PLAIN, TEACHER, STUDENT, OTHER]
    assert [task.teaches for task in made.tasks] == [False, True, False, False]
    assert [task.teacher_id for task in made.tasks] == [None, None, run_id(TEACHER), run_id(TEACHER)]
    assert [task.run_id for task in made.tasks] == [run_id(config) for config in trained(made)]


def test_members_are_the_cells_in_order_and_then_the_teachers(plan):
    members = plan([OTHER, STUDENT, PLAIN]).members
    assert [member.run_id for member in members] == [run_id(config) for config in (OTHER, STUDENT, PLAIN, TEACHER)]
    assert [member.role for member in members] == ["cell", "cell", "cell", "teacher"]
    assert (members[-1].arm, members[-1].cell) == ("recipe", ("teaching",))


def test_a_run_in_two_cells_is_one_member_in_the_first(planned, tmp_path):
    made = make_plan([planned(PLAIN, "one", ("a",)), planned(PLAIN, "two", ("b",))], {}, tmp_path)
    (member,) = made.members
    assert (member.arm, member.cell) == ("one", ("a",))
    assert trained(made) == [PLAIN]


def test_what_the_ledger_has_is_not_trained_again(plan):
    made = plan([PLAIN, STUDENT], {PLAIN: "finished", STUDENT: "diverged", TEACHER: "finished"})
    assert trained(made) == []
    assert made.done == 3
    assert set(made.results) == set(made.configs) == {run_id(config) for config in (PLAIN, STUDENT, TEACHER)}


@pytest.mark.parametrize("outcome", ["failed", "blocked"])
def test_what_failed_or_was_blocked_is_tried_again(plan, outcome):
    made = plan([PLAIN, STUDENT], {PLAIN: outcome, STUDENT: outcome, TEACHER: outcome})
    assert trained(made) == [PLAIN, TEACHER, STUDENT]
    assert made.done == 0


def test_what_was_stopped_early_is_trained_in_full_unless_it_is_to_stay_so(planned, result, tmp_path):
    results = {each.run_id: each for each in (result(PLAIN, "stopped"), result(TEACHER, "failed"))}
    cells = [planned(PLAIN), planned(TEACHER)]
    assert trained(make_plan(cells, results, tmp_path)) == [PLAIN, TEACHER]
    kept = make_plan(cells, results, tmp_path, keeps_stopped=True)
    assert trained(kept) == [TEACHER]
    assert kept.done == 0, "it is no result"


def test_a_teacher_that_was_stopped_early_is_trained_in_full_whatever_stays_so(planned, result, tmp_path):
    results = {run_id(TEACHER): result(TEACHER, "stopped")}
    assert trained(make_plan([planned(STUDENT)], results, tmp_path, keeps_stopped=True)) == [TEACHER, STUDENT]


def test_results_of_other_studies_are_passed_over(plan):
    made = plan([PLAIN], {OTHER: "finished"})
    assert made.results == {}
    assert made.done == 0


def test_a_trained_teacher_with_weights_teaches_at_once(plan):
    made = plan([STUDENT], {TEACHER: "finished"}, kept=[TEACHER])
    assert trained(made) == [STUDENT]
    assert made.tasks[0].teacher_id == run_id(TEACHER)


def test_a_teacher_without_weights_is_trained_again_while_a_student_needs_it(plan):
    assert trained(plan([STUDENT, OTHER], {TEACHER: "finished", OTHER: "finished"})) == [TEACHER, STUDENT]
    assert trained(plan([STUDENT, OTHER], dict.fromkeys([TEACHER, STUDENT, OTHER], "finished"))) == []


def test_weights_without_a_result_do_not_teach(plan):
    """They may be of a run that was killed before the ledger had it: its result is still to come."""
    assert trained(plan([STUDENT], kept=[TEACHER])) == [TEACHER, STUDENT]


def test_a_teacher_that_nobody_needs_any_more_is_not_trained(plan):
    made = plan([STUDENT], {STUDENT: "finished"})
    assert trained(made) == []
    assert len(made.members) == 2


def test_a_diverged_teacher_is_not_trained_again(plan):
    assert trained(plan([STUDENT], {TEACHER: "diverged"})) == [STUDENT]


@pytest.mark.parametrize("cells", [[TEACHER, STUDENT], [STUDENT, TEACHER]])
def test_a_teacher_that_is_a_cell_is_one_task_that_teaches(plan, cells):
    made = plan(cells)
    assert trained(made) == [TEACHER, STUDENT]
    assert made.tasks[0].teaches
    assert [member.role for member in made.members] == ["cell", "cell"]


def test_teachers_have_teachers(plan):
    made = plan([GRANDCHILD])
    assert trained(made) == [TEACHER, STUDENT, GRANDCHILD]
    assert [task.teaches for task in made.tasks] == [True, True, False]
    assert [member.role for member in made.members] == ["cell", "teacher", "teacher"]


def test_only_the_missing_end_of_a_chain_is_trained(plan):
    done = dict.fromkeys([TEACHER, STUDENT], "finished")
    assert trained(plan([GRANDCHILD], done, kept=[STUDENT])) == [GRANDCHILD]


def test_lost_weights_are_trained_again_as_far_up_as_needed(plan):
    done = dict.fromkeys([TEACHER, STUDENT], "finished")
    assert trained(plan([GRANDCHILD], done)) == [TEACHER, STUDENT, GRANDCHILD]
    assert trained(plan([GRANDCHILD], done, kept=[TEACHER])) == [STUDENT, GRANDCHILD]


def test_runs_to_be_analysed_are_trained_again_where_their_weights_are_gone(planned, result, tmp_path):
    cells = [planned(PLAIN), planned(STUDENT)]
    results = {run_id(config): result(config, "finished") for config in (PLAIN, TEACHER, STUDENT)}
    for config in (PLAIN, TEACHER):
        (tmp_path / f"{run_id(config)}.pt").touch()
    made = make_plan(cells, results, tmp_path, analysed=True)
    assert trained(made) == [STUDENT]
    assert made.tasks[0].keeps_weights
    assert not made.tasks[0].teaches
    assert make_plan(cells, results, tmp_path).tasks == ()

    results[run_id(STUDENT)] = result(STUDENT, "diverged")
    assert make_plan(cells, results, tmp_path, analysed=True).tasks == ()


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_ledger_has_teachers_come_first_and_nothing_is_done_twice(result, tmp_path, seed):
    chance = random.Random(seed)
    planned = list(find("quickstart").expand())
    configs = make_plan(planned, {}, tmp_path).configs
    outcomes = ["finished", "finished", "diverged", "failed", "blocked"]
    results = {name: result(c, chance.choice(outcomes)) for name, c in configs.items() if chance.random() < 0.6}
    for name in configs:
        if chance.random() < 0.5:
            (tmp_path / f"{name}.pt").touch()

    tasks = make_plan(planned, results, tmp_path).tasks
    names = [task.run_id for task in tasks]
    assert len(set(names)) == len(names)
    lacking = {run_id(p.config) for p in planned if not (known := results.get(run_id(p.config))) or not known.is_result}
    assert {task.run_id for task in tasks if not task.teaches or task.run_id in lacking} == lacking
    for place, task in enumerate(tasks):
        if task.teacher_id is not None and task.teacher_id not in names[:place]:
            teacher = results[task.teacher_id]
            assert teacher.outcome == "diverged" or (tmp_path / f"{task.teacher_id}.pt").exists()


def test_what_studies_share_is_trained_once_for_all_that_they_want_of_it(planned, result, tmp_path):
    """TEACHER is a cell of the one, teaches in the other; STUDENT is analysed by the other alone."""
    results = {run_id(PLAIN): result(PLAIN)}
    one = make_plan([planned(PLAIN), planned(TEACHER)], results, tmp_path, study="one")
    other = make_plan([planned(STUDENT), planned(PLAIN)], {}, tmp_path, analysed=True, study="other")
    both = merged([one, other])
    assert trained(both) == [TEACHER, STUDENT, PLAIN]
    assert [task.study for task in both.tasks] == ["one", "other", "other"]
    assert [(task.teaches, task.analysed) for task in both.tasks] == [(True, True), (False, True), (False, True)]
    assert [member.run_id for member in both.members] == [run_id(each) for each in (PLAIN, TEACHER, STUDENT)]
    assert both.configs == {**one.configs, **other.configs}
    assert both.results == results


@pytest.mark.parametrize("names", [("table2", "table4", "figure8"), ("figure8", "table4", "table2")])
def test_whatever_their_order_a_teacher_comes_before_its_students(tmp_path, names):
    plans = [make_plan(find(name).expand((0,)), {}, tmp_path, study=name) for name in names]
    tasks = merged(plans).tasks
    places = {task.run_id: place for place, task in enumerate(tasks)}
    assert set(places) == {task.run_id for plan in plans for task in plan.tasks}
    assert len(places) == len(tasks) < sum(len(plan.tasks) for plan in plans)
    students = [task for task in tasks if task.teacher_id]
    assert all(places[task.teacher_id] < places[task.run_id] for task in students)
    assert {task.teacher_id for task in students} == {task.run_id for task in tasks if task.teaches}
