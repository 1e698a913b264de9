"""Points lie where a space says, as evenly as their design promises, and the same every time."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import qmc

from crossarch.search_spaces.space import Domain, Space, grid, latin_hypercube, slices, sobol


def domain(name, low, high, step, default, levels, **changes):
    values = {"symbol": name, "meaning": name, "settings": (name,), **changes}
    return Domain(name=name, low=low, high=high, step=step, default=default, levels=levels, **values)


RATE = domain("rate", 0.001, 1.0, 0.001, 0.1, (0.001, 0.1, 1.0), log=True)
SHARE = domain("share", 0.0, 1.0, 0.001, 0.5, (0.0, 0.5, 1.0))
COUNT = domain("count", 0, 4, 1, 2, (0, 1, 2, 4))
SPACE = Space(domains=(RATE, SHARE, COUNT), varied=("rate", "share", "count"))
EVEN = {"lhs": latin_hypercube, "sobol": sobol}


def test_a_slice_moves_one_factor_and_the_slices_have_every_level():
    points = slices(SPACE)
    assert len(points) == 2 + 2 + 3
    for point in points:
        assert sum(point[name] != SPACE.default[name] for name in point) == 1
    assert {point["count"] for point in points} == {0, 1, 2, 4}


def test_a_grid_has_every_combination_once_and_leaves_the_default_to_its_own_arm():
    points = grid(SPACE)
    every = set(itertools.product(RATE.levels, SHARE.levels, COUNT.levels))
    assert {tuple(point.values()) for point in points} == every - {(0.1, 0.5, 2)}
    assert len(points) == 35


def test_what_is_not_varied_keeps_its_default():
    part = Space(domains=SPACE.domains, varied=("share",))
    for points in (slices(part), grid(part), latin_hypercube(part, 9, 0), sobol(part, 9, 0)):
        assert {point["rate"] for point in points} == {0.1}
        assert {point["count"] for point in points} == {2}
        assert len({point["share"] for point in points}) == len(points)


@pytest.mark.parametrize("count", [1, 7, 32])
def test_a_latin_hypercube_has_one_point_in_each_part_of_each_domain(count):
    points = latin_hypercube(SPACE, count, 3)
    shares = sorted(point["share"] for point in points)
    logs = sorted(np.log(point["rate"] / 0.001) / np.log(1000) for point in points)
    for part in range(count):
        assert part / count - 0.002 <= shares[part] <= (part + 1) / count + 0.002
        if logs[part] > 0.5:  # below, the step of 0.001 is coarse
            assert part / count - 0.01 <= logs[part] <= (part + 1) / count + 0.01


def test_sobol_points_are_more_even_than_random_ones():
    def unevenness(points):
        rows = [[np.log(p["rate"] / 0.001) / np.log(1000), p["share"], p["count"] / 4] for p in points]
        return qmc.discrepancy(np.clip(rows, 0, 1))

    rng = np.random.default_rng(0)
    chance = [
        unevenness(
            [{"rate": RATE.at(a), "share": SHARE.at(b), "count": COUNT.at(c)} for a, b, c in rng.random((64, 3))]
        )
        for _ in range(5)
    ]
    assert unevenness(sobol(SPACE, 64, 0)) < min(chance)


@pytest.mark.parametrize("design", EVEN.values(), ids=EVEN)
def test_a_design_is_the_same_every_time_and_another_with_another_seed(design):
    assert design(SPACE, 12, 5) == design(SPACE, 12, 5)
    assert design(SPACE, 12, 5) != design(SPACE, 12, 6)
    assert len(design(SPACE, 12, 5)) == 12


def test_a_longer_sobol_sequence_begins_with_the_shorter():
    assert sobol(SPACE, 40, 0)[:10] == sobol(SPACE, 10, 0)


@pytest.mark.parametrize("each", SPACE.domains, ids=lambda each: each.name)
def test_values_are_multiples_within_their_bounds(each):
    values = [each.at(share) for share in np.linspace(0, 1, 101)]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (each.low, each.high)
    assert all(value == each.rounded(value) for value in values)


def test_whole_numbers_stay_whole_and_are_equally_likely():
    values = [COUNT.at(share) for share in np.linspace(0, 0.999, 1000)]
    assert {type(value) for value in values} == {int}
    assert [values.count(each) for each in range(5)] == pytest.approx([200] * 5, abs=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: domain("a", 1, 0, 1, 0, ()), "a: low = 1 and high = 0 bound no domain"),
        (lambda: domain("a", 0, 1, 0.1, 0.5, (), log=True), "a: low = 0 and high = 1 bound no domain"),
        (lambda: domain("a", 0, 1, 0.1, 0.55, ()), r"a = 0.55 is no multiple of 0.1 in \[0, 1\]"),
        (lambda: domain("a", 0, 1, 0.1, 0.5, (2.0,)), r"a = 2 is no multiple of 0.1 in \[0, 1\]"),
        (lambda: Space(domains=(RATE,), varied=("rat",)), "vary = 'rat' is not one of rate"),
        (lambda: Space(domains=(RATE,), varied=()), "vary = '' must name one of rate or more"),
        (lambda: Space(domains=(RATE,), varied=("rate", "rate")), "vary = 'rate, rate' must name"),
        (lambda: sobol(SPACE, 0, 0), r"samples = 0 is outside \[1, 10000\]"),
        (lambda: latin_hypercube(SPACE, 10_001, 0), r"samples = 10001 is outside \[1, 10000\]"),
    ],
)
def test_what_is_not_allowed_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_declaring_a_space_imports_neither_scipy_nor_numpy():
    code = (
        "import sys, crossarch.search_spaces.catalog; sys.exit({'scipy', 'numpy', 'torch'} & set(sys.modules) != set())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
