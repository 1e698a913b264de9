"""Means and spreads, against numbers worked by hand."""

import pytest

from crossarch.platform.report.stats import Summary, gap, summarize


def test_std_is_the_sample_standard_deviation():
    # Mean 5, squared deviations 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32 over n - 1 = 7.
    summary = summarize([2, 4, 4, 4, 5, 5, 7, 9])
    assert (summary.mean, summary.n) == (5, 8)
    assert summary.std == pytest.approx((32 / 7) ** 0.5, rel=1e-12)


def test_a_single_run_has_no_spread():
    assert summarize([61.5]) == Summary(mean=61.5, std=None, n=1)


def test_equal_runs_have_a_spread_of_zero():
    assert summarize([61.5, 61.5]).std == 0


def test_no_runs_have_no_summary():
    with pytest.raises(ValueError, match="at least one"):
        summarize([])


def test_gap_is_negative_below_the_reference():
    assert gap(summarize([70.0, 72.0]), summarize([75.0])) == -4
    assert gap(summarize([75.0]), summarize([70.0, 72.0])) == 4
