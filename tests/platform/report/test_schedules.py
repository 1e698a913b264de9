"""Figures 5 and 6: their data are the schedules that runs are trained by, and pictures show all of them."""

import csv
import dataclasses
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from crossarch.platform.report.schedules import (
    COLOURS,
    STYLES,
    keep_rate_figure,
    keep_rates,
    learning_rate_figure,
    learning_rates,
    lines,
    recipes,
    rows,
    where,
    write_schedules,
)
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import BASELINE, FULL, TABLE_1, WITHOUT_DP_KD, released_code
from crossarch.search_spaces.study import Axis
from crossarch.trainables.methods.schedules import keep_rate, learning_rate

MISC = "w/o DP & KD; w/o DP; w/o KD; Full"


@pytest.fixture(scope="module")
def paper():
    """Table 1 at the paper's constants."""
    return dataclasses.replace(QUICKSTART, name="paper", arms=TABLE_1, budget=1.0)


@pytest.fixture(scope="module")
def released():
    """The released code's arms on ResNet18 and ResNet50."""
    names = {label: {"model.architecture": label.lower()} for label in ("ConvNet", "ResNet18", "ResNet50")}
    axes = (Axis(name="architecture", choices=names),)
    return dataclasses.replace(QUICKSTART, arms=released_code("batch").arms, axes=axes, budget=1.0)


def by_label(found):
    return {line.label: line.values for line in found}


def test_the_keep_rate_is_the_notes_table(paper):
    ((label, values),) = by_label(lines(paper, keep_rates)).items()
    assert label == "w/o KD; Full"
    assert len(values) == 4000
    starts = [values[epoch] for epoch in (0, 499, 500, 999, 1000, 2500, 2999, 3000, 3999)]
    assert starts == pytest.approx([1, 1, 0.9, 0.9, 0.8, 0.5, 0.5, 0.8, 0.8])


def test_the_learning_rate_is_the_notes_table(paper):
    found = by_label(lines(paper, learning_rates))
    assert list(found) == ["Baseline", MISC]
    assert len(found["Baseline"]) == 1000
    table = {0: 0, 25: 0.5, 50: 1, 499: 0.542937, 500: 0, 550: 0.8, 2999: 0.17791, 3050: 0.262144}
    assert [found[MISC][epoch] / 5e-5 for epoch in table] == pytest.approx(list(table.values()), abs=1e-6)


def test_curves_are_those_that_the_loop_trains_by():
    arms = {arm.name: arm.label for arm in QUICKSTART.arms}
    kept, rates = lines(QUICKSTART, keep_rates), lines(QUICKSTART, learning_rates)
    for plan in QUICKSTART.expand((0,)):
        epochs, label = range(plan.config.epochs), arms[plan.arm]
        (own,) = [line for line in rates if label in line.label.split("; ")]
        assert list(own.values) == [learning_rate(epoch, plan.config) for epoch in epochs]
        drawn = [line for line in kept if label in line.label.split("; ")]
        assert len(drawn) == (plan.config.keep_rate is not None)
        for line in drawn:
            phases = plan.config.phases
            assert list(line.values) == [keep_rate(epoch, plan.config.keep_rate, phases) for epoch in epochs]


def test_an_arm_that_varies_over_the_table_says_where(released):
    kept = by_label(lines(released, keep_rates))
    assert list(kept) == ["w/o KD, ResNet18; Full, ResNet18", "w/o KD, ResNet50; Full, ResNet50"]
    assert [values[2999] for values in kept.values()] == pytest.approx([0.5, 0.35])
    assert list(by_label(lines(released, learning_rates))) == [
        "Baseline",
        "w/o DP & KD; w/o DP",
        "w/o KD; Full; Full, keep rate 1",
    ]


def test_only_what_sets_cells_apart_is_said(paper):
    lowest = Axis(name="p_min", choices={text: {"keep_rate.minimum": float(text)} for text in ("0.4", "0.5", "0.7")})
    study = dataclasses.replace(paper, arms=(FULL,), axes=(lowest, *paper.axes))
    # With S fixed, a minimum of 0.4 is that of 0.5 (notes).
    assert list(by_label(lines(study, keep_rates))) == ["Full, p_min 0.4 / 0.5", "Full, p_min 0.7"]
    among = [(rate, network) for rate in ("0.4", "0.7") for network in ("ResNet18", "VGG11")]
    assert where(study, among[1:2], among) == "p_min 0.4, VGG11"
    assert where(study, [among[0], among[3]], among) == "0.4, ResNet18; 0.7, VGG11"  # no axis alone tells


def test_a_teacher_that_is_no_arm_has_its_own_line_where_it_differs(paper):
    other = WITHOUT_DP_KD.changed({"learning_rate.decay": 0.9})
    study = dataclasses.replace(paper, arms=(BASELINE, dataclasses.replace(FULL, teacher=other)))
    assert list(recipes(study)) == ["Baseline", "Full", "w/o DP & KD (teacher)"]
    assert [line.label for line in lines(study, learning_rates)] == ["Baseline", "Full", "w/o DP & KD (teacher)"]
    study = dataclasses.replace(paper, arms=(BASELINE, FULL))
    assert [line.label for line in lines(study, learning_rates)] == ["Baseline", "Full; w/o DP & KD (teacher)"]


def test_rows_tell_every_epoch_of_every_arm(paper):
    told = {(epoch, arm): (kept, rate) for epoch, arm, kept, rate in rows(paper)}
    assert len(told) == 1000 + 4 * 4000
    assert told[0, "Baseline"] == (None, 5e-4)
    assert told[3000, "Full"] == (0.8, 0)
    assert told[50, "w/o DP"] == (None, 5e-5)


def test_files_are_named_by_the_study_and_repeatable(tmp_path):
    written = write_schedules(QUICKSTART, tmp_path)
    names = ["keep-rate.svg", "keep-rate.png", "learning-rate.svg", "learning-rate.png", "schedules.csv"]
    assert [path.name for path in written] == [f"quickstart-{name}" for name in names]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    first = [path.read_bytes() for path in written]
    assert first[1].startswith(b"\x89PNG")
    words = "".join(ET.fromstring(first[2]).itertext())  # noqa: S314, our own file
    for word in ("quickstart: learning rate", MISC, "Baseline", "W = 50", "T = 50", "S = 300", "Epoch (passes"):
        assert word in words
    table = list(csv.reader(written[4].read_text().splitlines()))
    assert table[0] == ["epoch", "arm", "keep_rate", "learning_rate"]
    assert table[1] == ["0", "Baseline", "", "0.005"]
    assert len(table) == 1 + 100 + 4 * 400
    assert [path.read_bytes() for path in write_schedules(QUICKSTART, tmp_path)] == first


def test_without_drop_path_there_is_no_figure_of_the_keep_rate(tmp_path):
    study = dataclasses.replace(QUICKSTART, arms=(BASELINE,))
    assert [path.suffix for path in write_schedules(study, tmp_path)] == [".svg", ".png", ".csv"]


def test_lines_differ_in_colour_and_style_and_begin_and_end_with_their_run(paper):
    figure = learning_rate_figure("paper", lines(paper, learning_rates))
    upper, lower = figure.axes
    assert [axes.get_ylabel() for axes in (upper, lower)] == ["Learning rate ($10^{-4}$)", "Learning rate ($10^{-5}$)"]
    (baseline,), (other, *marks) = upper.get_lines(), lower.get_lines()
    assert (baseline.get_color(), other.get_color()) == COLOURS[:2]
    assert (baseline.get_linestyle(), other.get_linestyle()) == STYLES[:2]
    assert [line.get_xdata()[-1] for line in (baseline, other)] == [1000, 4000]
    assert [mark.get_xdata()[0] for mark in marks] == [500, 3000]
    assert lower.get_xlim() == (0, 4000)


def test_phases_that_lines_do_not_share_are_not_marked(paper):
    periods = Axis(name="T", choices={str(period): {"phases.period": period} for period in (250, 500)})
    study = dataclasses.replace(paper, arms=(FULL,), axes=(periods, *paper.axes))
    figure = keep_rate_figure("paper", lines(study, keep_rates))
    assert len(figure.axes[0].get_lines()) == 2
    assert len(keep_rate_figure("paper", lines(paper, keep_rates)).axes[0].get_lines()) == 3


def test_no_global_state_of_matplotlib_and_no_torch():
    code = "import sys, crossarch.platform.report.schedules as s; from pathlib import Path; import tempfile\n"
    code += "from crossarch.search_spaces.quickstart import QUICKSTART\n"
    code += "s.write_schedules(QUICKSTART.smoke(), Path(tempfile.mkdtemp()))\n"
    code += "print(*[name for name in ('torch', 'matplotlib.pyplot') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_the_command_prints_what_it_wrote(crossarch, tmp_path):
    answer = crossarch("schedules", "quickstart", "--smoke", "--out", tmp_path / "figures")
    assert (answer.status, answer.err) == (0, "")
    printed = answer.out.splitlines()
    assert len(printed) == 5
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {line.rpartition("/")[2] for line in printed}


def test_the_command_refuses_what_is_no_study_or_folder(crossarch, tmp_path):
    (tmp_path / "file").touch()
    assert crossarch("schedules", "table9").status == 2
    assert crossarch("schedules", "quickstart", "--out", tmp_path / "file").status == 2
