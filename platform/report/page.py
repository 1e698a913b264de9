"""The report as one HTML page that needs no network, and as the files beside it."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from crossarch.platform.report.content import Report
from crossarch.platform.report.export import FORMATS
from crossarch.platform.report.sheets import Sheet
from crossarch.platform.report.svg import data_uri

PAGE = "index.html"
MOST_ROWS = 600
"""A figure's data are shown as a table up to so many rows; beyond, the page has them as CSV alone."""
UNFOLDED_ROWS = 20
"""A longer table of a sweep waits behind its title."""
HERE = Path(__file__).parent


def render_page(report: Report) -> str:
    """The page; all that is not our own markup is escaped, and the browser is told to load and run nothing else."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

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
    """A content security policy under which this script alone runs, and nothing is loaded."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"


def downloads(sheet: Sheet, suffixes: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Format, file name and `data:` address of a sheet in each of the formats."""
    for suffix in suffixes:
        name, media, write = FORMATS[suffix]
        yield name, f"{sheet.name}.{suffix}", data_uri(write(sheet), media)


def files(report: Report) -> Iterator[tuple[str, str | bytes]]:
    """Name and content of every file of the report, the page last."""
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


def digest_of(page: Path) -> str | None:
    """The digest of the report that a page shows; None where there is no page of ours."""
    try:
        head = page.read_text(encoding="utf-8", errors="replace")[:2000]
    except OSError:
        return None
    found = re.search(r'<meta name="crossarch-digest" content="([0-9a-f]{64})">', head)
    return found[1] if found else None
