"""Hyperparameter search spaces and generators of points: slices, grid, Latin hypercube, Sobol'.

A point assigns a value to every domain. Generators are pure: equal arguments give equal points in equal order.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Point = Mapping[str, float]
"""Value of every domain, by domain name."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Range, step and default of one hyperparameter. All values are in `unit`."""

    name: str
    symbol: str
    """The paper's symbol."""
    meaning: str
    settings: tuple[str, ...]
    """Dotted names of the settings that it sets."""
    low: float
    high: float
    step: float
    """Resolution: values are multiples of it. If it is a whole number, all values are integers."""
    default: float
    """The arm's value; the domain's own default if the arm leaves the setting at None."""
    levels: tuple[float, ...]
    """Values used by slices and grids."""
    log: bool = False
    """Whether the scale is logarithmic."""
    unit: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError if the bounds are not increasing, or `default` or a level is not a value of the domain."""
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.name}: low = {self.low:g} and high = {self.high:g} bound no domain")
        for value in (self.default, *self.levels):
            if value != self.rounded(value):
                raise ValueError(
                    f"{self.name} = {value:g} is no multiple of {self.step:g} in [{self.low:g}, {self.high:g}]"
                )

    def rounded(self, value: float) -> float:
        """Clips `value` to [`low`, `high`] and rounds it to the nearest multiple of `step`."""
        near = round(min(max(value, self.low), self.high) / self.step) * self.step
        return int(near) if self.is_whole else round(near, 10)

    def at(self, share: float) -> float:
        """Quantile function: the value at `share` in [0, 1] of the domain.

        On a linear domain all multiples of `step` are equally likely. On a logarithmic domain the value is log-uniform
        and then rounded to a multiple of `step`.
        """
        if self.log:
            return self.rounded(self.low * (self.high / self.low) ** share)
        count = round((self.high - self.low) / self.step) + 1
        return self.rounded(self.low + min(math.floor(share * count), count - 1) * self.step)

    @property
    def is_whole(self) -> bool:
        """Whether all values are integers."""
        return float(self.step).is_integer()


@dataclass(frozen=True, kw_only=True)
class Space:
    """Search space: the domains named in `varied` are searched, the others keep their defaults."""

    domains: tuple[Domain, ...]
    varied: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError if `varied` is empty or has an unknown or repeated name."""
        known = [domain.name for domain in self.domains]
        for name in self.varied:
            if name not in known:
                raise ValueError(f"vary = {name!r} is not one of {', '.join(known)}")
        if not self.varied or len(set(self.varied)) < len(self.varied):
            raise ValueError(
                f"vary = {', '.join(self.varied)!r} must name one of {', '.join(known)} or more, none twice"
            )

    @property
    def searched(self) -> tuple[Domain, ...]:
        """The domains in `varied`, in the order of declaration."""
        return tuple(domain for domain in self.domains if domain.name in self.varied)

    @property
    def default(self) -> Point:
        """The point with every domain at its default."""
        return {domain.name: domain.default for domain in self.domains}

    def moved(self, values: Mapping[str, float]) -> Point:
        """The default point with `values` replaced, by domain name."""
        return {**self.default, **values}


def slices(space: Space) -> list[Point]:
    """One-factor-at-a-time design: each level of each searched domain, with all other domains at their defaults.

    The default point is left out.
    """
    return [
        space.moved({domain.name: level})
        for domain in space.searched
        for level in domain.levels
        if level != domain.default
    ]


def grid(space: Space) -> list[Point]:
    """Full factorial design over the levels of the searched domains, without the default point."""
    names = [domain.name for domain in space.searched]
    values = itertools.product(*(domain.levels for domain in space.searched))
    points = [space.moved(dict(zip(names, each, strict=True))) for each in values]
    return [point for point in points if point != space.default]


def latin_hypercube(space: Space, count: int, seed: int) -> list[Point]:
    """`count` points of a Latin hypercube design (McKay et al. 1979): one in each of a domain's `count` equal parts.

    Raises ValueError if `count` is outside [1, 10000].
    """
    from scipy.stats import qmc  # slow to import

    checked(count)
    return spread(space, qmc.LatinHypercube(len(space.searched), rng=seed).random(count).tolist())


def sobol(space: Space, count: int, seed: int) -> list[Point]:
    """The first `count` points of a scrambled Sobol' sequence (Owen 1998), balanced if `count` is a power of 2.

    Raises ValueError if `count` is outside [1, 10000].
    """
    from scipy.stats import qmc  # slow to import

    checked(count)
    power = (count - 1).bit_length()
    return spread(space, qmc.Sobol(len(space.searched), rng=seed).random_base2(power)[:count].tolist())


def spread(space: Space, shares: Iterable[Sequence[float]]) -> list[Point]:
    """Maps rows of shares in [0, 1], one share per searched domain, to points (see `Domain.at`)."""
    return [
        space.moved({domain.name: domain.at(share) for domain, share in zip(space.searched, row, strict=True)})
        for row in shares
    ]


def checked(count: int) -> int:
    """Returns `count`. Raises ValueError if it is outside [1, 10000]."""
    if not 1 <= count <= 10_000:
        raise ValueError(f"samples = {count} is outside [1, 10000]")
    return count
