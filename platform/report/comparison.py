"""A comparison as sheets for files, and in a terminal."""

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
from crossarch.platform.report.tables import Conditions, conditions, labels_of
from crossarch.platform.report.terminal import sheet_grid
from crossarch.platform.report.verdicts import welch
from crossarch.platform.report.wording import METRICS, number, title
from crossarch.platform.scheduling.sampling import recorded_forms
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.text import one_line
from crossarch.search_spaces.study import Planned, Study
from crossarch.trainables.config.identity import METHOD_VERSION, run_id
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig, flatten

Key = tuple[str, ...]
"""What a cell is called: a value of each of the keys."""

Method = Literal["paired", "Welch", ""]
SideVerdict = Literal["A higher", "B higher", "not shown", "too few seeds", "the same runs", "no result"]


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
    verdict: SideVerdict


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
    from crossarch.platform.store.schema import setting_fields

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


def verdict(difference: float | None, interval: Interval | None) -> SideVerdict:
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


_AT_COMMIT = re.compile(r"(.+)@([0-9a-f]{4,40})")


def split_commit(text: str) -> tuple[str, str | None]:
    """`quickstart@9616db4` as study and commit; without `@` and 4 to 40 hexadecimal digits, the study alone."""
    found = _AT_COMMIT.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


def common_keys(a: Study, b: Study) -> tuple[str, ...]:
    """`arm`, and the axes that both studies have, in the order of `a`."""
    others = {axis.name for axis in b.axes}
    return ("arm", *(axis.name for axis in a.axes if axis.name in others))


def make_side(name: str, study: Study, ledger: Ledger, by: Sequence[str], commit: str | None = None) -> Side:
    """A study's recorded runs of whatever seeds, or those that a commit trained; of one METHOD_VERSION alone.

    Raises ValueError where there are none, or the study has not one of the keys `by`.
    """
    check_keys(study, by)
    versions = ledger.versions()
    recorded = ledger.read()
    results = recorded
    if commit is not None:
        results = {run: each for run, each in recorded.items() if commit_of(each).startswith(commit)}
        if not results:
            there = sorted({commit_of(each) or "unknown" for each in recorded.values()})
            told = f"there are {', '.join(there)}" if there else "there are none"
            raise ValueError(f"commit = {commit!r} trained no run below {str(ledger.root)!r}: {told}")
    form = recorded_forms(study, ledger)[-1]
    planned = tuple(form.expand(tuple(sorted({each.config.seed for each in results.values()})) or None))
    ids = {plan.config: run_id(plan.config) for plan in planned}
    own = set(ids.values())
    mine = {run: run if run in own else ids.get(result.config) for run, result in results.items()}
    mine = {run: planned_as for run, planned_as in mine.items() if planned_as}
    version = METHOD_VERSION if commit is None else max((versions[run] for run in mine), default=METHOD_VERSION)
    kept = {planned_as: results[run] for run, planned_as in mine.items() if planned_as and versions[run] == version}
    if not kept:
        raise ValueError(f"study = {name!r} has no results in {str(ledger.root)!r}: `crossarch run` trains them")
    return Side(
        name=name,
        groups=group_runs(form, planned, kept, by),
        left_out=len(mine) - len(kept),
        method_version=version,
        metric=study.metric,
        conditions=conditions(kept.values()),
    )


def commit_of(result: RunResult) -> str:
    """The commit that trained it; empty where it does not tell."""
    return str(result.environment.get("commit") or "")


MOST_SETTINGS = 12
"""Names of settings that a terminal lists."""

_SIDES = ("A", "B")
_COUNTED = tuple(f"{name} {side}" for side in _SIDES for name in ("Mean", "Std", "n", "Device (s)"))
_MEASURED = (*_COUNTED, "Shared seeds", "Difference", "Low", "High")


def cells_sheet(found: Comparison) -> Sheet:
    """Every cell that both sides have, with exact numbers."""
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
    """The cells of which only one side has results."""
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
    """What the numbers mean, a sentence each."""
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
    """Both sides, their cells beside each other, what only one of them has, and what they cost."""
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
    """The sheets that have rows."""
    return [each for each in (cells_sheet(found), one_side_sheet(found)) if each.rows]
