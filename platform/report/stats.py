"""Statistics over seeds: summaries, paired tests, equivalence tests and bootstrap, each with its interval."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from crossarch.search_spaces.study import Claim, Place

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray


LEVEL = 0.95
"""Of intervals."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Accuracies of runs that differ in their seed alone, in %."""

    mean: float
    std: float | None
    """Sample standard deviation (divided by n - 1); None for a single run, whose spread is unknown."""
    n: int


def student(freedom: float, level: float = LEVEL) -> float:
    """Student's t that bounds the middle `level` for that many degrees of freedom."""
    from scipy.special import stdtrit  # scipy.stats would take a second to import

    return float(stdtrit(freedom, (1 + level) / 2))


def summarize(accuracies: Sequence[float]) -> Summary:
    """Mean, sample standard deviation and number of `accuracies`. Raises ValueError where there are none."""
    if not accuracies:
        raise ValueError("accuracies = [], but a summary needs at least one")
    return Summary(
        mean=statistics.fmean(accuracies),
        std=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        n=len(accuracies),
    )


def gap(summary: Summary, reference: Summary) -> float:
    """By how many points `summary` lies above `reference`; below it where negative."""
    return summary.mean - reference.mean


ClaimVerdict = Literal["shown", "not shown", "opposite shown", "too few seeds"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean, of differences in points unless it is said otherwise, and the interval of level LEVEL around it."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """What the runs say of a claim."""

    sentence: str
    n: int
    """Seeds that both accuracies have."""
    mean: float | None
    """Difference in points, over those seeds; None where there are none."""
    interval: Interval | None
    """None below two seeds."""
    verdict: ClaimVerdict


def paired_interval(differences: Sequence[float]) -> Interval:
    """Student's t interval around the mean of n >= 2 differences: mean +- t(n - 1) s / sqrt(n).

    It holds for differences that are normally distributed. Raises ValueError for fewer than two.
    """
    n = len(differences)
    if n < 2:
        raise ValueError(f"differences = {list(differences)!r}, but an interval needs two or more")
    mean = statistics.fmean(differences)
    half = student(n - 1) * statistics.stdev(differences) / math.sqrt(n)
    return Interval(mean=mean, low=mean - half, high=mean + half)


def claim_verdict(interval: Interval | None) -> ClaimVerdict:
    """Whether the interval lies above 0 (shown), below (opposite shown) or holds it (not shown)."""
    if interval is None:
        return "too few seeds"
    if interval.low > 0:
        return "shown"
    return "opposite shown" if interval.high < 0 else "not shown"


def contrast(claim: Claim, higher: Mapping[int, float], lower: Mapping[int, float]) -> Contrast:
    """What accuracies in % by seed say of a claim; seeds that only one of them has are left out."""
    differences = [higher[seed] - lower[seed] for seed in sorted(higher.keys() & lower.keys())]
    interval = paired_interval(differences) if len(differences) > 1 else None
    return Contrast(
        sentence=claim.sentence,
        n=len(differences),
        mean=statistics.fmean(differences) if differences else None,
        interval=interval,
        verdict=claim_verdict(interval),
    )


def contrasts(claims: Iterable[Claim], accuracies: Mapping[Place, Mapping[int, float]]) -> Iterator[Contrast]:
    """What `accuracies` in % by place and seed say of `claims`; claims of other places are passed over."""
    for claim in claims:
        if claim.higher in accuracies and claim.lower in accuracies:
            yield contrast(claim, accuracies[claim.higher], accuracies[claim.lower])


Values: TypeAlias = "NDArray[float64]"
"""Accuracies in %, configurations x seeds."""

FEWEST = 5
"""Seeds below which no bootstrap interval is given: it would be far too narrow."""
RESAMPLES = 2000
POWER = 0.8
MOST_SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval, of 95 % unless said otherwise."""

    value: float
    low: float | None
    """None where seeds are too few for an interval."""
    high: float | None
    n: int
    """Seeds."""


def mean(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """The mean of `values`, one a seed, with Student's interval: exact where they are normally distributed.

    One seed has no interval. Raises ValueError where there is none.
    """
    if not len(values):
        raise ValueError("values = [], but a mean needs at least one")
    n, centre = len(values), math.fsum(values) / len(values)
    if n < 2:
        return Estimate(value=centre, low=None, high=None, n=n)
    half = student(n - 1, level) * spread(values) / math.sqrt(n)
    return Estimate(value=centre, low=centre - half, high=centre + half, n=n)


def spread(values: Sequence[float]) -> float:
    """Sample standard deviation of two values or more."""
    centre = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def bootstrap(
    values: Values, statistic: Callable[[Values], float], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """A statistic of the mean accuracies (configurations,), with a percentile interval from resampled seeds.

    No interval below FEWEST seeds, or for a statistic that is NaN; resamples for which it is NaN are passed over.
    """
    import numpy as np

    n = values.shape[1]
    value = statistic(values.mean(axis=1))
    if n < FEWEST or math.isnan(value):
        return Estimate(value=value, low=None, high=None, n=n)
    drawn = np.random.default_rng(seed).integers(0, n, (resamples, n))
    made = np.array([statistic(values[:, each].mean(axis=1)) for each in drawn])
    low, high = np.nanquantile(made, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=value, low=float(low), high=float(high), n=n)


EquivalenceVerdict = Literal["equivalent", "different", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Two one-sided tests (Schuirmann 1987) of several configurations, each against the default."""

    verdict: EquivalenceVerdict
    """`equivalent`: every difference is within the margin. `different`: one of them is outside."""
    p: float | None
    """The largest of the configurations' p (an intersection-union test needs no correction); None for one seed."""
    largest: Estimate
    """The difference farthest from 0, in points, with the interval of 90 % that the test reads."""
    needed: int | None
    """Seeds for a power of 80 %, were the differences and spreads as seen; None where no number would do."""


def equivalence(differences: Sequence[Sequence[float]], margin: float, level: float = 0.05) -> Equivalence:
    """The test of paired differences in points, configurations x seeds, for equivalence within +-`margin`.

    `different` at the same level, Bonferroni's over configurations. Raises ValueError where there are no differences.
    """
    if not differences:
        raise ValueError("differences = [], but a test needs at least one configuration")
    means = [mean(each, 1 - 2 * level) for each in differences]
    largest = max(means, key=lambda each: abs(each.value))
    if largest.n < 2:
        return Equivalence(verdict="undecided", p=None, largest=largest, needed=None)
    p = max(_p(each, margin) for each in differences)
    needs = [seeds_needed(sum(each) / len(each), spread(each), margin, level) for each in differences]
    outside = any(_is_outside(mean(each, 1 - level / len(differences)), margin) for each in differences)
    verdict: EquivalenceVerdict = "equivalent" if p < level else "different" if outside else "undecided"
    known = [each for each in needs if each is not None]
    return Equivalence(verdict=verdict, p=p, largest=largest, needed=max(known) if len(known) == len(needs) else None)


def _p(values: Sequence[float], margin: float) -> float:
    """Of the two one-sided tests, the larger."""
    from scipy.stats import t

    centre, error = sum(values) / len(values), spread(values) / math.sqrt(len(values))
    inside = margin - abs(centre)
    if error == 0:
        return 0.0 if inside > 0 else 1.0
    return float(t.sf(inside / error, len(values) - 1))


def _is_outside(estimate: Estimate, margin: float) -> bool:
    return (estimate.low or 0.0) > margin or (estimate.high or 0.0) < -margin


def seeds_needed(difference: float, std: float, margin: float, level: float = 0.05) -> int | None:
    """The fewest seeds with which `equivalence` is found with a power of 80 %, for such a true difference and spread.

    By the usual normal-theory formula with t quantiles. None where it would take more than 1,000, or no number does.
    """
    import numpy as np
    from scipy.stats import t

    room = margin - abs(difference)
    if room <= 0:
        return None
    beta = (1 - POWER) if difference else (1 - POWER) / 2  # at 0 both tests can fail
    n = np.arange(2, MOST_SEEDS + 1)
    enough = std * (t.ppf(1 - level, n - 1) + t.ppf(1 - beta, n - 1)) <= room * np.sqrt(n)
    return int(n[enough.argmax()]) if enough.any() else None
