"""The answers of a sweep in a terminal."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from crossarch.platform.report.robustness.sheets import claims, plateaus, scores
from crossarch.platform.report.robustness.surface import surfaces
from crossarch.platform.report.sheets import Sheet
from crossarch.platform.report.terminal import sheet_grid
from crossarch.search_spaces.study import Study
from crossarch.search_spaces.sweep import Sweep
from crossarch.trainables.result import RunResult


def render_answers(study: Study, seeds: tuple[int, ...], results: Mapping[str, RunResult]) -> RenderableType:
    """Score, statements and plateaus; nothing for a study that is no sweep or has no results."""
    found = surfaces(study, seeds, results) if isinstance(study, Sweep) else []
    if not isinstance(study, Sweep) or not found:
        return Group()
    sheets = (scores(found), claims(study, found), plateaus(study, found))
    return Group(*(part for each in sheets if each.rows for part in _view(each)))


def _view(sheet: Sheet) -> tuple[RenderableType, ...]:
    return (Text(), Text(sheet.title, style="bold"), sheet_grid(sheet), Text(sheet.note))
