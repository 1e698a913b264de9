"""The report's figures: curves with bands, and accuracy by network. Drawn for paper; `svg` adapts them to the page."""

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from crossarch.platform.report.curves import Panel, Series
from crossarch.platform.report.stats import Summary
from crossarch.platform.report.tables import Cell, Row, Table
from crossarch.platform.text import one_line

INK = "#1b1f24"
"""Colour of text and axes."""
LINES = "#d8dce1"
"""Colour of the grid."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#1c1f24", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours; black is a little lighter, so that the page can tell it from INK."""
DASHES: tuple[Any, ...] = (
    "-",
    *((0, lengths) for lengths in ((5, 2), (6, 2, 1, 2), (1, 1.5), (10, 3), (3, 1, 1, 1, 1, 1))),
    *((0, lengths) for lengths in ((2, 2), (9, 2, 3, 2), (4, 1, 4, 3))),
)
"""As many as markers, and more than colours: lines of the same colour differ in dashes and marker."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "*")
WIDTH, HEIGHT = 3.6, 2.7
"""Size of one panel in inches, margins included."""
ACCURACY_WIDTH = 5.2
"""Width in inches of a panel with several networks."""
LEFT, RIGHT, BOTTOM, TOP = 0.62, 0.22, 0.48, 0.3
"""Margins of a panel, in inches."""
LEGEND_LINE = 0.22
"""Height of a line of the legend, in inches."""
ABREAST = 3
"""Panels per row in a figure of many."""
LONGEST_LABEL = 40
"""Characters of a label; longer ones are cut, and the tables have them in full."""
BAND = 0.16
"""Opacity of the band of one standard deviation."""

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "crossarch",  # so that ids are always the same
    "svg.fonttype": "none",  # so that text stays text
    "axes.facecolor": "none",
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINES,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "font.size": 10,
    "axes.titlesize": 11,
}
"""matplotlib's settings while a figure is drawn and while it is saved."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How an arm is drawn: colour, dashes and marker each distinguish it."""

    colour: str
    dashes: Any
    marker: str


def style(place: int) -> Style:
    """The style of the arm with index `place` among the study's arms."""
    return Style(
        colour=COLOURS[place % len(COLOURS)],
        dashes=DASHES[place % len(DASHES)],
        marker=MARKERS[place % len(MARKERS)],
    )


class Drawn(NamedTuple):
    """Several panels, each drawn by itself and all in one figure."""

    panels: "list[Figure]"
    """One figure per panel, without a legend."""
    whole: "Figure"
    """All panels in one figure, with a legend."""


@contextmanager
def drawing() -> Iterator[None]:
    """matplotlib's defaults and our SETTINGS for the context, whatever the user's settings are."""
    with rc_context():
        rcdefaults()
        rcParams.update(SETTINGS)
        yield


def label(text: str) -> str:
    """`text` on one short line, escaped where matplotlib would leave it out of legends: after an underscore."""
    line = one_line(text)
    short = line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"
    return f"\u200b{short}" if short.startswith("_") else short


def curve_figures(panels: Sequence[Panel], ylabel: str) -> Drawn:
    """Draws the curves of each panel, all with the same axes."""
    arms = {series.place: series.arm for panel in panels for series in panel.series}
    limits = _limits(panels)
    return drawn([_curve(panel, ylabel, limits) for panel in panels], arms)


def _limits(panels: Sequence[Panel]) -> tuple[float, float, int]:
    """Lowest and highest value of all bands, with some room, and the last epoch."""
    lows, highs = band([summary for panel in panels for series in panel.series for summary in series.summaries])
    low, high = min(lows), max(highs)
    room = 0.04 * (high - low) or 1.0
    last = max(series.epochs[-1] for panel in panels for series in panel.series)
    return low - room, high + room, last


def _curve(panel: Panel, ylabel: str, limits: tuple[float, float, int]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for series in panel.series:
            _draw_series(axes, series)
        low, high, last = limits
        axes.set(title=label(panel.heading), xlabel="Epoch", ylabel=ylabel, ylim=(low, high), xlim=(0, last * 1.02))

    return draw


def _draw_series(axes: Axes, series: Series) -> None:
    means = [summary.mean for summary in series.summaries]
    edges = band(series.summaries) if any(summary.std for summary in series.summaries) else None
    every = max(1, math.ceil(len(means) / 6))
    marks = {"markersize": 4, "markevery": (series.place % every, every), "linewidth": 1.6}
    draw_line(axes, series.place, series.epochs, means, edges, **marks)


def band(summaries: Sequence[Summary]) -> tuple[list[float], list[float]]:
    """The values one standard deviation below and above each mean."""
    means, spreads = zip(*((summary.mean, summary.std or 0.0) for summary in summaries), strict=True)
    return list(map(operator.sub, means, spreads)), list(map(operator.add, means, spreads))


def draw_line(
    axes: Axes,
    place: int,
    at: Sequence[float],
    values: Sequence[float],
    edges: tuple[Sequence[float], Sequence[float]] | None,
    **options: Any,
) -> None:
    """Draws a line in the style of the arm with index `place`, and a band between its `edges`, if given.

    `options` are further arguments of `Axes.plot`.
    """
    look = style(place)
    if edges:
        axes.fill_between(at, *edges, color=look.colour, alpha=BAND, linewidth=0)
    axes.plot(at, values, color=look.colour, linestyle=look.dashes, marker=look.marker, **options)


def accuracy_figures(table: Table, arms: Sequence[str]) -> Drawn:
    """Draws one panel per choice of the other axes, one marker per arm and network; the paper's numbers are hollow."""
    limits, there = _accuracy_limits(table), {row.arm for row in table.rows}
    shown = {place: arm for place, arm in enumerate(arms) if arm in there}
    groups = itertools.groupby(table.rows, key=lambda row: row.choices)
    panels = [_accuracy(table, ", ".join(choices), list(rows), shown, limits) for choices, rows in groups]
    return drawn(panels, shown, width=ACCURACY_WIDTH, abreast=2, top=TOP if table.axes else RIGHT)


def _accuracy_limits(table: Table) -> tuple[float, float]:
    """Lowest and highest value of all error bars, ours and the paper's, with some room."""
    cells = [cell for row in table.rows for cell in row.cells if cell]
    ours = [(cell.accuracy.mean, cell.accuracy.std or 0) for cell in cells if cell.accuracy]
    papers = [(cell.published.accuracy, cell.published.std or 0) for cell in cells if cell.published]
    low = min(mean - std for mean, std in ours + papers)
    high = max(mean + std for mean, std in ours + papers)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def _accuracy(
    table: Table, heading: str, rows: Sequence[Row], arms: Mapping[int, str], limits: tuple[float, float]
) -> Callable[[Axes], None]:
    slots = {arm: (slot, style(place)) for slot, (place, arm) in enumerate(arms.items())}

    def draw(axes: Axes) -> None:
        step = 0.8 / len(slots)
        for row in rows:
            slot, look = slots[row.arm]
            for column, cell in enumerate(row.cells):
                if cell:
                    _draw_cell(axes, cell, column + (slot - (len(slots) - 1) / 2) * step, step, look)
        names = [label(network) for network in table.networks]
        axes.set_xticks(range(len(names)), labels=names)
        axes.set(title=label(heading), ylabel="Accuracy (%)", ylim=limits, xlim=(-0.5, len(names) - 0.5))
        axes.tick_params(axis="x", length=0)
        for edge in range(1, len(names)):
            axes.axvline(edge - 0.5, color=LINES, linewidth=0.8)

    return draw


def _draw_cell(axes: Axes, cell: Cell, at: float, step: float, look: Style) -> None:
    """Draws our accuracy at the x position `at`, and the paper's; side by side where the cell has both."""
    shift = step / 5 if cell.accuracy is not None and cell.published is not None else 0.0
    common: dict[str, Any] = {"color": look.colour, "fmt": look.marker, "markersize": 6, "capsize": 2.5}
    if cell.accuracy:
        axes.errorbar(at - shift, cell.accuracy.mean, yerr=cell.accuracy.std, **common)
    if cell.published:
        hollow = {**common, "markerfacecolor": "none", "elinewidth": 0.8}
        axes.errorbar(at + shift, cell.published.accuracy, yerr=cell.published.std, **hollow)


def legend_columns(arms: Iterable[str], wide: float) -> int:
    """Number of legend entries per line of `wide` inches, estimated from the longest label."""
    entry = 0.8 + 0.09 * max((len(label(arm)) for arm in arms), default=0)
    return max(1, int(wide / entry))


def drawn(
    drawers: Sequence[Callable[[Axes], None]],
    arms: Mapping[int, str],
    *,
    width: float = WIDTH,
    abreast: int = ABREAST,
    top: float = TOP,
) -> Drawn:
    """Composes each panel alone, without a legend and with the margin `top`, and all panels in one figure."""
    panels = [compose([draw], {}, width=width, top=top) for draw in drawers]
    return Drawn(panels, compose(drawers, arms, width=width, abreast=abreast))


def compose(
    drawers: Sequence[Callable[[Axes], None]],
    arms: Mapping[int, str],
    *,
    width: float = WIDTH,
    abreast: int = ABREAST,
    top: float = TOP,
) -> Figure:
    """Draws the panels in a grid, and below it a legend of `arms`, labels by index, if there are any.

    All sizes are fixed and in inches: matplotlib's automatic layouts would take longer than all drawing.
    """
    with drawing():
        columns = min(abreast, len(drawers))
        rows = math.ceil(len(drawers) / columns)
        wide = width * columns
        beside = legend_columns(arms.values(), wide)
        foot = LEGEND_LINE * (math.ceil(len(arms) / beside) + 1) if arms else 0.0
        high = HEIGHT * rows + foot
        made = Figure(figsize=(wide, high))
        for place, draw in enumerate(drawers):
            row, column = divmod(place, columns)
            left, bottom = width * column + LEFT, foot + HEIGHT * (rows - 1 - row) + BOTTOM
            size = (width - LEFT - RIGHT, HEIGHT - BOTTOM - top)
            draw(made.add_axes((left / wide, bottom / high, size[0] / wide, size[1] / high)))
        if arms:
            looks = [style(place) for place in arms]
            handles = [Line2D([], [], color=look.colour, linestyle=look.dashes, marker=look.marker) for look in looks]
            made.legend(handles, [label(arm) for arm in arms.values()], loc="lower left", ncols=beside, handlelength=4)
        return made
