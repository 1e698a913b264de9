"""A figure as the page and the files beside it hold it."""

from collections.abc import Sequence
from dataclasses import dataclass

from crossarch.platform.report.figures import Drawn
from crossarch.platform.report.sheets import Sheet
from crossarch.platform.report.svg import inline, to_png, to_svg


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
    drawn: Drawn,
    data: Sheet,
    *,
    wide: bool = False,
    titles: Sequence[str] = (),
    legend: tuple[tuple[str, str], ...] = (),
) -> Picture:
    """The picture of what is `drawn`, the whole for the files; `titles` are the panels' own, if they have any."""
    named = enumerate(zip(drawn.panels, titles or [title] * len(drawn.panels), strict=True))
    return Picture(
        name=name,
        title=title,
        note=note,
        wide=wide,
        panels=tuple(inline(panel, f"{name}-{place}", own, note) for place, (panel, own) in named),
        svg=to_svg(drawn.whole),
        png=to_png(drawn.whole),
        data=data,
        legend=legend,
    )
