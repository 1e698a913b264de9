"""A comparison as sheets for files, and in a terminal."""

import math
from collections.abc import Iterable

from rich.console import Group as Views
from rich.console import RenderableType
from rich.text import Text

from crossarch.platform.report.comparison import Comparison, Group, Pair, Side
from crossarch.platform.report.sheets import DECIMALS, Entry, Sheet, figure, sheet, summed, words
from crossarch.platform.report.terminal import sheet_grid
from crossarch.platform.report.wording import METRICS, number, one_line, title

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
