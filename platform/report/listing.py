"""The list of studies, in a terminal."""

from collections.abc import Iterable

from rich import box
from rich.console import RenderableType
from rich.table import Table as Grid
from rich.text import Text

from crossarch.search_spaces.study import Study


def render_studies(studies: Iterable[Study]) -> RenderableType:
    """Name, question, networks and number of runs of each study."""
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in ("Study", "Question", "Networks"):
        grid.add_column(name)
    grid.add_column("Runs", justify="right")
    for study in studies:
        planned = list(study.expand())
        teachers = {item.teacher.config for item in planned if item.teacher} - {item.config for item in planned}
        grid.add_row(
            Text(study.name, style="bold"),
            Text(f"{study.question} ({study.reference})"),
            Text(", ".join(study.networks)),
            Text(f"{len(planned) + len(teachers)}"),
        )
    return grid
