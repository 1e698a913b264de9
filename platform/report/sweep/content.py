"""The part of a report that is specific to sweeps: answers as sheets, and figures."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crossarch.platform.report.figures import drawn
from crossarch.platform.report.sheets import Sheet, figure, sheet, words
from crossarch.platform.report.svg import Picture, make_picture
from crossarch.platform.report.sweep import figures
from crossarch.platform.report.sweep.importance import HeatMap, heat_map
from crossarch.platform.report.sweep.sheets import answers, points
from crossarch.platform.report.sweep.surface import Surface, surfaces
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.result import RunResult

BAND = "Band: interval of 95 % for the mean."
MOST_MAPS = 21
"""Maximum pairs of hyperparameters shown in heat maps."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A method's robustness; empty for a study that is not a sweep or has no results."""

    sheets: tuple[Sheet, ...] = ()
    pictures: tuple[Picture, ...] = ()
    networks: tuple[str, ...] = ()
    """The networks that the figures' colours stand for, in order."""


def robustness_answers(study: Study, seeds: tuple[int, ...], results: Mapping[str, RunResult], where: str) -> Answers:
    """The answers of a study; `where` is a sentence about the hardware, for the figures' notes."""
    found = surfaces(study, seeds, results)
    sheets = answers(found)
    if not sheets:
        return Answers()
    return Answers(
        sheets=sheets,
        pictures=tuple(_pictures(found, where)),
        networks=tuple(each.network for each in found),
    )


def _pictures(found: Sequence[Surface], where: str) -> Iterator[Picture]:
    searched = found[0].space.searched
    n = f"n = {len(found[0].seeds)} seeds a point."
    shape = "Dots: a point of the design; the larger ring is the default." if found[0].covers else BAND
    panels = figures.drawers(found, searched)
    yield make_picture(
        "robustness",
        "Accuracy against each hyperparameter",
        f"Mean test accuracy after the final epoch; dashed: the default. {shape} {n} {where}",
        drawn(panels, dict(enumerate(each.network for each in found))),
        points(found),
    )
    pairs = list(itertools.combinations(searched, 2))[:MOST_MAPS]
    maps = [(each.network, heat_map(each, *pair)) for pair in pairs for each in found if each.covers]
    if maps:
        panels = figures.heat_drawers(maps)
        yield make_picture(
            "robustness-pairs",
            "Two hyperparameters at a time",
            f"Mean test accuracy in %, over all points of a cell. {_interactions(maps)}{n} {where}",
            drawn(panels, {}),
            _cells(maps),
        )


def _interactions(maps: Sequence[tuple[str, HeatMap]]) -> str:
    """Sentences on the interactions in full grids, from analysis of variance."""
    return "".join(
        f"{network}: interaction of {each.rows.symbol} and {each.columns.symbol} is {each.interaction.share:.0%} of "
        f"the variance between cells (p = {each.interaction.p:.2g}). "
        for network, each in maps
        if each.interaction
    )


def _cells(maps: Sequence[tuple[str, HeatMap]]) -> Sheet:
    return sheet(
        "robustness-pairs",
        "Two hyperparameters at a time",
        ("Network", "First", "Its value", "Second", "Its value, too", "Accuracy", "Points"),
        (
            (
                *(words(text) for text in (network, each.rows.symbol, row, each.columns.symbol, column)),
                figure(float(each.means[i, j]) if each.counts[i, j] else None, 1),
                figure(int(each.counts[i, j])),
            )
            for network, each in maps
            for (i, row), (j, column) in itertools.product(enumerate(each.row_labels), enumerate(each.column_labels))
        ),
        numeric=("Accuracy", "Points"),
        labels=5,
    )
