"""The report as GitHub-flavoured Markdown."""

import html
import re
from collections.abc import Collection, Iterable, Sequence

from crossarch.platform.report.sheets import Sheet
from crossarch.platform.report.tables import Cell, Table
from crossarch.platform.report.verdicts import explained, headline, labelled, told
from crossarch.platform.report.wording import CLAIM_COLUMNS, CLAIM_NOTE, caption, cell_words, claim_words, footer, title
from crossarch.platform.text import one_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#$])")


def render_markdown(table: Table, answers: Iterable[Sheet] = ()) -> str:
    """The whole report, with a sweep's `answers`, ending in a line break. Names and errors in it are escaped."""
    sections = [
        f"## {escape(table.study.name)}",
        f"{escape(table.study.question)}\n\n_{escape(table.study.reference)}_",
        *(escape(line) for line in filter(None, (headline(table),))),
        grid((*map(title, table.axes), "Arm", *table.networks), _rows(table)),
        "\n".join(f"- {escape(sentence)}" for sentence in caption(table)),
        *_against(table),
        *_claims(table),
        *(part for each in answers for part in _sheet(each)),
        *_teachers(table),
        *_failures(table),
        "\n".join(f"- **{name}:** {escape(text)}" for name, text in footer(table)),
    ]
    return "\n\n".join(sections) + "\n"


def escape(text: str) -> str:
    """`text` on one line, escaped: no markup, no HTML, no column breaks."""
    return _SPECIAL.sub(r"\\\1", html.escape(one_line(text), quote=False))


def _rows(table: Table) -> Iterable[Sequence[str]]:
    for row in table.rows:
        yield (*row.choices, row.arm, *map(_cell, row.cells))


def _cell(cell: Cell | None) -> str:
    return ", ".join(cell_words(cell).lines(stacked=False))


def _against(table: Table) -> Iterable[str]:
    compared = told(table)
    if compared:
        yield "### Against the paper"
        yield grid(*labelled(table, compared))
        yield "\n".join(f"- {escape(sentence)}" for sentence in explained(compared))


def _claims(table: Table) -> Iterable[str]:
    if table.contrasts:
        yield "### Claims"
        yield grid(CLAIM_COLUMNS, map(claim_words, table.contrasts))
        yield escape(CLAIM_NOTE)


def _sheet(sheet: Sheet) -> Iterable[str]:
    yield f"### {escape(sheet.title)}"
    yield grid(sheet.columns, ([entry.text for entry in row] for row in sheet.rows))
    yield from filter(None, (escape(sheet.note),))


def _teachers(table: Table) -> Iterable[str]:
    if table.teachers:
        yield "### Teachers"
        yield grid(
            (*map(title, table.axes), "Arm", "Network", "Accuracy"),
            ((*each.choices, each.arm, each.network, _cell(each.cell)) for each in table.teachers),
        )


def _failures(table: Table) -> Iterable[str]:
    if table.failures:
        yield "### What did not finish and why"
        yield grid(
            ("Run", "Arm", "Cell", "Seed", "Outcome", "Error"),
            (
                (run.run_id, run.arm, ", ".join(run.cell), str(run.seed), run.outcome, run.error or "")
                for run in table.failures
            ),
        )


def grid(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: Collection[int] = ()) -> str:
    """A Markdown table whose columns with indices in `numeric` are aligned to the right."""
    first, *others = ([escape(text) for text in row] for row in (header, *rows))
    rules = ["---:" if place in numeric else "---" for place in range(len(first))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (first, rules, *others))
