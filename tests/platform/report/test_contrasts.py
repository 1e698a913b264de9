"""What claims come to: the interval of the textbook, its coverage, and words that follow from it."""

import dataclasses
import math

import numpy as np
import pytest
from rich.console import Console

from crossarch.platform.report.content import make_report
from crossarch.platform.report.markdown import render_markdown
from crossarch.platform.report.page import render_page
from crossarch.platform.report.stats import Interval, claim_verdict, contrast, contrasts, paired_interval
from crossarch.platform.report.tables import build_table
from crossarch.platform.report.terminal import render_report
from crossarch.search_spaces.study import Claim

DEEP, SHALLOW = ("baseline", ("ResNet18",)), ("baseline", ("ConvNet",))
LOSES = Claim(sentence="ResNet18 loses", higher=SHALLOW, lower=DEEP)


def test_the_interval_is_the_textbooks():
    """Differences 1, 2, 6: mean 3, s = sqrt(7), and 4.302653 is the 97.5 % point of Student's t with 2 degrees."""
    found = paired_interval([1.0, 2.0, 6.0])
    half = 4.302653 * math.sqrt(7) / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((3, 3 - half, 3 + half), abs=1e-5)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_holds_the_true_difference_in_95_of_100_experiments(n):
    draws = np.random.default_rng(5).normal(1.5, 2.0, size=(4000, n))
    found = [paired_interval(list(map(float, each))) for each in draws]
    covered = sum(each.low <= 1.5 <= each.high for each in found) / len(found)
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


@pytest.mark.parametrize("differences", [[], [1.0]])
def test_fewer_than_two_differences_have_no_interval(differences):
    with pytest.raises(ValueError, match="an interval needs two or more"):
        paired_interval(differences)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.1, 2, "shown"),
        (-2, -0.1, "opposite shown"),
        (-1, 2, "not shown"),
        (0, 2, "not shown"),
        (-2, 0, "not shown"),
        (0, 0, "not shown"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(low, high, words):
    assert claim_verdict(Interval(mean=(low + high) / 2, low=low, high=high)) == words


def test_seeds_are_paired_and_what_one_side_lacks_is_left_out():
    """A spread that seeds share does not widen the interval."""
    found = contrast(LOSES, {0: 50.0, 1: 70.0, 2: 90.5, 3: 10.0}, {2: 80.0, 1: 60.5, 0: 40.0, 4: 99.0})
    assert (found.n, found.mean) == (3, pytest.approx(10.0))
    assert found.interval == paired_interval([10.0, 9.5, 10.5])
    assert found.verdict == "shown"
    assert contrast(LOSES, {0: 40.0, 1: 50.0}, {0: 50.0, 1: 60.1}).verdict == "opposite shown"


@pytest.mark.parametrize(("higher", "mean", "n"), [({}, None, 0), ({0: 52.0}, 2.0, 1)])
def test_too_few_seeds_are_said_to_be_too_few(higher, mean, n):
    found = contrast(LOSES, higher, {0: 50.0, 1: 50.0})
    assert (found.mean, found.n, found.interval, found.verdict) == (mean, n, None, "too few seeds")


def test_a_claim_of_cells_that_are_not_there_is_passed_over():
    assert list(contrasts([LOSES], {SHALLOW: {0: 1.0, 1: 2.0}})) == []


@pytest.fixture
def claiming(study):
    return dataclasses.replace(
        study, claims=(LOSES, dataclasses.replace(LOSES, sentence="It wins", higher=DEEP, lower=SHALLOW))
    )


@pytest.fixture
def results(claiming, make_results):
    return make_results(
        claiming, {("baseline", "ConvNet"): [80.0, 82.0, 84.0], ("baseline", "ResNet18"): [70.0, 73.0, 73.0]}
    )


def test_a_table_has_what_its_finished_runs_say(claiming, results, make_results):
    """Differences 10, 9, 11."""
    table = build_table(claiming, claiming.seeds, results)
    assert [(each.mean, each.n, each.verdict) for each in table.contrasts] == [
        (pytest.approx(10), 3, "shown"),
        (pytest.approx(-10), 3, "opposite shown"),
    ]
    some = make_results(
        claiming, {("baseline", "ConvNet"): [80.0] * 3, ("baseline", "ResNet18"): [70.0, "failed", None]}
    )
    (first, _) = build_table(claiming, claiming.seeds, some).contrasts
    assert (first.n, first.verdict) == (1, "too few seeds")
    alone = dataclasses.replace(claiming, only={"architecture": ("ConvNet",)})
    assert build_table(alone, alone.seeds, results).contrasts == ()


def test_terminal_markdown_and_page_say_the_same_of_them(claiming, results):
    table = build_table(claiming, claiming.seeds, results)
    console = Console(width=80, record=True)
    console.print(render_report(table, 80))
    lines = [line.split("  ") for line in console.export_text().splitlines()]
    rows = [[part.strip() for part in line if part.strip()] for line in lines]
    row = ["ResNet18 loses", "+10.0", "+7.5 to +12.5", "3", "shown"]
    assert row in rows
    assert f"| {' | '.join(row)} |" in render_markdown(table)
    report = make_report(claiming, claiming.seeds, results)
    assert [entry.text for entry in report.claims.rows[0]] == row
    page = render_page(report)
    assert all(words in page for words in ("What the runs show", "+7.5 to +12.5", "opposite shown"))


def test_a_study_without_claims_is_as_it_was(study):
    report = make_report(study, study.seeds, {})
    assert report.claims.rows == ()
    assert "What the runs show" not in render_page(report)
