"""Compares two studies, or two commits of one study, cell by cell: differences with 95 % intervals."""

import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Group as Views
from rich.console import RenderableType
from rich.text import Text

from crossarch.platform.report.sheets import DECIMALS, Entry, Sheet, figure, sheet, summed, words
from crossarch.platform.report.stats import Interval, Summary, paired_interval, summarize
from crossarch.platform.report.tables import Conditions, conditions
from crossarch.platform.report.terminal import sheet_grid
from crossarch.platform.report.verdicts import welch
from crossarch.platform.report.wording import METRICS, number, title
from crossarch.platform.text import one_line
from crossarch.search_spaces.study import PlannedRun, Study
from crossarch.trainables.config.identity import METHOD_VERSION, run_id
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig, flatten, setting_fields

Key = tuple[str, ...]
"""Identifies a cell: one value per key."""

Method = Literal["paired", "Welch", ""]
SideVerdict = Literal["A higher", "B higher", "not shown", "too few seeds", "the same runs", "no result"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The runs of one cell on one side, at least one with a result; of several cells if the keys do not differ."""

    labels: Key
    """Display labels of the cell, one per key."""
    accuracies: Mapping[int, float]
    """Mean accuracy over the group's cells in %, by seed; only seeds for which all cells have finished."""
    runs: frozenset[tuple[str, str]]
    """(run id, end time) of the recorded runs, of any outcome; equal pairs are the same training."""
    seconds: float
    """Device seconds, summed over `runs`."""
    config: RunConfig
    """Configuration of one of the runs."""
    cells: int = 1
    """Number of the study's cells in the group."""

    @property
    def summary(self) -> Summary | None:
        """Summary of the accuracies over seeds; None without accuracies."""
        return summarize(list(self.accuracies.values())) if self.accuracies else None


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison."""

    name: str
    groups: Mapping[Key, Group]
    left_out: int = 0
    """Number of runs left out, as their METHOD_VERSION differs."""
    method_version: int
    metric: str
    conditions: Conditions
    """Conditions (hardware, software, commits) of the recorded runs."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A cell with results on both sides."""

    labels: Key
    a: Group
    b: Group
    shared: int
    """Number of seeds with an accuracy on both sides."""
    difference: float | None
    """B - A in percentage points: over shared seeds if paired, else of the means.

    None if a side has no accuracy, or both sides are the same runs.
    """
    interval: Interval | None
    method: Method
    verdict: SideVerdict


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of two sides, with matched cells in A's order."""

    a: Side
    b: Side
    by: tuple[str, ...]
    pairs: tuple[Pair, ...]
    only_a: tuple[Group, ...]
    only_b: tuple[Group, ...]
    differing: tuple[str, ...]
    """Dotted names of settings in which matched cells differ, without teachers' settings."""


def group_runs(
    study: Study, planned: Iterable[PlannedRun], results: Mapping[str, RunResult], by: Sequence[str]
) -> dict[Key, Group]:
    """Groups the recorded runs of `planned` by their values of the keys `by`: `arm`, axes or settings."""
    found: dict[Key, list[PlannedRun]] = {}
    for plan in planned:
        found.setdefault(tuple(_value(plan, name) for name in by), []).append(plan)
    made = {key: _group(study, by, key, plans, results) for key, plans in found.items()}
    return {key: group for key, group in made.items() if group.runs}


def _value(plan: PlannedRun, name: str) -> str:
    if name in plan.coordinates:
        return plan.coordinates[name]
    settings = dict(flatten(plan.config))
    if name not in settings:
        return "–"
    return f"{settings[name]:g}" if isinstance(settings[name], float) else str(settings[name])


def check_keys(study: Study, by: Sequence[str]) -> None:
    """Raises ValueError for a key that is not `arm`, an axis or a setting."""
    axes = [axis.name for axis in study.axes]
    known = {"arm", *axes, *(name for name, _ in setting_fields())}
    for name in by:
        if name not in known:
            raise ValueError(f"by = {name!r} is not arm, an axis of {study.name} ({', '.join(axes)}) or a setting")


def _group(
    study: Study,
    by: Sequence[str],
    key: Key,
    plans: Sequence[PlannedRun],
    results: Mapping[str, RunResult],
) -> Group:
    by_seed: dict[int, list[float | None]] = {}
    there: dict[str, RunResult] = {}
    for plan in plans:
        name = plan.run_id
        result = results.get(name)
        finished = result is not None and result.outcome == "finished"
        by_seed.setdefault(plan.config.seed, []).append(getattr(result, study.metric) if finished else None)
        if result is not None:
            there[name] = result
    selected = any(result.outcome == "stopped" for result in there.values())  # early stopping is by accuracy
    whole = {
        seed: statistics.fmean(value for value in values if value is not None)
        for seed, values in by_seed.items()
        if None not in values and not selected
    }
    coordinates = plans[0].coordinates
    shown = tuple(
        study.label(name, value) if name in coordinates else value for name, value in zip(by, key, strict=True)
    )
    return Group(
        labels=shown,
        accuracies=whole,
        runs=frozenset((name, result.finished_at) for name, result in there.items()),
        seconds=math.fsum(result.device_seconds for result in there.values()),
        config=plans[0].config,
        cells=len({(plan.arm, plan.cell) for plan in plans}),
    )


def compare(a: Side, b: Side, by: Sequence[str]) -> Comparison:
    """Compares the cells of both sides, matched by their keys. Raises ValueError if the sides' metrics differ."""
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
    """Compares two groups (see `differ`)."""
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
    """Difference B - A of accuracies, with its 95 % confidence interval.

    With two or more shared seeds, Student's t interval of the paired differences (a seed draws the same data and
    weights on both sides); else Welch's interval (1947), which needs two seeds per side.

    Args:
        a: Accuracies of A in %, by seed.
        b: Accuracies of B in %, by seed.

    Returns:
        The difference in percentage points (None if a side is empty), its interval (None for too few seeds), and the
        method.
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


def verdict(difference: float | None, interval: Interval | None) -> SideVerdict:
    """The higher side if the interval excludes 0, else `not shown`, or why there is no interval."""
    if difference is None:
        return "no result"
    if interval is None:
        return "too few seeds"
    if interval.low > 0:
        return "B higher"
    return "A higher" if interval.high < 0 else "not shown"


def differing(configs: Iterable[tuple[RunConfig, RunConfig]]) -> Iterator[str]:
    """Yields the dotted names of settings, other than the seed, that differ in any of the pairs."""
    pairs = [(dict(flatten(first)), dict(flatten(second))) for first, second in configs]
    names = dict.fromkeys(name for pair in pairs for settings in pair for name in settings)
    for name in names:
        if name != "seed" and any(first.get(name) != second.get(name) for first, second in pairs):
            yield name


_AT_COMMIT = re.compile(r"(.+)@([0-9a-f]{4,40})")


def split_commit(text: str) -> tuple[str, str | None]:
    """Splits `quickstart@9616db4` into study and commit (4 to 40 hexadecimal digits); the commit is None if absent."""
    found = _AT_COMMIT.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


def common_keys(a: Study, b: Study) -> tuple[str, ...]:
    """`arm` and the axes common to both studies, in the order of `a`."""
    others = {axis.name for axis in b.axes}
    return ("arm", *(axis.name for axis in a.axes if axis.name in others))


def make_side(
    name: str,
    study: Study,
    recorded: Mapping[str, RunResult],
    versions: Mapping[str, int],
    by: Sequence[str],
    commit: str | None = None,
    *,
    place: str = "the ledger",
) -> Side:
    """One side of a comparison: a study's recorded runs with any seeds, or those trained by a commit.

    Only runs of one METHOD_VERSION are included: the current one, or with `commit` the latest among its runs.

    Args:
        name: Display name of the side.
        study: The study, including all points chosen by its sampler.
        recorded: Results by recorded run id, of this study and of others.
        versions: METHOD_VERSION by recorded run id.
        by: The keys by which cells are distinguished.
        commit: First digits of the commit whose runs are used; None for all.
        place: Where the runs are recorded, for messages.

    Raises:
        ValueError: There are no such runs, or the study does not have one of the keys `by`.
    """
    check_keys(study, by)
    results = recorded
    if commit is not None:
        results = {run: each for run, each in recorded.items() if commit_of(each).startswith(commit)}
        if not results:
            there = sorted({commit_of(each) or "unknown" for each in recorded.values()})
            told = f"there are {', '.join(there)}" if there else "there are none"
            raise ValueError(f"commit = {commit!r} trained no run below {place!r}: {told}")
    planned = tuple(study.expand(tuple(sorted({each.config.seed for each in results.values()})) or None))
    ids = {plan.config: run_id(plan.config) for plan in planned}
    own = set(ids.values())
    mine = {run: run if run in own else ids.get(result.config) for run, result in results.items()}
    mine = {run: planned_as for run, planned_as in mine.items() if planned_as}
    version = METHOD_VERSION if commit is None else max((versions[run] for run in mine), default=METHOD_VERSION)
    kept = {planned_as: results[run] for run, planned_as in mine.items() if planned_as and versions[run] == version}
    if not kept:
        raise ValueError(f"study = {name!r} has no results in {place!r}: `crossarch run` trains them")
    return Side(
        name=name,
        groups=group_runs(study, planned, kept, by),
        left_out=len(mine) - len(kept),
        method_version=version,
        metric=study.metric,
        conditions=conditions(kept.values()),
    )


def commit_of(result: RunResult) -> str:
    """The commit that trained a run; empty if unknown."""
    return str(result.environment.get("commit") or "")


MOST_SETTINGS = 12
"""Maximum number of differing settings listed in the terminal."""

_SIDES = ("A", "B")
_COUNTED = tuple(f"{name} {side}" for side in _SIDES for name in ("Mean", "Std", "n", "Device (s)"))
_MEASURED = (*_COUNTED, "Shared seeds", "Difference", "Low", "High")


def cells_sheet(found: Comparison) -> Sheet:
    """Table of the matched cells, with unrounded numbers."""
    return sheet(
        "compare",
        f"{found.a.name} (A) and {found.b.name} (B), cell by cell",
        (*map(title, found.by), *_MEASURED, "Interval", "Verdict"),
        (_row(pair) for pair in found.pairs),
        numeric=_MEASURED,
        labels=len(found.by),
        note=" ".join(told(found)),
    )


def _row(pair: Pair) -> tuple[Entry, ...]:
    interval = pair.interval
    ends = (interval.low, interval.high) if interval else (None, None)
    return (
        *map(words, pair.labels),
        *_measured(pair.a),
        *_measured(pair.b),
        figure(pair.shared),
        *(figure(None if value is None else round(value, DECIMALS), 1) for value in (pair.difference, *ends)),
        words(pair.method or None),
        words(pair.verdict),
    )


def _measured(group: Group) -> tuple[Entry, ...]:
    return (*summed(group.summary), figure(group.seconds, 1))


def one_side_sheet(found: Comparison) -> Sheet:
    """Table of the cells with results on one side only."""
    columns = ("Mean", "Std", "n", "Device (s)")
    return sheet(
        "compare-one-side",
        "Cells with results on one side alone",
        ("Side", *map(title, found.by), *columns),
        (
            (words(side), *map(words, group.labels), *_measured(group))
            for side, groups in zip(_SIDES, (found.only_a, found.only_b), strict=True)
            for group in groups
        ),
        numeric=columns,
        labels=1 + len(found.by),
    )


def told(found: Comparison) -> list[str]:
    """Sentences that explain the numbers."""
    sentences = [
        f"{METRICS.get(found.a.metric, found.a.metric)}, mean ± sample standard deviation; n runs finished.",
        "Difference: points by which B is above A, with its 95 % interval: Student's t over the differences of shared "
        "seeds where there are two or more (paired), else Welch's. Each cell stands alone: the intervals are not "
        "widened for their number.",
        "Device: seconds on the device, evaluations included, summed over the cell's runs, its teachers left out.",
    ]
    if any(pair.a.cells > 1 or pair.b.cells > 1 for pair in found.pairs):
        sentences.append("Where several cells of a study are one here, a seed counts once all of them have it.")
    uneven = sum(pair.a.cells != pair.b.cells for pair in found.pairs)
    if uneven:
        sentences.append(
            f"In {uneven} rows A and B are of different numbers of cells: give more keys to tell these apart."
        )
    return sentences


def render_comparison(found: Comparison) -> RenderableType:
    """Renders both sides, the matched cells, the cells of one side only, and the explanations for the terminal."""
    views: list[RenderableType] = [
        *(Text(f"{side} is {_side(of)}") for side, of in zip(_SIDES, (found.a, found.b), strict=True)),
        Text(_configurations(found)),
        Text(),
        *([sheet_grid(_short(found))] if found.pairs else []),
    ]
    for side, groups in zip(_SIDES, (found.only_a, found.only_b), strict=True):
        if groups:
            views += [Text(), Text(f"Only in {side}: {'; '.join(', '.join(group.labels) for group in groups)}")]
    return Views(*views, Text(), Text("\n".join(told(found))))


def _short(found: Comparison) -> Sheet:
    counted = ("n A", "n B", "A (s)", "B (s)")
    return sheet(
        "compare",
        "",
        (*map(title, found.by), "A", "n A", "B", "n B", "B - A", "Interval", "Verdict", "A (s)", "B (s)"),
        (
            (
                *map(words, pair.labels),
                *_accuracy(pair.a),
                *_accuracy(pair.b),
                words(_difference(pair)),
                words(pair.method or None),
                words(pair.verdict),
                *(figure(group.seconds, 1) for group in (pair.a, pair.b)),
            )
            for pair in found.pairs
        ),
        numeric=counted,
        labels=len(found.by),
    )


def _accuracy(group: Group) -> tuple[Entry, Entry]:
    known = group.summary
    return words(number(known) if known else None), figure(known.n if known else 0)


def _difference(pair: Pair) -> str:
    if pair.difference is None:
        return ""
    ends = f" ({pair.interval.low:+z.1f} to {pair.interval.high:+z.1f})" if pair.interval else ""
    return f"{pair.difference:+z.1f}{ends}"


def _side(side: Side) -> str:
    seconds = math.fsum(group.seconds for group in side.groups.values())
    known = side.conditions
    parts = [
        f"{side.name}: {known.runs} runs",
        f"{seconds:,.1f} device seconds",
        f"METHOD_VERSION {side.method_version}",
        *([f"{side.left_out} runs of other METHOD_VERSIONs left out"] if side.left_out else []),
        *([f"commit {', '.join(known.commits)}"] if known.commits else []),
        *known.hardware,
        *known.software,
    ]
    return one_line("; ".join(parts))


def _configurations(found: Comparison) -> str:
    names = found.differing
    if not names:
        return "The settings of matched cells are the same." if found.pairs else "No cell has results on both sides."
    more = f" and {len(names) - MOST_SETTINGS} more" if len(names) > MOST_SETTINGS else ""
    return f"Matched cells differ in {', '.join(names[:MOST_SETTINGS])}{more}."


def sheets_of(found: Comparison) -> Iterable[Sheet]:
    """The non-empty tables of the comparison."""
    return [each for each in (cells_sheet(found), one_side_sheet(found)) if each.rows]
