"""How robust: plateaus, the paper's statements, a score, and the order of networks, from surfaces."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crossarch.platform.report.stats import Equivalence, Estimate, Values, bootstrap, equivalence, mean
from crossarch.platform.report.sweep.surface import Surface
from crossarch.search_spaces.space import Domain
from crossarch.search_spaces.sweep import Alike


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """The widest interval of tried values round the default within which accuracy stays near the best."""

    domain: Domain
    tried: tuple[float, ...]
    best: float
    """The value with the highest mean: of test accuracy, so it describes and chooses nothing."""
    low: Estimate | None
    """None where the default itself is not near the best."""
    high: Estimate | None

    @property
    def ends(self) -> tuple[bool, bool]:
        """Whether it ends below and above within what was tried: otherwise it may go on."""
        if self.low is None or self.high is None:
            return (False, False)
        return (self.low.value > self.tried[0], self.high.value < self.tried[-1])


def plateau(surface: Surface, domain: Domain, margin: float) -> Plateau | None:
    """The plateau of one hyperparameter, all others at their defaults; None where fewer than 3 values were tried.

    Near is within `margin` points of the highest mean. Edges' intervals come from resampled seeds.
    """
    places = surface.along(domain)
    if len(places) < 3:
        return None
    tried = tuple(surface.points[place][domain.name] for place in places)
    values = surface.values[places]
    default = tried.index(domain.default)

    def edge(side: int) -> Estimate | None:
        found = bootstrap(values, lambda means: _edge(means, tried, default, margin, side))
        return None if math.isnan(found.value) else found

    best = tried[int(values.mean(axis=1).argmax())]
    return Plateau(domain=domain, tried=tried, best=best, low=edge(-1), high=edge(+1))


def _edge(means: Values, tried: Sequence[float], default: int, margin: float, side: int) -> float:
    """The last value near the best, going from the default to one side; NaN where the default is not near."""
    near = means >= means.max() - margin
    if not near[default]:
        return math.nan
    place = default
    while 0 <= place + side < len(tried) and near[place + side]:
        place += side
    return tried[place]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The test of a published statement on one network."""

    alike: Alike
    tried: tuple[float, ...]
    """The values within its bounds, the default left out: each is compared with the default."""
    test: Equivalence


def answer(surface: Surface, alike: Alike, margin: float) -> Answer | None:
    """Whether accuracy is the same within the statement's bounds, +-`margin` points; None where no value was tried."""
    domain = next(each for each in surface.space.domains if each.name == alike.domain)
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
    """In points, with Student's interval over the seeds' own mean drops."""
    worst_drop: Estimate
    """In points; a maximum of noisy means, and so a little too large where seeds are few."""
    worst_at: str
    share_above: Estimate | None
    """Between 0 and 1; None without the CNN's baseline."""


def score(surface: Surface) -> Score | None:
    """The robustness score of one network; None where the default alone has finished."""
    import numpy as np

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
    """Of each point that all networks have, the default first: its label, their mean accuracies, and their ranks.

    Rank 1 is the most accurate network; equals share the better rank.
    """
    if len(found) < 2:
        return []
    rows = []
    means = [dict(zip(each.names, each.means.tolist(), strict=True)) for each in found]
    for name in found[0].names:
        if all(name in each for each in means):
            here = tuple(each[name] for each in means)
            rows.append((name, here, tuple(1 + sum(other > value for other in here) for value in here)))
    return rows
