"""Sheets as files: CSV for programs and spreadsheets, LaTeX for papers, Markdown for READMEs."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from crossarch.platform.report.markdown import escape as escape_markdown
from crossarch.platform.report.markdown import grid
from crossarch.platform.report.sheets import Entry, Sheet
from crossarch.platform.text import one_line
from crossarch.trainables.files import write_atomically, writing

_FORMULA = re.compile(r"\s*[=+\-@\t\r|%]")
"""How a text begins that a spreadsheet would calculate (OWASP, CSV injection)."""

_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")
"""A hyphen before a number that is nothing else."""

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "%": r"\%",
        "_": r"\_",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "[": r"{[}",
        "]": r"{]}",
        "±": r"$\pm$",
        "–": "--",
    }
)
"""`[` stands in braces, as it would be taken for an argument after a line's end."""


def to_csv(sheet: Sheet) -> str:
    """A header and a line a row; numeric columns hold exact numbers or nothing, texts no formulas."""
    rows = ([_csv(entry, place in sheet.numeric) for place, entry in enumerate(row)] for row in sheet.rows)
    return csv_text([map(plain, sheet.columns), *rows])


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """A line a row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _csv(entry: Entry, numeric: bool) -> str:
    if numeric:
        return "" if entry.value is None else repr(entry.value)
    return plain(entry.text)


def plain(text: str) -> str:
    """`text` on one line, with an apostrophe before what a spreadsheet would take for a formula."""
    text = one_line(text)
    return f"'{text}" if _FORMULA.match(text) else text


def to_latex(sheet: Sheet) -> str:
    """A `table` with the rules of booktabs; `\\usepackage{booktabs}` is all it needs (T1 fonts for straight quotes)."""
    columns = "".join("r" if place in sheet.numeric else "l" for place in range(len(sheet.columns)))
    caption = " ".join(filter(None, (f"{sheet.title}.", sheet.note)))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex(sheet.columns),
        r"\midrule",
        *(_latex([entry.text for entry in row]) for row in sheet.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex(texts: "list[str] | tuple[str, ...]") -> str:
    return " & ".join(map(escape_latex, texts)) + r" \\"


def escape_latex(text: str) -> str:
    """`text` on one line that reads as it is; characters beyond Latin need an engine that knows them."""
    return _MINUS.sub("$-$", one_line(text).translate(_LATEX))


def to_markdown(sheet: Sheet) -> str:
    """A GitHub-flavoured table below its title, numbers to the right."""
    table = grid(sheet.columns, ([entry.text for entry in row] for row in sheet.rows), sheet.numeric)
    parts = [f"**{escape_markdown(sheet.title)}**", table, escape_markdown(sheet.note)]
    return "\n\n".join(filter(None, parts)) + "\n"


FORMATS: Mapping[str, tuple[str, str, Callable[[Sheet], str]]] = {
    "csv": ("CSV", "text/csv", to_csv),
    "tex": ("LaTeX", "text/x-tex", to_latex),
    "md": ("Markdown", "text/markdown", to_markdown),
}
"""By the files' suffix: name, media type, and how a sheet is written."""


def write_sheets(sheets: Iterable[Sheet], folder: Path) -> list[Path]:
    """Writes every sheet in every format; the files. Raises OSError."""
    written = []
    for each in sheets:
        for suffix, (_, _, write) in FORMATS.items():
            path = folder / f"{each.name}.{suffix}"
            write_atomically(path, writing(write(each)))
            written.append(path)
    return written
