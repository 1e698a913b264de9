"""Statistics over seeds: summaries, paired tests, equivalence tests and bootstrap, each with its interval."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy import float64
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import t

from crossarch.search_spaces.study import Claim, Place

LEVEL = 0.95
"""Confidence level of intervals."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary of the accuracies in % of runs that differ only in their seed."""

    mean: float
    std: float | None
    """Sample standard deviation (divided by n - 1); None for a single run, whose spread is unknown."""
    n: int


def student(freedom: float, level: float = LEVEL) -> float:
    """Two-sided quantile of Student's t: the central probability `level` lies between -t and t."""
    return float(stdtrit(freedom, (1 + level) / 2))


def summarize(accuracies: Sequence[float]) -> Summary:
    """Mean, sample standard deviation and number of `accuracies`. Raises ValueError if there are none."""
    if not accuracies:
        raise ValueError("accuracies = [], but a summary needs at least one")
    return Summary(
        mean=statistics.fmean(accuracies),
        std=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        n=len(accuracies),
    )


def gap(summary: Summary, reference: Summary) -> float:
    """Difference of the means in percentage points; positive if `summary` is above `reference`."""
    return summary.mean - reference.mean


ClaimVerdict = Literal["shown", "not shown", "opposite shown", "too few seeds"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and its confidence interval of level LEVEL; differences in percentage points unless stated otherwise."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The paired test of a claim."""

    sentence: str
    n: int
    """Number of seeds that both sides of the claim have."""
    mean: float | None
    """Mean difference in points over those seeds; None without seeds."""
    interval: Interval | None
    """None below two seeds."""
    verdict: ClaimVerdict


def paired_interval(differences: Sequence[float]) -> Interval:
    """Student's t interval of the mean of n >= 2 differences: mean ± t(n - 1) s / sqrt(n).

    Exact for normally distributed differences. Raises ValueError for fewer than two.
    """
    n = len(differences)
    if n < 2:
        raise ValueError(f"differences = {list(differences)!r}, but an interval needs two or more")
    mean = statistics.fmean(differences)
    half = student(n - 1) * statistics.stdev(differences) / math.sqrt(n)
    return Interval(mean=mean, low=mean - half, high=mean + half)


def claim_verdict(interval: Interval | None) -> ClaimVerdict:
    """`shown` if the interval is above 0, `opposite shown` if below, `not shown` if it contains 0."""
    if interval is None:
        return "too few seeds"
    if interval.low > 0:
        return "shown"
    return "opposite shown" if interval.high < 0 else "not shown"


def contrast(claim: Claim, higher: Mapping[int, float], lower: Mapping[int, float]) -> Contrast:
    """The paired test of a claim, from accuracies in % by seed; seeds that only one side has are left out."""
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
    """The tests of `claims`, from accuracies in % by arm and cell and by seed; claims on others are skipped."""
    for claim in claims:
        if claim.higher in accuracies and claim.lower in accuracies:
            yield contrast(claim, accuracies[claim.higher], accuracies[claim.lower])


Values: TypeAlias = NDArray[float64]
"""Accuracies in %, of shape (configurations, seeds)."""

FEWEST = 5
"""Minimum number of seeds for a bootstrap interval, which would be far too narrow with fewer."""
RESAMPLES = 2000
POWER = 0.8
MOST_SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimate with its confidence interval, of 95 % unless stated otherwise."""

    value: float
    low: float | None
    """None if there are too few seeds for an interval."""
    high: float | None
    n: int
    """Number of seeds."""


def mean(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """The mean of `values`, one per seed, with Student's t interval, which is exact for normally distributed values.

    A single seed has no interval. Raises ValueError without seeds.
    """
    if not len(values):
        raise ValueError("values = [], but a mean needs at least one")
    n, centre = len(values), math.fsum(values) / len(values)
    if n < 2:
        return Estimate(value=centre, low=None, high=None, n=n)
    half = student(n - 1, level) * spread(values) / math.sqrt(n)
    return Estimate(value=centre, low=centre - half, high=centre + half, n=n)


def spread(values: Sequence[float]) -> float:
    """Sample standard deviation of at least two values."""
    centre = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def bootstrap(
    values: Values, statistic: Callable[[Values], float], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """A statistic of the mean accuracies over seeds, with a percentile bootstrap interval.

    Seeds are resampled, each in all configurations at once. No interval is given below FEWEST seeds, or if the
    statistic is NaN; resamples for which it is NaN are ignored.

    Args:
        values: Accuracies in %, (configurations, seeds).
        statistic: A function of the mean accuracies, (configurations,).
        resamples: Number of resamples.
        seed: Of the random numbers.
    """
    n = values.shape[1]
    value = statistic(values.mean(axis=1))
    if n < FEWEST or math.isnan(value):
        return Estimate(value=value, low=None, high=None, n=n)
    drawn = np.random.default_rng(seed).integers(0, n, (resamples, n))
    statistics_of_resamples = np.array([statistic(values[:, seeds].mean(axis=1)) for seeds in drawn])
    low, high = np.nanquantile(statistics_of_resamples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=value, low=float(low), high=float(high), n=n)


EquivalenceVerdict = Literal["equivalent", "different", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Two one-sided tests (TOST, Schuirmann 1987) of several configurations, each against the default."""

    verdict: EquivalenceVerdict
    """`equivalent`: all differences are within the margin. `different`: at least one is outside."""
    p: float | None
    """The largest p-value of the configurations (an intersection-union test needs no correction); None for one seed."""
    largest: Estimate
    """The difference of largest magnitude, in points, with its interval of 90 %, to which the test is equivalent."""
    needed: int | None
    """Seeds needed for a power of 80 %, for true differences and deviations as observed; None if no number suffices."""


def equivalence(differences: Sequence[Sequence[float]], margin: float, level: float = 0.05) -> Equivalence:
    """Tests paired differences for equivalence within ±`margin` points.

    Args:
        differences: In points, (configurations, seeds).
        margin: In points.
        level: Of the tests for `equivalent`, and for `different` with Bonferroni's correction over configurations.

    Raises:
        ValueError: There are no differences.
    """
    if not differences:
        raise ValueError("differences = [], but a test needs at least one configuration")
    means = [mean(configuration, 1 - 2 * level) for configuration in differences]
    largest = max(means, key=lambda estimate: abs(estimate.value))
    if largest.n < 2:
        return Equivalence(verdict="undecided", p=None, largest=largest, needed=None)
    p = max(_tost_p_value(values, margin) for values in differences)
    needs = [seeds_needed(sum(values) / len(values), spread(values), margin, level) for values in differences]
    outside = any(_is_outside(mean(values, 1 - level / len(differences)), margin) for values in differences)
    verdict: EquivalenceVerdict = "undecided"
    if p < level:
        verdict = "equivalent"
    elif outside:
        verdict = "different"
    known = [seeds for seeds in needs if seeds is not None]
    return Equivalence(verdict=verdict, p=p, largest=largest, needed=max(known) if len(known) == len(needs) else None)


def _tost_p_value(values: Sequence[float], margin: float) -> float:
    """TOST p-value: the maximum of the two one-sided p-values."""
    centre, error = sum(values) / len(values), spread(values) / math.sqrt(len(values))
    inside = margin - abs(centre)
    if error == 0:
        return 0.0 if inside > 0 else 1.0
    return float(t.sf(inside / error, len(values) - 1))


def _is_outside(estimate: Estimate, margin: float) -> bool:
    return (estimate.low or 0.0) > margin or (estimate.high or 0.0) < -margin


def seeds_needed(difference: float, std: float, margin: float, level: float = 0.05) -> int | None:
    """Minimum number of seeds for which `equivalence` has a power of 80 %.

    By the usual normal-theory formula with t quantiles.

    Args:
        difference: The true difference, in points.
        std: The true standard deviation of the differences, in points.
        margin: In points.
        level: Of the test.

    Returns:
        None if more than 1,000 seeds are needed, or no number suffices.
    """
    room = margin - abs(difference)
    if room <= 0:
        return None
    beta = (1 - POWER) if difference else (1 - POWER) / 2  # at 0 both tests can fail
    n = np.arange(2, MOST_SEEDS + 1)
    enough = std * (t.ppf(1 - level, n - 1) + t.ppf(1 - beta, n - 1)) <= room * np.sqrt(n)
    return int(n[enough.argmax()]) if enough.any() else None
