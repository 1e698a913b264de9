"""Figure 8: the Hessian's top eigenvalues and the loss around the weights, as a table and as figures."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.text import Text

from crossarch.platform.report.export import csv_text
from crossarch.platform.report.figures import compose, draw_line, drawing, label, style
from crossarch.platform.report.stats import LEVEL, Interval, Summary, paired_interval, summarize
from crossarch.platform.report.svg import to_png, to_svg
from crossarch.platform.report.terminal import headed
from crossarch.platform.report.wording import NOT_APPLICABLE
from crossarch.search_spaces.study import Place, PlannedRun, Study
from crossarch.trainables.analysis.loss_landscape import Landscape
from crossarch.trainables.files import write_atomically, writing

Found = Sequence[tuple[PlannedRun, Landscape]]


LOWEST_LEVEL = 1e-6
"""The lowest contour, in nats."""
PALE = 10.0
"""Factor between the highest contour and the end of the palette, whose colours are too pale for lines."""


def by_place(found: Found) -> dict[Place, list[Landscape]]:
    """The landscapes by arm and cell, one per seed."""
    places: dict[Place, list[Landscape]] = {}
    for plan, landscape in found:
        places.setdefault((plan.arm, plan.cell), []).append(landscape)
    return places


def names(study: Study, places: Mapping[Place, object]) -> dict[Place, str]:
    """Labels by arm and cell: the arm's, followed by the cell if there are several."""
    alike = len({cell for _, cell in places}) == 1
    return {
        (arm, cell): ", ".join((study.label("arm", arm), *(() if alike else study.labels(cell))))
        for arm, cell in places
    }


def over_first(found: Found) -> dict[Place, Interval | None]:
    """The ratio of each arm's largest eigenvalue to that of the first arm in the same cell, with its interval.

    The geometric mean, with Student's t interval of the logarithms, paired over the seeds that both have. None for
    fewer than two such seeds, and if an eigenvalue is not positive. The first arm itself is left out.
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


def render_landscapes(study: Study, found: Found) -> RenderableType:
    """The table of the largest eigenvalue, the sum of the measured eigenvalues, and the loss, over seeds."""
    places = by_place(found)
    grid = headed()
    count, ratios = len(found[0][1].eigenvalues), over_first(found)
    headings = ["", "Largest eigenvalue"]
    if ratios:
        headings.append("Over the first row's")
    headings += [f"Sum of the top {count}", "Loss (nats)", "n"]
    rows = []
    for place, name in names(study, places).items():
        own = places[place]
        row = [name, in_words(summarize([landscape.eigenvalues[0] for landscape in own]))]
        if ratios:
            row.append(ratio_in_words(ratios.get(place)))
        row.append(in_words(summarize([sum(landscape.eigenvalues) for landscape in own])))
        row.append(in_words(summarize([landscape.loss for landscape in own])))
        row.append(str(len(own)))
        rows.append(row)
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
    """`12.3 ± 0.45`: the mean with three digits, the standard deviation with two."""
    return f"{summary.mean:.3g}" + ("" if summary.std is None else f" ± {summary.std:.2g}")


def ratio_in_words(ratio: Interval | None) -> str:
    """`2.1 (1.5 to 2.9)`."""
    return NOT_APPLICABLE if ratio is None else f"{ratio.mean:.2g} ({ratio.low:.2g} to {ratio.high:.2g})"


def write_landscapes(study: Study, found: Found, folder: Path) -> list[Path]:
    """Writes Figure 8 as SVG and PNG and its data as two CSV files. Returns the files in that order."""
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


def eigenvalue_rows(study: Study, found: Found) -> str:
    """CSV, one line per eigenvalue of every run."""
    return _table(
        study,
        found,
        ("rank", "eigenvalue"),
        lambda landscape: [(str(rank), repr(value)) for rank, value in enumerate(landscape.eigenvalues, start=1)],
    )


def loss_rows(study: Study, found: Found) -> str:
    """CSV, one line per point of every run's plane."""
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
    study: Study, found: Found, columns: tuple[str, ...], lines: Callable[[Landscape], list[tuple[str, ...]]]
) -> str:
    heads = ("arm", *(axis.name for axis in study.axes), "seed", *columns)
    rows = (
        (study.label("arm", plan.arm), *study.labels(plan.cell), plan.config.seed, *line)
        for plan, each in found
        for line in lines(each)
    )
    return csv_text([heads, *rows])


def draw_landscapes(study: Study, found: Found) -> Figure:
    """Draws the spectra in one panel, then the plane of each arm and cell for its first seed, all to one scale."""
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
    """The losses of contours: 1, 2 and 5 times powers of ten between the lowest and the highest of `losses`."""
    low, high = max(min(losses), LOWEST_LEVEL), max(losses)
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(max(high, low))) + 1)
    between = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    return [level for level in between if low < level < high]


def _draw_spectra(axes: Axes, spectra: Sequence[Sequence[Sequence[float]]]) -> None:
    """Draws the mean of each rank over seeds, in a band from the lowest to the highest.

    `spectra` has an entry per arm and cell, each with one list of eigenvalues per seed.
    """
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


def _draw_plane(axes: Axes, landscape: Landscape, heading: str, heights: Sequence[float]) -> None:
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
