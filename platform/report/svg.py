"""Figures as SVG and PNG files, and as inline SVG with the page's CSS colours and unique ids."""

import base64
import html
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from matplotlib.figure import Figure

from crossarch.platform.report.figures import COLOURS, DASHES, INK, LINES, Drawn, drawing, style
from crossarch.platform.report.sheets import Sheet

DOTS_PER_INCH = 160

VARIABLES: Mapping[str, str] = {INK: "var(--ink)", LINES: "var(--lines)"} | {
    colour: f"var(--arm-{place})" for place, colour in enumerate(COLOURS)
}
"""The page's CSS variables for the colours of `figures`."""

SHAPES = {
    "o": '<circle cx="20" cy="7" r="4"/>',
    "s": '<rect x="16.5" y="3.5" width="7" height="7"/>',
    "^": '<path d="M20 2.5 24.5 11h-9z"/>',
    "D": '<path d="M20 2 25 7 20 12 15 7z"/>',
    "v": '<path d="M20 11.5 15.5 3h9z"/>',
    "P": '<path d="M18.5 2.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z"/>',
    "<": '<path d="M15.5 7 24 2.5v9z"/>',
    "*": '<path d="m20 1.5 1.5 4h4l-3.3 2.5 1.3 4-3.5-2.5-3.5 2.5 1.3-4L14.5 5.5h4z"/>',
    "X": '<path d="m17.5 2.5 2.5 2.5 2.5-2.5 2 2L22 7l2.5 2.5-2 2L20 9l-2.5 2.5-2-2L18 7l-2.5-2.5z"/>',
}
"""The markers of `figures` as SVG, in the middle of 40 x 14 pixels."""


@contextmanager
def saving() -> Iterator[None]:
    """`drawing`, without warnings about glyphs that a font lacks."""
    with warnings.catch_warnings(), drawing():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def to_svg(figure: Figure) -> str:
    """The figure as an SVG file on white. Deterministic: equal figures give equal texts."""
    file = io.StringIO()
    with saving():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r' d="[^"]*"', _rounded, file.getvalue())


def _rounded(path: re.Match[str]) -> str:
    """A path with its coordinates cut to a hundredth of a point, which halves its length."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0])


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file on white."""
    file = io.BytesIO()
    with saving():
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return file.getvalue()


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an `svg` element for the page.

    `name` prefixes all ids, so that they are unique in the page. Raises ValueError for a name that is not a letter
    followed by letters, digits and `-`.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
        raise ValueError(f"name = {name!r} is not of letters, digits and -")
    text = to_svg(figure)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'<g id="patch_1">.*?</g>', "", text, count=1, flags=re.DOTALL)  # the white background
    head, _, body = text.partition(">")
    (box,) = re.findall(r'viewBox="([\d. ]+)"', head)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'="#(?=\w)', f'="#{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    for colour, variable in VARIABLES.items():
        body = re.sub(rf"(?<=: ){colour}\b", variable, body)
    texts = f"<title>{html.escape(title)}</title><desc>{html.escape(description)}</desc>"
    width = float(box.split()[2]) / 72
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}" '
        f'style="max-width:{width * 1.5:.2f}in" role="img" aria-label="{html.escape(title)}">{texts}{body}'
    )


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the report."""

    name: str
    """The name of its files, without suffix."""
    title: str
    note: str
    wide: bool
    """Whether its panels need the page's full width."""
    panels: tuple[str, ...]
    """Each an `svg` element, escaped and ready for the page."""
    svg: str
    png: bytes
    data: Sheet
    legend: tuple[tuple[str, str], ...] = ()
    """Swatches and labels, if its lines are not the study's arms, whose legend the page has."""


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
    """A picture of `drawn`: its panels for the page, the whole figure for files; `titles` are those of the panels."""
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


def swatch(place: int) -> str:
    """An `svg` element with the line and marker of the arm with index `place`, for a legend in the page."""
    look = style(place)
    dashes = "" if look.dashes == DASHES[0] else f' stroke-dasharray="{" ".join(str(2 * n) for n in look.dashes[1])}"'
    return (
        f'<svg class="swatch" viewBox="0 0 40 14" width="40" height="14" aria-hidden="true" '
        f'style="stroke:{VARIABLES[look.colour]};fill:{VARIABLES[look.colour]}">'
        f'<path d="M0 7H40" fill="none" stroke-width="2"{dashes}/><g stroke="none">{SHAPES[look.marker]}</g></svg>'
    )


def data_uri(content: str | bytes, media: str) -> str:
    """A `data:` URI of the content, of media type `media`."""
    raw = content.encode() if isinstance(content, str) else content
    charset = ";charset=utf-8" if isinstance(content, str) else ""
    return f"data:{media}{charset};base64,{base64.b64encode(raw).decode()}"
