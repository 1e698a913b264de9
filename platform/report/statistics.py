"""What is said of several runs of one configuration: mean, spread and how many they were."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

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
