"""Timing in turns within one process, so that whatever else a machine does hits all alike; medians and intervals."""

import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch


class Timed(Protocol):
    """Something whose steps can be timed."""

    def seconds(self, steps: int) -> float:
        """Seconds a step, over so many."""


def in_turns(benches: Sequence[Timed], *, steps: int, repeats: int, untimed: int = 1) -> list[list[float]]:
    """Seconds a step of each bench in each of `repeats` turns, each of `untimed` and then `steps` timed steps.

    Every turn begins with another bench.
    """
    seconds: list[list[float]] = [[] for _ in benches]
    for turn in range(repeats):
        for place in range(len(benches)):
            index = (turn + place) % len(benches)
            if untimed:
                benches[index].seconds(untimed)
            seconds[index].append(benches[index].seconds(steps))
    return seconds


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch use one thread for a while."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ratios(values: Sequence[float], others: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The median of `values` over `others`, turn by turn, and its 95 % confidence interval."""
    each = [value / other for value, other in zip(values, others, strict=True)]
    return statistics.median(each), median_interval(each)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper one."""
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, upper


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Order statistics between which the median lies with at least 95 % confidence, whatever the distribution.

    The k-th smallest and k-th largest of n values, k the greatest with P(Binomial(n, 1/2) < k) <= 2.5 %.
    Raises ValueError where there are too few values for it.
    """
    n, k, below = len(values), 0, 0.5 ** len(values)
    while below <= 0.025:
        k += 1
        below += math.comb(n, k) * 0.5**n
    if not k:
        raise ValueError(f"{n} values are too few for a 95 % interval of their median")
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]
