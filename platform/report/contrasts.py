"""What a study's claims come to: differences paired over seeds, with their intervals; pure data, rendered elsewhere."""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from crossarch.platform.report.statistics import student
from crossarch.search_spaces.claims import Claim, Place

Verdict = Literal["shown", "not shown", "opposite shown", "too few seeds"]


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
    verdict: Verdict


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


def verdict(interval: Interval | None) -> Verdict:
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
        verdict=verdict(interval),
    )


def contrasts(claims: Iterable[Claim], accuracies: Mapping[Place, Mapping[int, float]]) -> Iterator[Contrast]:
    """What `accuracies` in % by place and seed say of `claims`; claims of other places are passed over."""
    for claim in claims:
        if claim.higher in accuracies and claim.lower in accuracies:
            yield contrast(claim, accuracies[claim.higher], accuracies[claim.lower])
