"""Tables and states of studies for the terminal, readable without colour and in 80 columns."""

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
from crossarch.search_spaces.study import Study, each_once
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.data.manifest import Manifest

NARROW = (0, 1, 0, 0)
"""Padding of columns, none on the left."""


def headed(*, padding: tuple[int, ...] = (0, 1), leading: int = 0) -> Grid:
    """A table without columns yet, with a rule below the header."""
    return Grid(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
        padding=padding,  # type: ignore[arg-type]
        leading=leading,
    )


def named(rows: Iterable[tuple[str, str]], between: int = 2, *, fold: bool = False) -> Grid:
    """Names and texts in two columns, `between` characters apart; `fold` breaks long words instead of cutting them."""
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
    """A table whose cells are not wrapped, with a rule between rows that differ in their first `by` cells.

    Columns with indices in `texts` are aligned to the left, others to the right.
    """
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
    """The name, question, networks and number of runs of each study."""
    grid = headed()
    for name in ("Study", "Question", "Networks"):
        grid.add_column(name)
    grid.add_column("Runs", justify="right")
    for study in studies:
        cells, teachers = each_once(study.expand(study.seeds[:1]))
        grid.add_row(
            Text(study.name, style="bold"),
            Text.assemble(study.question, "\n", (study.reference, "italic")),
            Text(", ".join(study.label(study.columns, network) for network in study.networks)),
            Text(f"{(len(cells) + len(teachers)) * len(study.seeds)}"),
        )
    return grid


def render_sets(manifests: Mapping[str, Manifest], damaged: Mapping[str, str]) -> RenderableType:
    """One line per distilled set, then the problems of damaged sets, by name."""
    if not manifests and not damaged:
        return Text("No distilled sets yet: `crossarch data add PATH --dataset ... --distiller ... --whitening ...`")
    grid = headed(padding=NARROW)
    grid.add_column("Set", no_wrap=True, overflow="fold")  # so that a name can be copied
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
    recorded = json.loads(manifest.verified)
    fits, accuracies = recorded.get("fits"), recorded.get("accuracies", {})
    if fits == manifest.whitening and fits in accuracies:
        return f"fits, {accuracies[fits]:.1f} %"
    return f"no: {fits} fits" if fits else "no whitening fits"


def render_set(manifest: Manifest) -> RenderableType:
    """All fields of a distilled set's manifest that are not empty."""
    fields = dataclasses.asdict(manifest).items()
    rows = ((name.replace("_", " "), one_line(str(value))) for name, value in fields if value not in (None, "", "{}"))
    return named(rows, fold=True)


LABEL_WIDTH = 24
"""Characters after which labels of arms and choices wrap."""

SHOWN_FAILURES = 10
"""Maximum failures shown; the Markdown report shows all."""


def render_report(table: Table, width: int = 80) -> RenderableType:
    """The whole report: question, table, comparison, claims, teachers, failures with their reasons, and conditions."""
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
    """The number of runs in each state that occurs, by arm and network, and the failures."""
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
    """The table in as few pieces as `width` allows, with gaps beside their numbers if there is room."""
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
    """Some columns of the table; `stacked` puts each gap below its number."""
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
    """A sheet as a table, numeric columns aligned to the right."""
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
    for contrast in table.contrasts:
        grid.add_row(*map(Text, claim_words(contrast)))
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
    """A sweep's score, statements and plateaus; empty for a study that is not a sweep or has no results."""
    found = surfaces(study, seeds, results)
    sheets = (scores(found), claims(found), plateaus(found)) if found else ()
    return Group(*(part for each in sheets if each.rows for part in _view(each)))


def _view(sheet: Sheet) -> tuple[RenderableType, ...]:
    return (Text(), Text(sheet.title, style="bold"), sheet_grid(sheet), Text(sheet.note))
