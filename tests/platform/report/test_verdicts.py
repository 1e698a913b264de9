"""Ours against the paper's: margins by hand, and every verdict."""

import dataclasses
import io
import math

import pytest
from rich.console import Console

from crossarch.platform.report import verdicts
from crossarch.platform.report.markdown import render_markdown
from crossarch.platform.report.stats import Summary, summarize
from crossarch.platform.report.tables import STATES, Cell, build_table
from crossarch.platform.report.terminal import render_report
from crossarch.search_spaces.study import Published

T_2, T_4, T_8, T_32 = 4.302653, 2.776445, 2.306004, 2.036933
"""Student's t, 97.5 %, as tables print it."""


def printed(accuracy, std=None, images_per_class=10):
    return Published(
        table=2,
        dataset="cifar10",
        distiller="frepo",
        images_per_class=images_per_class,
        method="Full",
        network="ResNet18",
        accuracy=accuracy,
        std=std,
    )


def cell(known, accuracies=(), **counts):
    counted = dict.fromkeys(STATES, 0) | {"finished": len(accuracies)} | counts
    return Cell(accuracy=summarize(accuracies) if accuracies else None, gap=None, counts=counted, published=known)


def test_the_half_width_of_three_seeds_is_students_t_over_the_root_of_three():
    assert verdicts.half_width(summarize([60.0, 61.0, 62.0])) == pytest.approx(T_2 / math.sqrt(3), abs=1e-5)


def test_welch_with_equal_spreads_is_the_two_sample_interval():
    ours = Summary(mean=60.0, std=1.0, n=3)
    assert verdicts.welch(ours, 1.0, 3) == pytest.approx(T_4 * math.sqrt(2 / 3), abs=1e-5)


def test_welch_with_one_spread_alone_is_students_interval():
    ours = Summary(mean=60.0, std=1.0, n=3)
    assert verdicts.welch(ours, 0.0, 3) == pytest.approx(verdicts.half_width(ours))
    assert verdicts.welch(Summary(mean=60.0, std=0.0, n=3), 0.0, 3) == 0


def test_welch_is_as_scipy_has_it():
    from scipy.stats import ttest_ind_from_stats

    ours = Summary(mean=60.0, std=1.7, n=5)
    edge = ours.mean + verdicts.welch(ours, 0.4, 3)
    assert ttest_ind_from_stats(edge, 1.7, 5, 60.0, 0.4, 3, equal_var=False).pvalue == pytest.approx(0.05)


def test_deviations_are_pooled_as_root_mean_square():
    assert verdicts.pooled([3.0, 4.0], 3) == (pytest.approx(math.sqrt(12.5)), 4)
    with pytest.raises(ValueError, match="spreads = "):
        verdicts.pooled([], 3)


def test_the_tolerance_is_from_table_7_at_the_same_images_per_class():
    squares_10 = (0.5**2 + 0.9**2 + 0.2**2 + 0.9**2) / 4  # the four numbers of IPC 10, as printed
    assert verdicts.tolerance(10) == pytest.approx(T_8 * math.sqrt(squares_10 / 3), abs=1e-5)
    ipc_1 = [2.5, 0.9, 1.1, 1.9, 0.5, 0.7, 0.6, 1.4, 1.0, 0.6, 1.3, 1.4, 0.6, 0.1, 0.4, 1.0]
    assert verdicts.tolerance(1) == pytest.approx(T_32 * math.sqrt(sum(s * s for s in ipc_1) / 16 / 3), abs=1e-5)
    assert verdicts.tolerance(1) > verdicts.tolerance(10) > verdicts.tolerance(50)
    with pytest.raises(ValueError, match="spreads = "):
        verdicts.tolerance(7)


def test_the_margin_takes_the_papers_spread_or_assumes_one():
    ours = summarize([60.0, 61.0, 62.0])
    assert verdicts.margin(ours, printed(60.0, 1.0)) == pytest.approx(T_4 * math.sqrt(2 / 3) + 0.05, abs=1e-5)
    assumed = T_2 / math.sqrt(3) + verdicts.tolerance(10) + 0.05
    assert verdicts.margin(ours, printed(60.0)) == pytest.approx(assumed, abs=1e-5)
    with pytest.raises(ValueError, match="n = 1, but a margin needs at least two runs"):
        verdicts.margin(summarize([60.0]), printed(60.0))


@pytest.mark.parametrize(
    ("accuracies", "counts", "verdict"),
    [  # the margin is 2.2671 + 0.05 for a spread of 1 on both sides
        ((60.0, 61.0, 62.0), {}, "reproduced"),
        ((62.31, 63.31, 64.31), {}, "reproduced"),
        ((62.32, 63.32, 64.32), {}, "above"),
        ((57.69, 58.69, 59.69), {}, "reproduced"),
        ((57.68, 58.68, 59.68), {}, "below"),
        ((61.0, 62.0), {}, "too few seeds"),
        ((61.0,), {"failed": 2}, "too few seeds"),
        ((), {"diverged": 3}, "too few seeds"),
        ((), {"diverged": 1, "missing": 2}, "too few seeds"),
        ((), {"missing": 3}, "not run"),
        ((), {"unavailable": 3}, "data unavailable"),
    ],
)
def test_verdicts(accuracies, counts, verdict):
    assert verdicts.judge(cell(printed(61.0, 1.0), accuracies, **counts)) == verdict


def test_a_cell_that_the_paper_has_not_gets_no_verdict():
    with pytest.raises(ValueError, match="published = None"):
        verdicts.judge(cell(None, (60.0, 61.0, 62.0)))


@pytest.fixture
def with_paper(study):
    cells = {
        ("baseline", ("ConvNet",)): printed(81.0, 1.0),
        ("baseline", ("ResNet18",)): printed(90.0),
    }
    return dataclasses.replace(study, published=cells)


def shown(table, width=80):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render_report(table, width))
    return console.file.getvalue()


def test_all_reports_count_the_verdicts_and_set_ours_beside_the_papers(with_paper, results):
    table = build_table(with_paper, with_paper.seeds, results)
    counts = "1 reproduced, 0 above, 0 below, 1 too few seeds, 0 not run, 0 data unavailable."
    assert verdicts.headline(table) == (
        f"Against the paper, profile paper, at 0.02 of the paper's epochs: 2 published numbers, {counts}"
    )
    first, second = verdicts.told(table)
    # Variances of the means 4/3 and 1/3: 50/17 degrees of freedom, t = 3.22.
    assert first.margin == pytest.approx(3.22 * math.sqrt(5 / 3) + 0.05, abs=0.01)
    assert verdicts.in_words(first) == ("82.0 ± 2.0", "81.0 ± 1.0", "+1.0 ± 4.2", "reproduced")
    assert verdicts.in_words(second) == ("72.0 ± 2.8", "90.0", "-18.0", "too few seeds")
    terminal, markdown = " ".join(shown(table).split()), render_markdown(table)
    assert "profile paper" in terminal
    assert "Baseline ConvNet 82.0 ± 2.0 81.0 ± 1.0 +1.0 ± 4.2 reproduced" in terminal
    assert "| Baseline | ConvNet | 82.0 ± 2.0 | 81.0 ± 1.0 | +1.0 ± 4.2 | reproduced |" in markdown
    assert max(map(len, shown(table).splitlines())) <= 80
    sheet = verdicts.against(table)
    assert [row[-1].text for row in sheet.rows] == ["reproduced", "too few seeds"]
    assert [entry.value for entry in sheet.rows[1][2:-1]] == [72.0, 2, 90.0, None, -18.0, None]


def test_before_any_run_the_numbers_are_counted_and_nothing_is_compared(with_paper):
    table = build_table(with_paper, with_paper.seeds, {})
    assert "2 not run" in verdicts.headline(table)
    assert (verdicts.told(table), verdicts.against(table).rows) == ((), ())
    whole = build_table(dataclasses.replace(with_paper, budget=1.0), with_paper.seeds, {})
    assert verdicts.headline(whole).startswith("Against the paper, profile paper: 2 published")


def test_a_study_of_which_the_paper_has_no_number_says_nothing_of_it(study, results):
    table = build_table(study, study.seeds, results)
    assert verdicts.headline(table) == ""
    assert "Against the paper" not in shown(table)
    assert "gainst the paper" not in render_markdown(table)


def test_what_is_assumed_is_said(with_paper, make_results):
    accuracies = {("baseline", "ConvNet"): [80.0, 82.0, 84.0], ("baseline", "ResNet18"): [70.0, 71.0, 72.0]}
    table = build_table(with_paper, with_paper.seeds, make_results(with_paper, accuracies))
    text = " ".join(verdicts.explained(verdicts.told(table)))
    assert f"by images per class: {verdicts.tolerance(10):.1f} at 10." in text
    assert "(Welch)" in text
    assert "no verdict" not in text
