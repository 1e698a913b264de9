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
"""Beginnings of texts that a spreadsheet would take for formulas (OWASP, CSV injection)."""

_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")
"""A hyphen that is a minus sign: before a number, and not part of a word or a range."""

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
"""`[` is put in braces: after a line break it would begin an optional argument."""


def to_csv(sheet: Sheet) -> str:
    """CSV with a header. Numeric columns hold exact numbers or nothing; texts are escaped so that none is a formula."""
    rows = ([_csv(entry, place in sheet.numeric) for place, entry in enumerate(row)] for row in sheet.rows)
    return csv_text([map(plain, sheet.columns), *rows])


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """CSV, one line per row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _csv(entry: Entry, numeric: bool) -> str:
    if numeric:
        return "" if entry.value is None else repr(entry.value)
    return plain(entry.text)


def plain(text: str) -> str:
    """`text` on one line, after an apostrophe if a spreadsheet would take it for a formula."""
    text = one_line(text)
    return f"'{text}" if _FORMULA.match(text) else text


def to_latex(sheet: Sheet) -> str:
    """A LaTeX `table`; needs only `\\usepackage{booktabs}`, and T1 fonts for straight quotes."""
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
    """`text` on one line, escaped for LaTeX. Characters beyond Latin need an engine that supports them."""
    return _MINUS.sub("$-$", one_line(text).translate(_LATEX))


def to_markdown(sheet: Sheet) -> str:
    """A GitHub-flavoured Markdown table below its title, numeric columns aligned to the right."""
    table = grid(sheet.columns, ([entry.text for entry in row] for row in sheet.rows), sheet.numeric)
    parts = [f"**{escape_markdown(sheet.title)}**", table, escape_markdown(sheet.note)]
    return "\n\n".join(filter(None, parts)) + "\n"


FORMATS: Mapping[str, tuple[str, str, Callable[[Sheet], str]]] = {
    "csv": ("CSV", "text/csv", to_csv),
    "tex": ("LaTeX", "text/x-tex", to_latex),
    "md": ("Markdown", "text/markdown", to_markdown),
}
"""By file suffix: the format's name, its media type, and the function that writes a sheet."""


def write_sheets(sheets: Iterable[Sheet], folder: Path) -> list[Path]:
    """Writes every sheet in every format into `folder`. Returns the files. Raises OSError if the disk refuses."""
    written = []
    for sheet in sheets:
        for suffix, (_, _, write) in FORMATS.items():
            path = folder / f"{sheet.name}.{suffix}"
            write_atomically(path, writing(write(sheet)))
            written.append(path)
    return written
