"""What a terminal of 80 columns shows."""

import dataclasses
import io
import re

import pytest
from rich.console import Console

from crossarch.platform.report.tables import build_table
from crossarch.platform.report.terminal import SHOWN_FAILURES, render_report, render_status
from crossarch.platform.text import duration


def shown(view, width=80):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(view)
    return console.file.getvalue()


def report(study, results, width=80):
    return shown(render_report(build_table(study, study.seeds, results), width), width)


def squeezed(text):
    return " ".join(text.split())


def test_numbers_read_like_the_papers(study, results):
    text = report(study, results)
    assert re.search(r"Baseline +82\.0 ± 2\.0 +72\.0 ± 2\.8 \(-10\.0\)", text)
    assert re.search(r"Full +– +85\.5 \(\+3\.5\) *\n +n = 1", text)


def test_a_gap_that_rounds_to_zero_has_no_minus(study, make_results):
    accuracies = {("baseline", "ConvNet"): [80.0] * 3, ("baseline", "ResNet18"): [79.99] * 3}
    assert "80.0 ± 0.0 (+0.0)" in report(study, make_results(study, accuracies))


def test_a_single_run_says_so_and_gets_no_spread(study, make_results):
    text = report(study, make_results(study, {("baseline", "ConvNet"): [80.0, None, None]}))
    row = next(line for line in text.splitlines() if line.startswith("Baseline"))
    assert "80.0" in row
    assert "±" not in row
    assert "n = 1" in text
    assert "2 missing" in text


def test_a_single_seed_says_so_in_every_cell(study, make_results):
    results = make_results(study, {("baseline", "ConvNet"): [80.0] * 3, ("baseline", "ResNet18"): [80.0] * 3})
    text = shown(render_report(build_table(study, (1,), results)))
    assert re.search(r"Baseline +80\.0 +80\.0 \(\+0\.0\) *\n +n = 1 +n = 1", text)
    assert "a single run with seed 1" in text
    assert "±" not in text


def test_absent_and_missing_cells_differ(study):
    assert re.search(r"Full +– +not yet run", report(study, {}))
    assert "± " not in re.sub("mean ±", "", report(study, {}))


def test_question_teacher_failures_and_conditions_are_told(study, results):
    text = squeezed(report(study, results))
    assert study.question in text
    assert "w/o DP & KD, ConvNet: 90.5 ± 0.7 (+8.5), n = 2, 1 blocked" in text
    assert "Baseline, ResNet18, seed 2" in text
    assert "diverged it was diverged" in text
    assert "n = 3 a cell" in text
    for told in ("Training 1 min 50 s in all", "Hardware Z80, 2 cores", "Commit abc123"):
        assert told in text


@pytest.mark.parametrize("networks", range(2, 10))
def test_no_width_breaks_a_number(wide_study, make_results, networks):
    study = wide_study(networks)
    deep = {("full", f"ResNet{number}"): [60.0 + number, 70.0 + number, "failed"] for number in range(networks - 1)}
    results = make_results(study, deep | {("baseline", "ConvNet"): [100.0, 99.0, 98.0]})
    text = report(study, results)
    assert max(map(len, text.splitlines())) <= 80
    # ResNets share a configuration: the last accuracies told are those of all.
    mean = 65.0 + networks - 2
    assert len(re.findall(rf"{mean:.1f} ± 7\.1", text)) == 2 * (networks - 1)
    assert len(re.findall(rf"\({mean - 99:+.1f}\)", text)) == 2 * (networks - 1)
    assert len(re.findall(r"99\.0 ± 1\.0", text)) == 2


def test_labels_give_way_to_numbers(study, results):
    study = dataclasses.replace(study, arms=tuple(dataclasses.replace(arm, label="label " * 9) for arm in study.arms))
    text = report(study, results, 18)
    assert max(map(len, text.splitlines())) <= 18
    for told in ("82.0 ± 2.0", "72.0 ± 2.8", "(-10.0)", "1 diverged"):
        assert told in text
    status = shown(render_status(build_table(study, study.seeds, results)), 50)
    assert re.search("Finished +Diverged +Failed +Blocked +Missing", status)


def test_columns_that_do_not_fit_go_into_a_further_piece(wide_study):
    text = report(wide_study(9), {})
    assert len(re.findall(r"^IPC +Arm", text, re.MULTILINE)) == 3
    assert all(f"ResNet{number}" in text for number in range(8))


def test_names_and_errors_are_not_read_as_markup(study, make_results):
    study = dataclasses.replace(study, question="Is [bold]this[/] [/nothing] read?")
    results = make_results(study, {("baseline", "ConvNet"): ["failed"] * 3}, error="\x1b[31m[red]a\nb\x07")
    text = report(study, results)
    assert "[bold]this[/] [/nothing]" in text
    assert "[red]a b" in text
    assert "\x1b" not in text


def test_many_failures_are_cut_and_said_to_be(wide_study, make_results):
    study = wide_study(2)
    failed = {
        ("baseline", "ConvNet"): ["failed"] * 3,
        ("baseline", "ResNet0"): ["failed"] * 3,
        "teacher": ["failed"] * 3,
    }
    text = report(study, make_results(study, failed))
    assert text.count("it was failed") == SHOWN_FAILURES
    assert f"and {18 - SHOWN_FAILURES} more" in text


def test_status_counts_by_arm_and_network(study, results):
    lines = shown(render_status(build_table(study, study.seeds, results))).splitlines()
    assert lines[0] == "small: 8 of 12 runs finished"
    assert lines[1].split() == ["Arm", "Network", "Finished", "Diverged", "Failed", "Blocked", "Missing"]
    rows = {tuple(line.split()[:-5]): [int(number) for number in line.split()[-5:]] for line in (*lines[3:7], lines[8])}
    assert rows == {
        ("Baseline", "ConvNet"): [3, 0, 0, 0, 0],
        ("Baseline", "ResNet18"): [2, 1, 0, 0, 0],
        ("Full", "ResNet18"): [1, 0, 1, 0, 1],
        ("w/o", "DP", "&", "KD", "(teacher)", "ConvNet"): [2, 0, 0, 1, 0],
        ("All", "runs"): [8, 1, 1, 1, 1],
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3900, "1 h 5 min"),
        (3.6e6, "1,000 h 0 min"),
    ],
)
def test_durations_read_naturally(seconds, text):
    assert duration(seconds) == text
