"""The report as one self-contained HTML page, and as the files beside it."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from crossarch.platform.report.content import Report
from crossarch.platform.report.digest import PAGE
from crossarch.platform.report.export import FORMATS
from crossarch.platform.report.sheets import Sheet
from crossarch.platform.report.svg import data_uri

MOST_ROWS = 600
"""Maximum rows of a figure's data that are shown as a table; longer data are in the page only as CSV."""
UNFOLDED_ROWS = 20
"""Maximum rows of a sweep's table that is unfolded at first."""
HERE = Path(__file__).parent


def render_page(report: Report) -> str:
    """The page as HTML. Texts are escaped, and a content security policy forbids loading or running anything else."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (HERE / "page.js").read_text(encoding="utf-8").strip()
    return (
        environment.get_template("page.html")
        .render(
            report=report,
            style=Markup((HERE / "page.css").read_text(encoding="utf-8").strip()),  # noqa: S704, our own
            script=Markup(script),  # noqa: S704, our own
            policy=policy(script),
            markup=Markup,  # for our own svg elements
            uri=data_uri,
            downloads=downloads,
            most_rows=MOST_ROWS,
            unfolded_rows=UNFOLDED_ROWS,
        )
        .rstrip()
        + "\n"
    )


def policy(script: str) -> str:
    """A content security policy that allows only this script to run and nothing to be loaded."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"


def downloads(sheet: Sheet, suffixes: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Format's name, file name and `data:` URI of a sheet, for each file suffix."""
    for suffix in suffixes:
        name, media, write = FORMATS[suffix]
        yield name, f"{sheet.name}.{suffix}", data_uri(write(sheet), media)


def files(report: Report) -> Iterator[tuple[str, str | bytes]]:
    """Names and contents of all files of the report, the page last."""
    for picture in report.pictures:
        yield f"{picture.name}.svg", picture.svg
        yield f"{picture.name}.png", picture.png
    for each in {sheet.name: sheet for sheet in report.sheets}.values():
        if each.rows:
            for suffix, (_, _, write) in FORMATS.items():
                yield f"{each.name}.{suffix}", write(each)
    for mosaic in report.mosaics:
        if mosaic.png:
            yield f"set-{mosaic.name}.png", mosaic.png
    yield PAGE, render_page(report)
