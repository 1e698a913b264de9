"""Two studies, or two commits of one, cell by cell: accuracies, their difference, and cost; pure data."""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from crossarch.platform.report.conditions import Conditions
from crossarch.platform.report.contrasts import Interval, paired_interval
from crossarch.platform.report.statistics import Summary, summarize
from crossarch.platform.report.tables import labels_of
from crossarch.platform.report.verdicts import welch
from crossarch.search_spaces.study import Planned, Study
from crossarch.trainables.config import RunConfig, flatten
from crossarch.trainables.identity import run_id
from crossarch.trainables.result import RunResult

Key = tuple[str, ...]
"""What a cell is called: a value of each of the keys."""

Method = Literal["paired", "Welch", ""]
Verdict = Literal["A higher", "B higher", "not shown", "too few seeds", "the same runs", "no result"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The runs of one cell on one side, one of them with a result; of several cells where the keys join them."""

    labels: Key
    """As the cell is shown."""
    accuracies: Mapping[int, float]
    """In %, by seed, over all cells of the group; of seeds with which all of them have finished."""
    runs: frozenset[tuple[str, str]]
    """Id and end of the runs with a result, of any outcome: equal ones are one training."""
    seconds: float
    """On the device, summed over these runs."""
    config: RunConfig
    """Of one of its runs."""
    cells: int = 1
    """How many of the study's it is."""

    @property
    def summary(self) -> Summary | None:
        """Over seeds."""
        return summarize(list(self.accuracies.values())) if self.accuracies else None


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison."""

    name: str
    groups: Mapping[Key, Group]
    left_out: int = 0
    """Runs of other METHOD_VERSIONs than the rest."""
    method_version: int
    metric: str
    conditions: Conditions
    """Of the runs with a result."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A cell of which both sides have results."""

    labels: Key
    a: Group
    b: Group
    shared: int
    """Seeds with a result on both sides."""
    difference: float | None
    """Points by which B is above A: over shared seeds where it is paired, else of the means; None for the same runs."""
    interval: Interval | None
    method: Method
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Cells side by side, in A's order."""

    a: Side
    b: Side
    by: tuple[str, ...]
    pairs: tuple[Pair, ...]
    only_a: tuple[Group, ...]
    only_b: tuple[Group, ...]
    differing: tuple[str, ...]
    """Settings, by dotted name, in which matched cells differ, teachers' left out."""


def group_runs(
    study: Study, planned: Iterable[Planned], results: Mapping[str, RunResult], by: Sequence[str]
) -> dict[Key, Group]:
    """The runs of `planned` that have results, by what they are in `by`: `arm`, an axis, or a setting."""
    found: dict[Key, list[Planned]] = {}
    for plan in planned:
        found.setdefault(tuple(_value(study, plan, name) for name in by), []).append(plan)
    labels = labels_of(study.arms)
    made = {key: _group(study, by, key, plans, results, labels) for key, plans in found.items()}
    return {key: group for key, group in made.items() if group.runs}


def _value(study: Study, plan: Planned, name: str) -> str:
    if name == "arm":
        return plan.arm
    axes = [axis.name for axis in study.axes]
    if name in axes:
        return plan.cell[axes.index(name)]
    settings = dict(flatten(plan.config))
    if name not in settings:
        return "–"
    return f"{settings[name]:g}" if isinstance(settings[name], float) else str(settings[name])


def check_keys(study: Study, by: Sequence[str]) -> None:
    """Raises ValueError for a key that `group_runs` does not know."""
    from crossarch.platform.record.schema import setting_fields

    axes = [axis.name for axis in study.axes]
    known = {"arm", *axes, *(field.name for field in setting_fields())}
    for name in by:
        if name not in known:
            raise ValueError(f"by = {name!r} is not arm, an axis of {study.name} ({', '.join(axes)}) or a setting")


def _group(
    study: Study,
    by: Sequence[str],
    key: Key,
    plans: Sequence[Planned],
    results: Mapping[str, RunResult],
    labels: Mapping[str, str],
) -> Group:
    by_seed: dict[int, list[float | None]] = {}
    there: dict[str, RunResult] = {}
    for plan in plans:
        name = run_id(plan.config)
        result = results.get(name)
        finished = result is not None and result.outcome == "finished"
        by_seed.setdefault(plan.config.seed, []).append(getattr(result, study.metric) if finished else None)
        if result is not None:
            there[name] = result
    selected = any(result.outcome == "stopped" for result in there.values())  # those left were chosen by accuracy
    whole = {
        seed: statistics.fmean(value for value in values if value is not None)
        for seed, values in by_seed.items()
        if None not in values and not selected
    }
    shown = tuple(labels[value] if name == "arm" else value for name, value in zip(by, key, strict=True))
    return Group(
        labels=shown,
        accuracies=whole,
        runs=frozenset((name, result.finished_at) for name, result in there.items()),
        seconds=math.fsum(result.device_seconds for result in there.values()),
        config=plans[0].config,
        cells=len({(plan.arm, plan.cell) for plan in plans}),
    )


def compare(a: Side, b: Side, by: Sequence[str]) -> Comparison:
    """The cells of both sides, matched by their keys. Raises ValueError where the sides measure different things."""
    if a.metric != b.metric:
        raise ValueError(f"metric = {a.metric!r} of {a.name} cannot be compared with {b.metric!r} of {b.name}")
    matched = [key for key in a.groups if key in b.groups]
    return Comparison(
        a=a,
        b=b,
        by=tuple(by),
        pairs=tuple(pair(a.groups[key], b.groups[key]) for key in matched),
        only_a=tuple(group for key, group in a.groups.items() if key not in b.groups),
        only_b=tuple(group for key, group in b.groups.items() if key not in a.groups),
        differing=tuple(differing((a.groups[key].config, b.groups[key].config) for key in matched)),
    )


def pair(a: Group, b: Group) -> Pair:
    """Two groups side by side: paired over shared seeds where there are two or more, else Welch's interval."""
    same = a.runs == b.runs and a.accuracies == b.accuracies
    difference, interval, method = differ({}, {}) if same else differ(a.accuracies, b.accuracies)
    return Pair(
        labels=a.labels,
        a=a,
        b=b,
        shared=len(a.accuracies.keys() & b.accuracies.keys()),
        difference=difference,
        interval=interval,
        method=method,
        verdict="the same runs" if same else verdict(difference, interval),
    )


def differ(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[float | None, Interval | None, Method]:
    """How far B is above A, accuracies in % by seed: difference, its 95 % interval, and how that was made.

    Student's t over the differences of shared seeds where there are two or more (a seed draws the same data and
    weights on both sides); else Welch's (1947), for which both sides need two. None where a side has no result.
    """
    shared = sorted(a.keys() & b.keys())
    if len(shared) > 1:
        found = paired_interval([b[seed] - a[seed] for seed in shared])
        return found.mean, found, "paired"
    if not a or not b:
        return None, None, ""
    first, second = summarize(list(a.values())), summarize(list(b.values()))
    difference = second.mean - first.mean
    if first.std is None or second.std is None:
        return difference, None, ""
    half = welch(second, first.std, first.n)
    return difference, Interval(mean=difference, low=difference - half, high=difference + half), "Welch"


def verdict(difference: float | None, interval: Interval | None) -> Verdict:
    """Which side is higher where the whole interval says so."""
    if difference is None:
        return "no result"
    if interval is None:
        return "too few seeds"
    if interval.low > 0:
        return "B higher"
    return "A higher" if interval.high < 0 else "not shown"


def differing(configs: Iterable[tuple[RunConfig, RunConfig]]) -> Iterator[str]:
    """The settings in which any of the pairs differ, the seed left out."""
    pairs = [(dict(flatten(first)), dict(flatten(second))) for first, second in configs]
    names = dict.fromkeys(name for pair in pairs for settings in pair for name in settings)
    for name in names:
        if name != "seed" and any(first.get(name) != second.get(name) for first, second in pairs):
            yield name
