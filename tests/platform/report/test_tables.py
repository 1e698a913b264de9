"""The table as data: what is averaged, what is counted, what is absent."""

import dataclasses

import pytest

from crossarch.platform.report.tables import STATES, build_table
from crossarch.platform.report.wording import caption
from crossarch.search_spaces.recipes import BASELINE, FULL, WITHOUT_DP_KD
from crossarch.trainables.config.identity import run_id


@pytest.fixture
def table(study, results):
    return build_table(study, study.seeds, results)


def states(**given):
    return dict.fromkeys(STATES, 0) | given


def test_rows_are_arms_and_columns_networks(table):
    assert table.networks == ("ConvNet", "ResNet18")
    assert [(row.arm, row.choices) for row in table.rows] == [("Baseline", ()), ("Full", ())]


def test_finished_runs_are_averaged_by_hand(table):
    reference, deep = table.rows[0].cells
    assert (reference.accuracy.mean, reference.accuracy.std, reference.accuracy.n) == (82, 2, 3)
    assert (deep.accuracy.mean, deep.accuracy.n) == (72, 2)
    assert deep.accuracy.std == pytest.approx(8**0.5)


def test_gaps_are_measured_from_the_first_arm_of_the_teachers_network(table):
    assert [cell.gap for cell in table.rows[0].cells] == [None, -10]
    assert table.rows[1].cells[1].gap == 3.5
    assert "In brackets: points above or below Baseline, ConvNet." in caption(table)


def test_diverged_failed_blocked_and_missing_runs_are_counted_and_never_averaged(study, table, make_results):
    assert table.rows[0].cells[1].counts == states(finished=2, diverged=1)
    assert table.rows[1].cells[1].counts == states(finished=1, failed=1, missing=1)
    for outcome in ("diverged", "failed", "blocked"):
        found = make_results(study, {("baseline", "ConvNet"): [80.0, 82.0, outcome]})
        ruined = {
            name: dataclasses.replace(result, test_accuracy=result.test_accuracy or 10.0)
            for name, result in found.items()
        }
        assert build_table(study, study.seeds, ruined).rows[0].cells[0].accuracy.mean == 81


def test_a_cell_with_a_run_that_was_stopped_early_has_no_mean_and_no_gap(study, make_results):
    """What accuracy has left of its seeds would say too much."""
    table = build_table(
        study,
        study.seeds,
        make_results(
            study, {("baseline", "ConvNet"): [80.0, 82.0, 84.0], ("baseline", "ResNet18"): [70.0, "stopped", 74.0]}
        ),
    )
    reference, cell = table.rows[0].cells
    assert (cell.accuracy, cell.gap) == (None, None)
    assert cell.counts == states(finished=2, stopped=1)
    assert reference.accuracy.n == 3


def test_runs_that_were_stopped_early_are_told_after_those_that_failed(study, make_results):
    told = {("baseline", "ConvNet"): ["stopped", 82.0, 84.0], ("baseline", "ResNet18"): [70.0, "failed", 74.0]}
    found = build_table(study, study.seeds, make_results(study, told)).failures
    assert [(run.outcome, run.error) for run in found] == [("failed", "it was failed"), ("stopped", "it was stopped")]


def test_an_absent_cell_is_not_a_missing_one(study):
    empty = build_table(study, study.seeds, {})
    absent, missing = empty.rows[1].cells
    assert absent is None
    assert missing.counts == states(missing=3)
    assert missing.accuracy is None
    assert missing.gap is None


def test_a_network_to_which_no_arm_applies_is_no_column(study):
    table = build_table(dataclasses.replace(study, arms=(FULL,)), study.seeds, {})
    assert table.networks == ("ResNet18",)
    assert [len(row.cells) for row in table.rows] == [1]
    assert [teacher.network for teacher in table.teachers] == ["ConvNet"]


def test_there_is_no_gap_without_a_finished_reference(study, make_results):
    results = make_results(study, {("baseline", "ResNet18"): [70.0, 71.0, 72.0]})
    cell = build_table(study, study.seeds, results).rows[0].cells[1]
    assert (cell.accuracy.mean, cell.gap) == (71, None)


def test_seeds_limit_what_is_counted(study, results):
    table = build_table(study, (1,), results)
    assert table.rows[0].cells[1].accuracy.mean == 74
    assert table.rows[0].cells[1].accuracy.std is None
    assert table.counts == states(finished=3, failed=1)


def test_teachers_that_are_no_cell_are_summarised(table):
    (teacher,) = table.teachers
    assert (teacher.arm, teacher.network, teacher.choices) == ("w/o DP & KD", "ConvNet", ())
    assert (teacher.cell.accuracy.mean, teacher.cell.accuracy.n, teacher.cell.gap) == (90.5, 2, 8.5)
    assert teacher.cell.counts == states(finished=2, blocked=1)


def test_a_teacher_that_is_a_cell_is_not_told_twice(study, make_results):
    study = dataclasses.replace(study, arms=(BASELINE, WITHOUT_DP_KD, FULL))
    accuracies = {("without_dp_kd", "ConvNet"): [90.0, 91.0, 92.0]}
    table = build_table(study, study.seeds, make_results(study, accuracies))
    assert table.teachers == ()
    assert table.rows[1].cells[0].accuracy.mean == 91
    assert len(table.runs) == 15


def test_teachers_of_teachers_are_found(study):
    grand = dataclasses.replace(
        WITHOUT_DP_KD, name="middle", label="Middle", teacher=BASELINE, changes=FULL.changes | {"keep_rate": None}
    )
    study = dataclasses.replace(study, arms=(dataclasses.replace(FULL, teacher=grand),))
    table = build_table(study, (0,), {})
    assert [teacher.arm for teacher in table.teachers] == ["Middle", "Baseline"]


def test_failures_say_which_run_and_why(study, table):
    told = [(run.arm, run.cell, run.seed, run.outcome, run.error) for run in table.failures]
    assert told == [
        ("w/o DP & KD", ("ConvNet",), 2, "blocked", "it was blocked"),
        ("Baseline", ("ResNet18",), 2, "diverged", "it was diverged"),
        ("Full", ("ResNet18",), 1, "failed", "it was failed"),
    ]
    planned = {run_id(plan.config): plan for plan in study.expand()}
    assert planned[table.failures[1].run_id].arm == "baseline"
    assert [(run.arm, run.seed) for run in table.runs if run.outcome == "missing"] == [("Full", 2)]


def test_counts_are_of_distinct_runs(study, table):
    assert table.counts == states(finished=8, diverged=1, failed=1, blocked=1, missing=1)
    twin = dataclasses.replace(BASELINE, name="twin")
    doubled = build_table(dataclasses.replace(study, arms=(BASELINE, twin)), study.seeds, {})
    assert doubled.counts == states(missing=6)


def test_other_axes_join_the_rows_and_gaps_stay_within_a_choice(wide_study, make_results):
    study = wide_study(2)
    results = {}
    for images, convnet, resnet in ((1, 40.0, 30.0), (10, 80.0, 75.0)):
        part = make_results(study, {("baseline", "ConvNet"): [convnet] * 3, ("baseline", "ResNet0"): [resnet] * 3})
        results |= {name: each for name, each in part.items() if each.config.data.images_per_class == images}
    table = build_table(study, study.seeds, results)
    assert table.axes == ("IPC",)
    assert [(row.choices, row.arm) for row in table.rows] == [
        (("1 a class",), "Baseline"),
        (("1 a class",), "Full"),
        (("10 a class",), "Baseline"),
        (("10 a class",), "Full"),
    ]
    assert [table.rows[row].cells[1].gap for row in (0, 2)] == [-10, -5]
    assert [teacher.choices for teacher in table.teachers] == [("1 a class",), ("10 a class",)]


def test_conditions_are_those_of_the_studys_own_runs(study, results, make_results):
    other = make_results(study.smoke(), {("baseline", "ConvNet"): [1.0] * 3}, environment={"cpu": "another"})
    known = build_table(study, study.seeds, results | other).conditions
    assert (known.runs, known.training_seconds) == (11, 110)
    assert known.hardware == ("Z80, 2 cores",)
    assert known.software == ("torch 2.13.0, python 3.11.7",)
    assert known.commits == ("abc123",)


@pytest.mark.parametrize(
    ("environment", "hardware"),
    [
        ({}, ()),
        ({"device": "cpu"}, ("cpu",)),
        ({"device": "cpu", "cpu": "Z80"}, ("Z80",)),
        ({"device": "H100", "cpu": "Z80", "cores": 16}, ("H100, Z80, 16 cores",)),
        ({"device": None, "cores": ""}, ()),
    ],
)
def test_conditions_leave_out_what_is_unknown(study, make_results, environment, hardware):
    results = make_results(study, {("baseline", "ConvNet"): [1.0] * 3}, environment=environment)
    known = build_table(study, study.seeds, results).conditions
    assert known.hardware == hardware
    assert known.commits == ()
