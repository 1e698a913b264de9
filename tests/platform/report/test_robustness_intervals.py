"""Intervals cover as often as they say, and tests of equivalence err as seldom."""

import numpy as np
import pytest

from crossarch.platform.report.stats import bootstrap, equivalence, mean, seeds_needed

RNG = np.random.default_rng


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_students_interval_covers_the_mean_in_95_of_100_cases(n):
    rng, covered = RNG(n), 0
    for _ in range(600):
        found = mean((7 + 3 * rng.standard_normal(n)).tolist())
        covered += found.low <= 7 <= found.high
    assert 0.93 < covered / 600 < 0.97


def test_an_interval_is_that_of_the_textbook():
    found = mean([1.0, 2.0, 3.0])
    assert (found.value, found.n) == (2.0, 3)
    assert found.high - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-5)  # t of 2 degrees of freedom


def test_one_seed_has_no_interval_and_none_no_mean():
    assert mean([5.0]) == mean((5.0,))
    assert (mean([5.0]).value, mean([5.0]).low, mean([5.0]).high) == (5.0, None, None)
    with pytest.raises(ValueError, match="values = \\[\\]"):
        mean([])


def test_the_bootstrap_covers_a_largest_difference():
    """Of two points with clearly different means, over 20 seeds, whose own levels differ far more than the points."""
    rng, covered = RNG(0), 0
    for trial in range(200):
        values = np.array([[90.0], [85.0], [88.0]]) + 10 * rng.standard_normal(20) + rng.standard_normal((3, 20))
        found = bootstrap(values, lambda means: float(means[0] - means.min()), resamples=400, seed=trial)
        covered += found.low <= 5 <= found.high
        assert found.high - found.low < 2  # were seeds not paired, it would be 12 or more
    assert 0.87 < covered / 200 < 0.98


def test_too_few_seeds_have_no_bootstrap_interval():
    values = np.array([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0]])
    found = bootstrap(values, lambda means: float(means[0]))
    assert (found.value, found.low, found.high, found.n) == (2.5, None, None, 4)


def test_the_bootstrap_is_the_same_every_time():
    values = RNG(0).standard_normal((3, 8))
    first, second = (bootstrap(values, lambda means: float(means.max())) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("n", [3, 10])
@pytest.mark.parametrize("difference", [1.0, -1.0])
def test_a_difference_as_large_as_the_margin_is_called_equivalent_in_5_of_100_cases_at_most(n, difference):
    rng = RNG(n)
    found = [equivalence([(difference + 0.3 * rng.standard_normal(n)).tolist()], 1.0).verdict for _ in range(1000)]
    assert 0.03 < found.count("equivalent") / 1000 < 0.07


def test_equal_configurations_are_seldom_called_different():
    rng = RNG(1)
    found = [equivalence(rng.standard_normal((4, 5)).tolist(), 0.2).verdict for _ in range(400)]
    assert found.count("different") / 400 < 0.05


def test_all_configurations_must_be_equivalent():
    rng = RNG(2)
    near, far = (rng.standard_normal(10) * 0.1 + shift for shift in (0.1, 3.0))
    assert equivalence([near.tolist()], 1.0).verdict == "equivalent"
    found = equivalence([near.tolist(), far.tolist()], 1.0)
    assert found.verdict == "different"
    assert found.largest.value == pytest.approx(3, abs=0.2)
    assert found.needed is None


def test_noise_leaves_it_undecided_and_more_seeds_are_asked_for():
    found = equivalence([[-2.0, 2.5, -0.2]], 1.0)
    assert found.verdict == "undecided"
    assert found.needed is not None
    assert found.needed > 3
    assert equivalence([[0.3]], 1.0).verdict == "undecided"
    assert equivalence([[0.3]], 1.0).p is None
    with pytest.raises(ValueError, match="differences = \\[\\]"):
        equivalence([], 1.0)


def test_equal_differences_need_no_spread():
    assert equivalence([[0.5, 0.5]], 1.0).p == 0.0
    assert equivalence([[1.5, 1.5]], 1.0).p == 1.0


@pytest.mark.parametrize(("difference", "std"), [(0.0, 1.0), (0.3, 0.5), (0.5, 0.3)])
def test_so_many_seeds_as_are_asked_for_find_equivalence_in_80_of_100_cases(difference, std):
    n, rng = seeds_needed(difference, std, 1.0), RNG(3)
    found = [equivalence([(difference + std * rng.standard_normal(n)).tolist()], 1.0).verdict for _ in range(500)]
    assert 0.75 < found.count("equivalent") / 500 < 0.93


def test_no_number_of_seeds_shows_what_is_not_so():
    assert seeds_needed(1.0, 0.1, 1.0) is None
    assert seeds_needed(0.0, 1000.0, 1.0) is None
