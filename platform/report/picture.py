"""A figure as the page and the files beside it hold it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossarch.platform.report.sheets import Sheet
from crossarch.platform.report.svg import inline, to_png, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the report."""

    name: str
    """Of its files."""
    title: str
    note: str
    wide: bool
    """Whether its panels need much room."""
    panels: tuple[str, ...]
    """Each an `svg` element, escaped and ready for the page."""
    svg: str
    png: bytes
    data: Sheet
    legend: tuple[tuple[str, str], ...] = ()
    """Its own swatches and labels, where its lines are not the study's arms."""


def make_picture(
    name: str,
    title: str,
    note: str,
    panels: "Sequence[Figure]",
    whole: "Figure",
    data: Sheet,
    *,
    wide: bool = False,
    titles: Sequence[str] = (),
    legend: tuple[tuple[str, str], ...] = (),
) -> Picture:
    """The picture of drawn panels, and of the `whole` for the files; `titles` are the panels' own, if they have any."""
    named = enumerate(zip(panels, titles or [title] * len(panels), strict=True))
    return Picture(
        name=name,
        title=title,
        note=note,
        wide=wide,
        panels=tuple(inline(panel, f"{name}-{place}", own, note) for place, (panel, own) in named),
        svg=to_svg(whole),
        png=to_png(whole),
        data=data,
        legend=legend,
    )
