"""Plateaus, importances, interactions and scores of surfaces whose answers are known."""

import numpy as np
import pytest

from crossarch.platform.report.sweep.answers import answer, orders, plateau, score
from crossarch.platform.report.sweep.importance import heat_map, importances, interaction
from crossarch.platform.report.sweep.surface import Surface
from crossarch.search_spaces.arm_sweep import DOMAINS
from crossarch.search_spaces.robustness import CLAIMS, robustness

BY_NAME = {domain.name: domain for domain in DOMAINS}


def surface(accuracy, design="slices", configs=None, seeds=6, noise=0.0, reference=80.0, vary=None, network="VGG11"):
    """A surface of known means; each seed has a level of its own, and a reference on the same level."""
    sweep, rng = robustness(design, configs, vary), np.random.default_rng(0)
    points = tuple(sweep.points.values())
    level = 2 * rng.standard_normal(seeds)
    values = (
        np.array([[accuracy(point)] for point in points]) + level + noise * rng.standard_normal((len(points), seeds))
    )
    return Surface(
        network=network,
        sweep=sweep,
        seeds=tuple(range(seeds)),
        points=points,
        names=tuple(sweep.points),
        values=values,
        reference=tuple(reference + level),
        left_out=0,
    )


def flat_between(low, high):
    return lambda point: 90.0 if low <= point["temperature"] <= high else 80.0


@pytest.mark.parametrize(
    ("low", "high", "edges", "ends"),
    [
        (1.0, 5.0, (1.0, 5.0), (True, True)),
        (0.0, 3.0, (0.5, 3.0), (False, True)),
        (1.4, 99.0, (1.5, 20.0), (True, False)),
        (1.4, 1.6, (1.5, 1.5), (True, True)),
    ],
)
def test_a_plateau_is_found_where_it_is(low, high, edges, ends):
    found = plateau(surface(flat_between(low, high), noise=0.1), BY_NAME["temperature"], 1.0)
    assert (found.low.value, found.high.value) == edges
    assert (found.low.low, found.high.high) == edges  # 6 seeds, and a step of ten points
    assert found.ends == ends


def test_a_default_far_from_the_best_is_on_no_plateau():
    found = plateau(surface(flat_between(5, 10)), BY_NAME["temperature"], 1.0)
    assert (found.low, found.high, found.ends) == (None, None, (False, False))
    assert found.best in (5.0, 10.0)


def test_a_gap_ends_a_plateau():
    found = plateau(surface(lambda point: 80.0 if point["alpha"] == 0.65 else 90.0), BY_NAME["alpha"], 1.0)
    assert (found.low.value, found.high.value) == (0.0, 0.5)


def test_few_seeds_leave_its_edges_without_intervals_and_few_values_leave_no_plateau():
    found = plateau(surface(flat_between(1, 5), seeds=3), BY_NAME["temperature"], 1.0)
    assert (found.low.value, found.low.low) == (1.0, None)
    assert plateau(surface(flat_between(1, 5), "lhs", 20), BY_NAME["temperature"], 1.0) is None


ALPHA, TAU = CLAIMS


def test_a_statement_that_is_true_is_found_equivalent_and_one_that_is_not_different():
    sloping = surface(lambda point: 90.0 - 4 * abs(np.log(point["temperature"] / 1.5)), noise=0.1)
    assert answer(sloping, ALPHA, 1.0).test.verdict == "equivalent"
    assert answer(sloping, ALPHA, 1.0).tried == (0.65, 0.8)
    found = answer(sloping, TAU, 1.0)
    assert (found.tried, found.test.verdict) == ((1.0, 3.0, 5.0, 10.0), "different")
    assert found.test.largest.value == pytest.approx(-4 * np.log(10 / 1.5), abs=0.2)


def test_a_statement_of_which_no_value_was_tried_has_no_answer():
    assert answer(surface(lambda point: 90.0, vary=["folds"]), TAU, 1.0) is None


def test_a_score_is_its_formula():
    found = score(surface(lambda point: 70.0 if point["alpha"] == 1 else 90.0 - point["folds"], noise=0.0))
    points = robustness().points
    default = points["full"]["folds"]
    drops = [20 - default if p["alpha"] == 1 else p["folds"] - default for name, p in points.items() if name != "full"]
    assert found.points == len(drops) == 32
    assert found.mean_drop.value == pytest.approx(np.mean(drops))
    assert (found.mean_drop.low, found.mean_drop.high) == pytest.approx([np.mean(drops)] * 2)  # levels are no noise
    assert (found.worst_drop.value, found.worst_at) == (pytest.approx(20 - default), "alpha=1")
    assert found.share_above.value == pytest.approx(31 / 32)


@pytest.mark.parametrize("design", ["sobol", "lhs"])
def test_importances_find_what_matters(design):
    def accuracy(point):
        return 90.0 - 40 * (point["alpha"] - 0.5) ** 2 - 3 * abs(np.log(point["temperature"] / 1.5))

    found = importances(surface(accuracy, design, 64, noise=0.2), resamples=3)
    assert {each.domain.name for each in found[:2]} == {"alpha", "temperature"}
    for kind in ("fanova", "ped_anova"):
        shares = {each.domain.name: getattr(each, kind).value for each in found}
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["alpha"] + shares["temperature"] > 0.7


def test_a_steeper_slope_is_more_important():
    space = ["alpha", "folds"]
    found = importances(surface(lambda p: 10 * p["alpha"] + 0.5 * p["folds"], "sobol", 64, vary=space), resamples=0)
    assert [each.domain.name for each in found] == space
    # The variances of 10 alpha and of folds / 2 are 8.3 and 0.5.
    assert found[0].fanova.value == pytest.approx(8.33 / 8.83, abs=0.06)


def test_slices_and_few_points_have_no_importances():
    assert importances(surface(lambda point: point["alpha"])) == []
    assert importances(surface(lambda point: point["alpha"], "lhs", 14)) == []
    assert importances(surface(lambda point: 90.0, "lhs", 40)) == []  # nothing varies


def test_a_heat_map_has_each_point_where_it_lies():
    found = surface(lambda point: 10 * point["alpha"] + point["temperature"], "grid")
    shown = heat_map(found, BY_NAME["alpha"], BY_NAME["temperature"])
    assert shown.row_labels == ("0", "0.25", "0.5", "0.65", "0.8", "1")
    assert shown.column_labels == ("0.5", "1", "1.5", "3", "5", "10", "20")
    assert shown.counts.tolist() == [[1.0] * 7] * 6
    level = found.values[0].mean() - (5 + 1.5)
    assert shown.means - level == pytest.approx(
        np.array([[10 * a + t for t in BY_NAME["temperature"].levels] for a in BY_NAME["alpha"].levels])
    )


def test_points_on_no_grid_are_put_into_parts():
    shown = heat_map(surface(lambda point: 90.0, "sobol", 64), BY_NAME["alpha"], BY_NAME["temperature"])
    assert shown.means.shape == (4, 4)
    assert shown.counts.sum() == 65
    assert shown.interaction is None


def grid_of(effect, noise, seeds=4):
    rng, side = np.random.default_rng(0), np.linspace(-1, 1, 5)
    means = effect(side[:, None], side[None, :])[..., None]
    return means + 5 * rng.standard_normal(seeds) + noise * rng.standard_normal((5, 5, seeds))


def test_an_interaction_is_told_from_two_effects_that_add():
    added = interaction(grid_of(lambda a, b: 3 * a + 2 * b**2, noise=0.5))
    crossed = interaction(grid_of(lambda a, b: 3 * a * b, noise=0.5))
    assert added.p > 0.05
    assert added.share < 0.1
    assert crossed.p < 1e-6
    assert crossed.share > 0.9


def test_an_interaction_that_is_not_there_is_found_in_5_of_100_cases():
    rng = np.random.default_rng(0)
    found = [interaction(rng.standard_normal((3, 4, 3)) + 5 * rng.standard_normal(3)).p for _ in range(1000)]
    assert 0.03 < np.mean(np.array(found) < 0.05) < 0.07


def test_networks_are_ranked_at_every_point():
    first = surface(lambda point: 90.0 + 10 * point["alpha"], network="A", seeds=3)
    second = surface(lambda point: 96.0, network="B", seeds=3)
    rows = {name: (means, ranks) for name, means, ranks in orders([first, second])}
    assert rows["full"][1] == (2, 1)
    assert rows["alpha=0.65"][1] == (1, 2)
    assert len(rows) == 33
    assert orders([first]) == []
