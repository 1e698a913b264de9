"""Figure 8: the Hessian's top eigenvalues and the loss around the weights, as a table and as pictures."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from crossarch.platform.report.export import csv_text
from crossarch.platform.report.figures import compose, draw_line, drawing, label, style
from crossarch.platform.report.stats import LEVEL, Interval, Summary, paired_interval, summarize
from crossarch.platform.report.svg import to_png, to_svg
from crossarch.platform.report.terminal import headed
from crossarch.platform.report.wording import NOT_APPLICABLE
from crossarch.search_spaces.study import Place, Planned, Study
from crossarch.trainables.files import write_atomically, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from crossarch.trainables.analysis.loss_landscape import Landscape

    Found = Sequence[tuple[Planned, Landscape]]

LOWEST_LEVEL = 1e-6
"""Of a contour, in nats."""
PALE = 10.0
"""By how much the palette's end, too pale for lines, lies above the highest contour."""


def by_place(found: "Found") -> "dict[Place, list[Landscape]]":
    """The landscapes of each arm and cell, seed by seed."""
    places: dict[Place, list[Landscape]] = {}
    for plan, landscape in found:
        places.setdefault((plan.arm, plan.cell), []).append(landscape)
    return places


def names(study: Study, places: Mapping[Place, object]) -> dict[Place, str]:
    """What each place is called: its arm, and its cell where cells differ."""
    labels = {arm.name: arm.label for arm in study.arms}
    alike = len({cell for _, cell in places}) == 1
    return {(arm, cell): labels[arm] if alike else f"{labels[arm]}, {', '.join(cell)}" for arm, cell in places}


def over_first(found: "Found") -> dict[Place, Interval | None]:
    """Each place's largest eigenvalue over that of the first arm in the same cell: mean ratio and its interval.

    Geometric, by Student's t over the logarithms of shared seeds; None for fewer than two, and where an eigenvalue is
    not positive.
    """
    largest: dict[Place, dict[int, float]] = {}
    for plan, landscape in found:
        largest.setdefault((plan.arm, plan.cell), {})[plan.config.seed] = landscape.eigenvalues[0]
    first = found[0][0].arm
    ratios: dict[Place, Interval | None] = {}
    for (arm, cell), own in largest.items():
        reference = largest.get((first, cell))
        if arm == first or reference is None:
            continue
        pairs = [(own[seed], reference[seed]) for seed in sorted(own.keys() & reference.keys())]
        ratios[arm, cell] = None
        if len(pairs) > 1 and all(min(pair) > 0 for pair in pairs):
            logs = paired_interval([math.log(mine / theirs) for mine, theirs in pairs])
            ratios[arm, cell] = Interval(mean=math.exp(logs.mean), low=math.exp(logs.low), high=math.exp(logs.high))
    return ratios


def render_landscapes(study: Study, found: "Found") -> RenderableType:
    """Eigenvalues and loss over seeds."""
    places = by_place(found)
    grid = headed()
    count, ratios = len(found[0][1].eigenvalues), over_first(found)
    headings = ["", "Largest eigenvalue", f"Sum of the top {count}", "Loss (nats)", "n"]
    headings[2:2] = ["Over the first row's"] if ratios else []
    rows = []
    for place, name in names(study, places).items():
        own = places[place]
        columns = ([each.eigenvalues[0] for each in own], [sum(each.eigenvalues) for each in own])
        told = [in_words(summarize(values)) for values in (*columns, [each.loss for each in own])]
        told[1:1] = [ratio_in_words(ratios.get(place))] if ratios else []
        rows.append((name, *told, str(len(own))))
    for heading, *cells in zip(headings, *rows, strict=True):
        unbroken = max(map(len, cells)) if heading else None  # names of arms and headings may take several lines
        grid.add_column(heading, justify="right" if heading else "left", min_width=unbroken, vertical="bottom")
    for row in rows:
        grid.add_row(*map(Text, row))
    images = ", ".join(str(each) for each in sorted({landscape.images for _, landscape in found}))
    note = (
        f"Hessian of the mean cross-entropy alone over the {images} training images, in evaluation mode and without "
        "augmentation, at the last weights: mean ± sample standard deviation over seeds."
    )
    if ratios:
        note += f" Ratios: geometric mean over shared seeds, {LEVEL:.0%} interval by Student's t over the logarithms."
    return Group(grid, Text(f"\n{note}"))


def in_words(summary: Summary) -> str:
    """Mean and spread with three digits."""
    return f"{summary.mean:.3g}" + ("" if summary.std is None else f" ± {summary.std:.2g}")


def ratio_in_words(ratio: Interval | None) -> str:
    """`2.1 (1.5 to 2.9)`."""
    return NOT_APPLICABLE if ratio is None else f"{ratio.mean:.2g} ({ratio.low:.2g} to {ratio.high:.2g})"


def write_landscapes(study: Study, found: "Found", folder: Path) -> list[Path]:
    """Draws Figure 8 as SVG and PNG and writes its data as two CSV files; the files, in that order."""
    figure = draw_landscapes(study, found)
    files: dict[str, str | bytes] = {
        ".svg": to_svg(figure),
        ".png": to_png(figure),
        "-eigenvalues.csv": eigenvalue_rows(study, found),
        "-losses.csv": loss_rows(study, found),
    }
    for ending, content in files.items():
        write_atomically(folder / f"{study.name}-landscape{ending}", writing(content))
    return [folder / f"{study.name}-landscape{ending}" for ending in files]


def eigenvalue_rows(study: Study, found: "Found") -> str:
    """CSV: a line an eigenvalue of every run."""
    return _table(
        study,
        found,
        ("rank", "eigenvalue"),
        lambda landscape: [(str(rank), repr(value)) for rank, value in enumerate(landscape.eigenvalues, start=1)],
    )


def loss_rows(study: Study, found: "Found") -> str:
    """CSV: a line a point of every run's plane."""
    return _table(
        study,
        found,
        ("along_first", "along_second", "loss"),
        lambda landscape: [
            (repr(one), repr(two), repr(landscape.losses[row][column]))
            for row, one in enumerate(landscape.distances)
            for column, two in enumerate(landscape.distances)
        ],
    )


def _table(
    study: Study, found: "Found", columns: tuple[str, ...], lines: "Callable[[Landscape], list[tuple[str, ...]]]"
) -> str:
    heads = ("arm", *(axis.name for axis in study.axes), "seed", *columns)
    rows = ((plan.arm, *plan.cell, plan.config.seed, *line) for plan, each in found for line in lines(each))
    return csv_text([heads, *rows])


def draw_landscapes(study: Study, found: "Found") -> "Figure":
    """The spectra in one panel, then the plane of each arm and cell, of its first seed, all to one scale."""
    places = by_place(found)
    named = names(study, places)
    first = [own[0] for own in places.values()]
    heights = levels([loss for each in first for row in each.losses for loss in row])
    spectra = [[each.eigenvalues for each in own] for own in places.values()]
    drawers = [partial(_draw_spectra, spectra=spectra)]
    drawers += [
        partial(_draw_plane, landscape=landscape, heading=name, heights=heights)
        for landscape, name in zip(first, named.values(), strict=True)
    ]
    return compose(drawers, dict(enumerate(named.values())))


def levels(losses: Sequence[float]) -> list[float]:
    """Where contours are drawn: 1, 2 and 5 times the powers of ten from the lowest loss to the highest."""
    low, high = max(min(losses), LOWEST_LEVEL), max(losses)
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(max(high, low))) + 1)
    between = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    return [level for level in between if low < level < high]


def _draw_spectra(axes: "Axes", spectra: "Sequence[Sequence[Sequence[float]]]") -> None:
    """Means over seeds, in bands from the lowest to the highest; `spectra` by place and seed."""
    for place, own in enumerate(spectra):
        by_rank = list(zip(*own, strict=True))
        ranks, means = range(1, len(by_rank) + 1), [summarize(values).mean for values in by_rank]
        draw_line(axes, place, ranks, means, (list(map(min, by_rank)), list(map(max, by_rank))), markersize=3.5)
    if all(value > 0 for own in spectra for seed in own for value in seed):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    axes.set_xticks([1, *range(5, len(spectra[0][0]) + 1, 5)])
    axes.set(title="Hessian's top eigenvalues", xlabel="Rank")
    axes.set_ylabel("Eigenvalue", labelpad=0)


def _draw_plane(axes: "Axes", landscape: "Landscape", heading: str, heights: Sequence[float]) -> None:
    from matplotlib.colors import LogNorm

    losses = list(zip(*landscape.losses, strict=True))
    if heights:
        scale = LogNorm(heights[0], heights[-1] * PALE)
        with drawing():
            lines = axes.contour(*[landscape.distances] * 2, losses, levels=heights, norm=scale, linewidths=1.2)
            axes.clabel(lines, fontsize=7, fmt="%g")
    axes.plot(0, 0, marker="+", color=style(4).colour)
    axes.grid(visible=False)
    axes.set(title=label(f"Loss, {heading}"), xlabel="Along the first eigenvector")
    axes.set_ylabel("Along the second", labelpad=0)
