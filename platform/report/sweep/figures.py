"""A sweep's figures: accuracy against each hyperparameter, and heat maps of two at a time."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from crossarch.platform.report.figures import INK, draw_line, label, style
from crossarch.platform.report.stats import mean
from crossarch.platform.report.sweep.importance import HeatMap
from crossarch.platform.report.sweep.surface import Surface
from crossarch.search_spaces.space import Domain

Drawer = Callable[[Axes], None]


def drawers(found: Sequence[Surface], domains: Sequence[Domain]) -> list[Drawer]:
    """Functions that draw one panel per hyperparameter: lines if it varies alone, dots if others vary as well."""
    limits = _limits(found)
    return [_panel(found, domain, limits) for domain in domains]


def _limits(found: Sequence[Surface]) -> tuple[float, float]:
    low = min(float(each.means.min()) for each in found)
    high = max(float(each.means.max()) for each in found)
    room = 0.15 * (high - low) or 1.0
    return low - room, high + room


def _panel(found: Sequence[Surface], domain: Domain, limits: tuple[float, float]) -> Drawer:
    def draw(axes: Axes) -> None:
        for place, surface in enumerate(found):
            if surface.covers:
                _dots(axes, surface, domain, place)
            else:
                _line(axes, surface, domain, place)
        if domain.log:
            axes.set_xscale("log")
        ticks = sorted({domain.low, domain.default, domain.high})
        axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.axvline(domain.default, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
        unit = f" ({domain.unit})" if domain.unit else ""
        axes.set(title=label(domain.meaning), xlabel=f"{domain.symbol}{unit}", ylabel="Accuracy (%)", ylim=limits)

    return draw


def _dots(axes: Axes, surface: Surface, domain: Domain, place: int) -> None:
    look = style(place)
    at = [point[domain.name] for point in surface.points]
    axes.scatter(at, surface.means, s=14, color=look.colour, marker=look.marker, alpha=0.6, linewidths=0)
    axes.scatter(at[:1], surface.means[:1], s=50, facecolors="none", edgecolors=look.colour, marker=look.marker)


def _line(axes: Axes, surface: Surface, domain: Domain, place: int) -> None:
    places = surface.along(domain)
    at = [surface.points[each][domain.name] for each in places]
    means = [mean(surface.values[index].tolist()) for index in places]
    lows = [estimate.low for estimate in means if estimate.low is not None]
    highs = [estimate.high for estimate in means if estimate.high is not None]
    edges = (lows, highs) if len(lows) == len(highs) == len(means) > 1 else None
    draw_line(axes, place, at, [estimate.value for estimate in means], edges, markersize=4, linewidth=1.6)


def heat_drawers(maps: Sequence[tuple[str, HeatMap]]) -> list[Drawer]:
    """Functions that draw one panel per heat map, titled by the network's label, all on one colour scale."""
    low = min(float(np.nanmin(each.means)) for _, each in maps)
    high = max(float(np.nanmax(each.means)) for _, each in maps)
    return [_heat(network, each, low, high) for network, each in maps]


def _heat(network: str, shown: HeatMap, low: float, high: float) -> Drawer:
    def draw(axes: Axes) -> None:
        axes.imshow(shown.means, cmap="cividis", vmin=low, vmax=high, aspect="auto", origin="lower")
        axes.grid(visible=False)
        for row, means in enumerate(shown.means.tolist()):
            for column, value in enumerate(means):
                if shown.counts[row, column] > 0:
                    dark = value < (low + high) / 2
                    colour = "#ffffff" if dark else "#000000"
                    axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=colour)
        axes.set_xticks(range(len(shown.column_labels)), labels=shown.column_labels, fontsize=7)
        axes.set_yticks(range(len(shown.row_labels)), labels=shown.row_labels, fontsize=7)
        axes.set(title=label(network), xlabel=shown.columns.symbol, ylabel=shown.rows.symbol)

    return draw
