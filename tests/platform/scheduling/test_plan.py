import random

import pytest
from plans import needed_by
from settings import PLAIN, STUDENT, TEACHER

from crossarch.platform.scheduling.plan import make_plan, merged, teaching
from crossarch.platform.scheduling.queue import ReadyQueue
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
    return [run.config for run in plan.todo]


def test_a_teacher_comes_first_and_once_for_all_its_students(plan):
    made = plan([PLAIN, STUDENT, OTHER])
    assert trained(made) == [PLAIN, TEACHER, STUDENT, OTHER]
    assert teaching(made.todo) == made.keeps_weights == {run_id(TEACHER)}
    assert [run.teacher and run.teacher.run_id for run in made.todo] == [None, None, run_id(TEACHER), run_id(TEACHER)]
    assert [run.run_id for run in made.todo] == [run_id(config) for config in trained(made)]


def test_runs_are_the_cells_in_order_and_then_the_teachers(plan):
    made = plan([OTHER, STUDENT, PLAIN])
    assert list(made.runs) == [run_id(config) for config in (OTHER, STUDENT, PLAIN, TEACHER)]
    assert all(run.run_id == name == run_id(run.config) for name, run in made.runs.items())
    assert list(made.cells) == [run_id(config) for config in (OTHER, STUDENT, PLAIN)]
    ((name, teacher),) = made.teachers.items()
    assert (name, teacher.arm, teacher.cell) == (run_id(TEACHER), "recipe", ("teaching",))


def test_a_run_in_two_cells_stands_for_the_first(planned, tmp_path):
    made = make_plan([planned(PLAIN, "one", ("a",)), planned(PLAIN, "two", ("b",))], {}, tmp_path)
    (run,) = made.cells.values()
    assert (run.arm, run.cell) == ("one", ("a",))
    assert made.teachers == {}
    assert trained(made) == [PLAIN]


def test_what_the_ledger_has_is_not_trained_again(plan):
    made = plan([PLAIN, STUDENT], {PLAIN: "finished", STUDENT: "diverged", TEACHER: "finished"})
    assert trained(made) == []
    assert made.done == 3
    assert set(made.results) == set(made.runs) == {run_id(config) for config in (PLAIN, STUDENT, TEACHER)}


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
    assert made.todo[0].teacher.run_id == run_id(TEACHER)
    assert made.keeps_weights == frozenset()


def test_a_teacher_without_weights_is_trained_again_while_a_student_needs_it(plan):
    assert trained(plan([STUDENT, OTHER], {TEACHER: "finished", OTHER: "finished"})) == [TEACHER, STUDENT]
    assert trained(plan([STUDENT, OTHER], dict.fromkeys([TEACHER, STUDENT, OTHER], "finished"))) == []


def test_weights_without_a_result_do_not_teach(plan):
    """They may be of a run that was killed before the ledger had it: its result is still to come."""
    assert trained(plan([STUDENT], kept=[TEACHER])) == [TEACHER, STUDENT]


def test_a_teacher_that_nobody_needs_any_more_is_not_trained(plan):
    made = plan([STUDENT], {STUDENT: "finished"})
    assert trained(made) == []
    assert len(made.runs) == 2


def test_a_diverged_teacher_is_not_trained_again(plan):
    assert trained(plan([STUDENT], {TEACHER: "diverged"})) == [STUDENT]


@pytest.mark.parametrize("cells", [[TEACHER, STUDENT], [STUDENT, TEACHER]])
def test_a_teacher_that_is_a_cell_is_one_run_whose_weights_are_kept(plan, cells):
    made = plan(cells)
    assert trained(made) == [TEACHER, STUDENT]
    assert made.keeps_weights == {run_id(TEACHER)}
    assert (list(made.cells), made.teachers) == ([run_id(config) for config in cells], {})


def test_teachers_have_teachers(plan):
    made = plan([GRANDCHILD])
    assert trained(made) == [TEACHER, STUDENT, GRANDCHILD]
    assert teaching(made.todo) == made.keeps_weights == {run_id(TEACHER), run_id(STUDENT)}
    assert list(made.cells) == [run_id(GRANDCHILD)]
    assert list(made.teachers) == [run_id(STUDENT), run_id(TEACHER)]


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
    assert made.keeps_weights == {run_id(STUDENT)}
    assert teaching(made.todo) == {run_id(TEACHER)}, "which is not to be trained"
    assert make_plan(cells, results, tmp_path).todo == ()

    results[run_id(STUDENT)] = result(STUDENT, "diverged")
    assert make_plan(cells, results, tmp_path, analysed=True).todo == ()


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_ledger_has_teachers_come_first_and_nothing_is_done_twice(result, tmp_path, seed):
    chance = random.Random(seed)
    planned = list(find("quickstart").expand())
    configs = {name: run.config for name, run in needed_by(planned).items()}
    outcomes = ["finished", "finished", "diverged", "failed", "blocked"]
    results = {name: result(c, chance.choice(outcomes)) for name, c in configs.items() if chance.random() < 0.6}
    for name in configs:
        if chance.random() < 0.5:
            (tmp_path / f"{name}.pt").touch()

    made = make_plan(planned, results, tmp_path)
    names = [run.run_id for run in made.todo]
    assert len(set(names)) == len(names)
    lacking = {run_id(p.config) for p in planned if not (known := results.get(run_id(p.config))) or not known.is_result}
    assert {name for name in names if name not in teaching(made.todo) or name in lacking} == lacking
    assert made.keeps_weights == teaching(made.todo) & set(names)
    for place, run in enumerate(made.todo):
        if run.teacher is not None and run.teacher.run_id not in names[:place]:
            teacher = results[run.teacher.run_id]
            assert teacher.outcome == "diverged" or (tmp_path / f"{run.teacher.run_id}.pt").exists()


def test_what_studies_share_is_trained_once_for_all_that_they_want_of_it(planned, result, tmp_path):
    """TEACHER is a cell of the one, teaches in the other; STUDENT is analysed by the other alone."""
    results = {run_id(PLAIN): result(PLAIN)}
    one = make_plan([planned(PLAIN), planned(TEACHER)], results, tmp_path, study="one")
    other = make_plan([planned(STUDENT), planned(PLAIN)], {}, tmp_path, analysed=True, study="other")
    both = merged([one, other])
    assert trained(both) == [TEACHER, STUDENT, PLAIN]
    assert both.study == "one, other"
    queue = ReadyQueue([one, other])
    assert [queue.studies(run.run_id) for run in both.todo] == [("one", "other"), ("other",), ("other",)]
    assert teaching(both.todo) == {run_id(TEACHER)}
    assert one.keeps_weights == frozenset()
    assert both.keeps_weights == queue.keeps_weights == {run_id(each) for each in (TEACHER, STUDENT, PLAIN)}
    assert list(both.runs) == [run_id(each) for each in (PLAIN, TEACHER, STUDENT)]
    assert both.teachers == {}, "a cell of the one"
    assert both.runs == {**other.runs, **one.runs}, "where the first study has it"
    assert both.results == results


@pytest.mark.parametrize("names", [("table2", "table4", "figure8"), ("figure8", "table4", "table2")])
def test_whatever_their_order_a_teacher_comes_before_its_students(tmp_path, names):
    plans = [make_plan(find(name).expand((0,)), {}, tmp_path, study=name) for name in names]
    whole = merged(plans)
    places = {run.run_id: place for place, run in enumerate(whole.todo)}
    assert set(places) == {run.run_id for plan in plans for run in plan.todo}
    assert len(places) == len(whole.todo) < sum(len(plan.todo) for plan in plans)
    students = [run for run in whole.todo if run.teacher]
    assert all(places[run.teacher.run_id] < places[run.run_id] for run in students)
    assert {run.teacher.run_id for run in students} == whole.keeps_weights
