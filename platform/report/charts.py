"""Charts of accuracy over a number that a study varies, as its `Chart` declares: from the table to figure and sheet."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from crossarch.platform.report.figures import ACCURACY_WIDTH, COLOURS, Drawn, band, draw_line, drawn, label
from crossarch.platform.report.sheets import Sheet, figure, sheet, summed, words
from crossarch.platform.report.stats import Summary
from crossarch.platform.report.tables import Cell, Table
from crossarch.search_spaces.study import Chart, Study

Key = tuple[str, str]
"""Identifies a line: labels of network and arm; the arm is empty if the chart's points are arms."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a panel."""

    name: str
    place: int
    """Index of its style: the same in every panel, whichever runs have finished."""
    points: tuple[tuple[float, Summary], ...]
    """x and summary over the finished runs of each point, from left to right."""
    is_level: bool = False
    """Whether it is a single number, drawn as a horizontal line across the panel."""


@dataclass(frozen=True, kw_only=True)
class ChartPanel:
    """One panel of a chart."""

    name: str
    lines: tuple[Line, ...]

    @property
    def places(self) -> tuple[float, ...]:
        """All x at which a line has a point, sorted."""
        return tuple(sorted({at for line in self.lines if not line.is_level for at, _ in line.points}))


def chart_panels(table: Table) -> tuple[ChartPanel, ...]:
    """The panels of the study's chart that have a point, in the chart's order; empty for a study without a chart."""
    chart = table.study.chart
    if chart is None:
        return ()
    shown = _shown(table.study, chart)
    places = spread_out(list(shown.values()))
    panels = (
        ChartPanel(name=name, lines=tuple(_lines(chart, table, name, keys, places))) for name, keys in shown.items()
    )
    return tuple(panel for panel in panels if panel.places)


def _shown(study: Study, chart: Chart) -> dict[str, list[Key]]:
    """The lines that each panel may have, whichever runs have finished; horizontal lines last."""
    drawn = [arm for arm in study.arms if arm.name in chart.arms]
    levels: list[Key] = [(study.teacher, arm.label) for arm in study.arms if arm.name in chart.levels]
    shown: dict[str, list[Key]] = {}
    for panel in dict.fromkeys(panel for points in chart.points.values() for panel, _ in points):
        networks = chart.networks.get(panel, study.networks)
        if chart.axis == "arm":
            keys: list[Key] = [(network, "") for network in networks]
        else:
            keys = [(one, arm.label) for one in networks for arm in drawn if arm.applies(one, study.teacher)]
        shown[panel] = keys + levels
    return shown


def spread_out(panels: Sequence[Sequence[Key]]) -> dict[Key, int]:
    """A unique style index for each line; lines of one panel have different colours as long as these suffice."""
    places: dict[Key, int] = {}
    for key in dict.fromkeys(key for keys in panels for key in keys):
        beside = {places[other] % len(COLOURS) for keys in panels if key in keys for other in keys if other in places}
        free = (place for place in itertools.count() if place not in places.values())
        nearest = list(itertools.islice(free, len(COLOURS)))
        places[key] = next((place for place in nearest if place % len(COLOURS) not in beside), nearest[0])
    return places


def _lines(chart: Chart, table: Table, panel: str, keys: Sequence[Key], places: Mapping[Key, int]) -> Iterator[Line]:
    levels = {arm.label for arm in table.study.arms if arm.name in chart.levels}
    for key in keys:
        network, arm = key
        is_level = arm in levels
        own = [
            (choice, cell.accuracy)
            for row_arm, choice, column, cell in _cells(chart, table)
            if column == network and arm in ("", row_arm) and cell.accuracy
        ]
        points = [(at, mean) for choice, mean in own for name, at in chart.points.get(choice, ()) if name == panel]
        if is_level:
            points = [(0.0, mean) for _, mean in own]
        if points:
            name = ", ".join(filter(None, (table.study.label(table.study.columns, network), arm)))
            ordered = tuple(sorted(points, key=lambda point: point[0]))
            yield Line(name=name, place=places[key], points=ordered, is_level=is_level)


def _cells(chart: Chart, table: Table) -> Iterator[tuple[str, str, str, Cell]]:
    """Arm's label, the ids of the choice on the chart's axis and of the network, and the cell, of all cells."""
    for row in table.rows:
        choice = dict(zip(("arm", *table.axes), row.ids, strict=True))[chart.axis]
        for network, cell in zip(table.network_ids, row.cells, strict=True):
            if cell:
                yield row.arm, choice, network, cell


def chart_figures(chart: Chart, panels: Sequence[ChartPanel]) -> Drawn:
    """Draws the panels."""
    drawers = [_drawer(chart, panel) for panel in panels]
    return drawn(drawers, legend_of(panels), width=ACCURACY_WIDTH, abreast=2)


def legend_of(panels: Sequence[ChartPanel]) -> dict[int, str]:
    """The names of all lines by their style indices."""
    return dict(sorted({line.place: line.name for panel in panels for line in panel.lines}.items()))


def _drawer(chart: Chart, panel: ChartPanel) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        if chart.log:
            axes.set_xscale("log")
        for line in panel.lines:
            _draw_line(axes, line, panel.places)
        axes.set_xticks(panel.places, labels=[f"{at:g}" for at in panel.places])
        axes.minorticks_off()
        axes.tick_params(axis="x", labelsize=8)
        axes.set(title=label(panel.name), xlabel=label(chart.quantity or panel.name), ylabel="Accuracy (%)")

    return draw


def _draw_line(axes: Axes, line: Line, everywhere: Sequence[float]) -> None:
    points = line.points
    if line.is_level:
        points = tuple((at, points[0][1]) for at in (everywhere[0], everywhere[-1]))
    places = [at for at, _ in points]
    summaries = [summary for _, summary in points]
    means = [summary.mean for summary in summaries]
    draw_line(axes, line.place, places, means, band(summaries), markersize=5, linewidth=1.6)


def chart_sheet(chart: Chart, panels: Sequence[ChartPanel], name: str) -> Sheet:
    """The data of the chart, one row per point; horizontal lines have no x."""
    counted = ("At", "Mean", "Std", "n")
    rows = (
        (
            words(panel.name),
            words(line.name),
            figure(None if line.is_level else at),
            *summed(summary),
        )
        for panel in panels
        for line in panel.lines
        for at, summary in line.points
    )
    heading = f"{chart.reference}, in our numbers"
    return sheet(name, heading, ("Panel", "Line", *counted), rows, numeric=counted, labels=2)
