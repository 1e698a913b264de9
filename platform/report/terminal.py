"""The table and the state of a study in a terminal, readable without colour and on 80 columns."""

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from crossarch.platform.report.sheets import Sheet
from crossarch.platform.report.sweep.sheets import claims, plateaus, scores
from crossarch.platform.report.sweep.surface import surfaces
from crossarch.platform.report.tables import STATES, Counts, Run, State, Table
from crossarch.platform.report.verdicts import explained, headline, labelled, told
from crossarch.platform.report.wording import (
    CLAIM_COLUMNS,
    CLAIM_NOTE,
    caption,
    cell_words,
    claim_words,
    footer,
    place,
    title,
)
from crossarch.platform.text import one_line
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.data.manifest import Manifest

NARROW = (0, 1, 0, 0)
"""Padding with no room left of a column."""


def headed(*, padding: tuple[int, ...] = (0, 1), leading: int = 0) -> Grid:
    """A table without columns yet, with a line below their names."""
    return Grid(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
        padding=padding,  # type: ignore[arg-type]
        leading=leading,
    )


def named(rows: Iterable[tuple[str, str]], between: int = 2, *, fold: bool = False) -> Grid:
    """Names and what is said of each, with so much room between them; `fold` breaks long words rather than cut them."""
    grid = Grid.grid(padding=(0, between))
    for name, text in rows:
        grid.add_row(Text(name, style="bold"), Text(text, overflow="fold" if fold else None))
    return grid


def grouped(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    texts: Collection[int],
    by: int,
    padding: tuple[int, ...] = (0, 1),
) -> Grid:
    """A table of unbroken cells, a line between rows that differ in their first `by`; columns `texts` to the left."""
    grid = headed(padding=padding)
    for column, heading in enumerate(headings):
        grid.add_column(heading, justify="left" if column in texts else "right", no_wrap=True)
    before = None
    for row in rows:
        if before not in (None, row[:by]):
            grid.add_section()
        grid.add_row(*row)
        before = row[:by]
    return grid


def render_studies(studies: Iterable[Study]) -> RenderableType:
    """Name, question, networks and number of runs of each study."""
    grid = headed()
    for name in ("Study", "Question", "Networks"):
        grid.add_column(name)
    grid.add_column("Runs", justify="right")
    for study in studies:
        planned = list(study.expand(study.seeds[:1]))
        teachers = {item.teacher.config for item in planned if item.teacher} - {item.config for item in planned}
        grid.add_row(
            Text(study.name, style="bold"),
            Text.assemble(study.question, "\n", (study.reference, "italic")),
            Text(", ".join(study.networks)),
            Text(f"{(len(planned) + len(teachers)) * len(study.seeds)}"),
        )
    return grid


def render_sets(manifests: Mapping[str, Manifest], damaged: Mapping[str, str]) -> RenderableType:
    """Each distilled set on a line, then what is wrong with damaged ones."""
    if not manifests and not damaged:
        return Text("No distilled sets yet: `crossarch data add PATH --dataset ... --distiller ... --whitening ...`")
    grid = headed(padding=NARROW)
    grid.add_column("Set", no_wrap=True, overflow="fold")  # a name is there to be copied
    for name in ("Data set", "Distiller"):
        grid.add_column(name, overflow="fold")
    grid.add_column("IPC", justify="right")
    for name in ("Labels", "Whitening", "Verified"):
        grid.add_column(name)
    for each in manifests.values():
        texts = (each.name, each.dataset, each.distiller, str(each.images_per_class), each.label_form, each.whitening)
        grid.add_row(*map(Text, (*texts, verification(each))))
    return Group(grid, *(Text(f"{name}: {one_line(problem)}") for name, problem in damaged.items()))


def verification(manifest: Manifest) -> str:
    """`fits, 42.9 %`, `no: zca fits`, `no whitening fits` or `not yet`."""
    if not manifest.verified:
        return "not yet"
    found = json.loads(manifest.verified)
    fits, accuracies = found.get("fits"), found.get("accuracies", {})
    if fits == manifest.whitening and fits in accuracies:
        return f"fits, {accuracies[fits]:.1f} %"
    return f"no: {fits} fits" if fits else "no whitening fits"


def render_set(manifest: Manifest) -> RenderableType:
    """All that is known of a distilled set."""
    facts = dataclasses.asdict(manifest).items()
    told = ((name.replace("_", " "), one_line(str(each))) for name, each in facts if each not in (None, "", "{}"))
    return named(told, fold=True)


LABEL_WIDTH = 24
"""Longer labels of arms and choices wrap, in characters."""

SHOWN_FAILURES = 10
"""A terminal shows so many; the Markdown report shows all."""


def render_report(table: Table, width: int = 80) -> RenderableType:
    """The whole report: question, table, teachers, what did not finish and why, and how it all came about."""
    return Group(
        Text(table.study.name, style="bold"),
        Text(one_line(table.study.question)),
        Text(one_line(table.study.reference), style="italic"),
        *(Text(line) for line in filter(None, (headline(table),))),
        *(part for grid in _grids(table, width) for part in (Text(), grid)),
        Text(),
        Text("\n".join(caption(table))),
        *_against(table),
        *_claims(table),
        *_teachers(table),
        *_failures(table.failures),
        Text(),
        named(footer(table), between=1),
    )


def render_status(table: Table) -> RenderableType:
    """How many runs of each arm and network are in each state, of those that occur, and what went wrong."""
    grid = headed(padding=NARROW)
    for name in (*table.axes, "arm", "network"):
        grid.add_column(Text(title(name)), overflow="fold")
    states = [state for state in STATES if state == "finished" or table.counts[state]]
    for state in states:
        grid.add_column(title(state), justify="right", no_wrap=True)
    for row in table.rows:
        for network, cell in zip(table.networks, row.cells, strict=True):
            if cell:
                _add_counts(grid, (*row.choices, row.arm, network), cell.counts, states)
    for teacher in table.teachers:
        labels = (*teacher.choices, f"{teacher.arm} (teacher)", teacher.network)
        _add_counts(grid, labels, teacher.cell.counts, states)
    grid.add_section()
    _add_counts(grid, (*("" for _ in table.axes), "All runs", ""), table.counts, states)
    finished = f"{table.counts['finished']} of {len(table.runs)} runs finished"
    return Group(Text(f"{table.study.name}: {finished}", style="bold"), grid, *_failures(table.failures))


def _grids(table: Table, width: int) -> list[Grid]:
    """The table in as few pieces as `width` allows, gaps beside their numbers where there is room."""
    measuring = Console(width=10_000)
    columns = range(len(table.networks))
    pieces: list[Grid] = []
    for size in range(len(columns), 0, -1):
        for stacked in (False, True):
            starts = columns[::size]
            pieces = [_piece(table, columns[start : start + size], stacked) for start in starts]
            if all(measuring.measure(piece).maximum <= width for piece in pieces):
                return pieces
    return pieces


def _piece(table: Table, columns: Sequence[int], stacked: bool) -> Grid:
    grid = headed(padding=NARROW, leading=int(stacked))
    for name in (*table.axes, "arm"):
        grid.add_column(Text(title(name)), max_width=LABEL_WIDTH, overflow="fold")
    for column in columns:
        grid.add_column(Text(table.networks[column]), no_wrap=True)
    for row in table.rows:
        words = [cell_words(row.cells[column]) for column in columns]
        cells = ["\n".join(word.lines(stacked=stacked)) for word in words]
        grid.add_row(*map(Text, (*row.choices, row.arm, *cells)))
    return grid


def sheet_grid(sheet: Sheet) -> Grid:
    """A sheet's columns and rows, numbers to the right."""
    grid = headed(padding=NARROW)
    for position, column in enumerate(sheet.columns):
        grid.add_column(
            Text(column),
            justify="right" if position in sheet.numeric else "left",
            overflow="fold",
            min_width=max(map(len, column.split())),
        )
    for row in sheet.rows:
        grid.add_row(*(Text(entry.text) for entry in row))
    return grid


def _add_counts(grid: Grid, labels: Sequence[str], counts: Counts, states: Sequence[State]) -> None:
    grid.add_row(*map(Text, labels), *(str(counts[state]) for state in states))


def _claims(table: Table) -> list[RenderableType]:
    if not table.contrasts:
        return []
    grid = headed(padding=NARROW)
    for column, name in enumerate(CLAIM_COLUMNS):
        grid.add_column(
            Text(name), overflow="fold", no_wrap=column > 0, justify="right" if column in (1, 2, 3) else "left"
        )
    for found in table.contrasts:
        grid.add_row(*map(Text, claim_words(found)))
    return [Text(), grid, Text(), Text(CLAIM_NOTE)]


def _teachers(table: Table) -> list[RenderableType]:
    lines = []
    for teacher in table.teachers:
        name = ", ".join((teacher.arm, *teacher.choices, teacher.network))
        lines.append(f"  {name}: {', '.join(cell_words(teacher.cell).lines(stacked=False))}")
    return [Text(), Text("Teachers", style="bold"), Text("\n".join(lines))] if lines else []


def _against(table: Table) -> list[RenderableType]:
    compared = told(table)
    if not compared:
        return []
    heads, rows = labelled(table, compared)
    grid = headed(padding=NARROW)
    for head in heads:
        grid.add_column(Text(head), max_width=LABEL_WIDTH, overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    return [Text(), Text("Against the paper", style="bold"), grid, Text("\n".join(explained(compared)))]


def _failures(failures: Sequence[Run]) -> list[RenderableType]:
    if not failures:
        return []
    views: list[RenderableType] = [Text(), Text("What did not finish and why", style="bold")]
    for run in failures[:SHOWN_FAILURES]:
        views.append(Text(f"  {place(run)} ({run.run_id}) {run.outcome}"))
        views.append(Padding(Text(one_line(run.error or "no reason was recorded")), (0, 0, 0, 4), expand=False))
    if len(failures) > SHOWN_FAILURES:
        views.append(Text(f"  and {len(failures) - SHOWN_FAILURES} more: the Markdown report has all"))
    return views


def render_answers(study: Study, seeds: tuple[int, ...], results: Mapping[str, RunResult]) -> RenderableType:
    """Score, statements and plateaus; nothing for a study that is no sweep or has no results."""
    found = surfaces(study, seeds, results)
    sheets = (scores(found), claims(found), plateaus(found)) if found else ()
    return Group(*(part for each in sheets if each.rows for part in _view(each)))


def _view(sheet: Sheet) -> tuple[RenderableType, ...]:
    return (Text(), Text(sheet.title, style="bold"), sheet_grid(sheet), Text(sheet.note))
