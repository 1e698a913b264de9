"""Robustness of a method, from surfaces: plateaus, the paper's statements, a score, and the order of networks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossarch.platform.report.stats import Equivalence, Estimate, Values, bootstrap, equivalence, mean
from crossarch.platform.report.sweep.surface import Surface
from crossarch.search_spaces.space import Domain
from crossarch.search_spaces.sweep import Alike


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """The widest interval of tried values around the default in which accuracy stays near the best."""

    domain: Domain
    tried: tuple[float, ...]
    best: float
    """The value with the highest mean test accuracy: descriptive, nothing is chosen by it."""
    low: Estimate | None
    """None if the default itself is not near the best."""
    high: Estimate | None

    @property
    def ends(self) -> tuple[bool, bool]:
        """Whether the plateau ends within the tried values, below and above; otherwise it may extend beyond them."""
        if self.low is None or self.high is None:
            return (False, False)
        return (self.low.value > self.tried[0], self.high.value < self.tried[-1])


def plateau(surface: Surface, domain: Domain, margin: float) -> Plateau | None:
    """The plateau of one hyperparameter, all others at their defaults.

    Near the best is within `margin` points of the highest mean. The edges' intervals are bootstrapped over seeds. None
    if fewer than 3 values were tried.
    """
    places = surface.along(domain)
    if len(places) < 3:
        return None
    tried = tuple(surface.points[place][domain.name] for place in places)
    values = surface.values[places]
    default = tried.index(domain.default)

    def edge(side: int) -> Estimate | None:
        estimate = bootstrap(values, lambda means: _edge(means, tried, default, margin, side))
        return None if math.isnan(estimate.value) else estimate

    best = tried[int(values.mean(axis=1).argmax())]
    return Plateau(domain=domain, tried=tried, best=best, low=edge(-1), high=edge(+1))


def _edge(means: Values, tried: Sequence[float], default: int, margin: float, side: int) -> float:
    """The last value near the best when going from the default to one side, -1 or 1; NaN if the default is not near."""
    near = means >= means.max() - margin
    if not near[default]:
        return math.nan
    place = default
    while 0 <= place + side < len(tried) and near[place + side]:
        place += side
    return tried[place]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The test on one network of a published statement that a hyperparameter makes no difference."""

    alike: Alike
    tried: tuple[float, ...]
    """The tried values within the statement's bounds, without the default, with which each is compared."""
    test: Equivalence


def answer(surface: Surface, alike: Alike, margin: float) -> Answer | None:
    """Tests whether accuracy within the statement's bounds equals the default's, within ±`margin` points.

    None if no value was tried there.
    """
    domain = next(domain for domain in surface.space.domains if domain.name == alike.domain)
    places = [
        place
        for place in surface.along(domain)
        if alike.low <= surface.points[place][domain.name] <= alike.high and place != 0
    ]
    if not places:
        return None
    differences = (-surface.drops()[places]).tolist()
    tried = tuple(surface.points[place][domain.name] for place in places)
    return Answer(alike=alike, tried=tried, test=equivalence(differences, margin))


@dataclass(frozen=True, kw_only=True)
class Score:
    """Robustness of the method over the points C other than the default d, a(c) being mean accuracy at c in %.

    mean drop = mean over C of a(d) - a(c); worst drop = max over C of a(d) - a(c);
    share above = |{c in C: a(c) > a(CNN, baseline)}| / |C|.
    """

    points: int
    mean_drop: Estimate
    """In points, with Student's t interval over the mean drop of each seed."""
    worst_drop: Estimate
    """In points; biased upwards with few seeds, as a maximum of noisy means."""
    worst_at: str
    share_above: Estimate | None
    """In [0, 1]; None without the CNN's baseline."""


def score(surface: Surface) -> Score | None:
    """The robustness score of one network; None if only the default has finished."""
    if len(surface.points) < 2:
        return None
    drops = surface.drops()[1:]
    share = None
    if surface.reference is not None:
        both = np.vstack([surface.values[1:], np.array([surface.reference])])
        share = bootstrap(both, lambda means: float((means[:-1] > means[-1]).mean()))
    return Score(
        points=len(drops),
        mean_drop=mean(drops.mean(axis=0).tolist()),
        worst_drop=bootstrap(drops, lambda means: float(means.max())),
        worst_at=surface.names[1 + int(drops.mean(axis=1).argmax())],
        share_above=share,
    )


def orders(found: Sequence[Surface]) -> list[tuple[str, tuple[float, ...], tuple[int, ...]]]:
    """Label, mean accuracies of the networks and their ranks, of each point that all networks have; the default first.

    Rank 1 is the most accurate network; equals share the better rank. Empty for a single network.
    """
    if len(found) < 2:
        return []
    rows = []
    means = [dict(zip(surface.names, surface.means.tolist(), strict=True)) for surface in found]
    for name in found[0].names:
        if all(name in means_of_network for means_of_network in means):
            accuracies = tuple(means_of_network[name] for means_of_network in means)
            ranks = tuple(1 + sum(other > accuracy for other in accuracies) for accuracy in accuracies)
            rows.append((name, accuracies, ranks))
    return rows
