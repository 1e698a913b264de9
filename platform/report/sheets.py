"""The report's tables as sheets, the common form from which the page and all file formats are rendered."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from crossarch.platform.report.stats import Summary
from crossarch.platform.report.tables import Cell, Run, Table, hardware, software
from crossarch.platform.report.wording import (
    CLAIM_COLUMNS,
    CLAIM_NOTE,
    bracket,
    claim_words,
    number,
    paper,
    remarks,
    title,
)
from crossarch.platform.text import one_line
from crossarch.trainables.config.result import RunResult

DECIMALS = 10
"""Decimals of a difference, without the error of binary numbers, as in 49.22 - 44.3 = 4.920000000000002."""


class Entry(NamedTuple):
    """One entry of a sheet."""

    lines: tuple[str, ...] = ()
    """The text, in lines that must not be broken; not yet escaped for any format."""
    value: float | None = None
    """The exact number, if any: it is sorted by, and is what a numeric column holds."""

    @property
    def text(self) -> str:
        """All lines as one line."""
        return ", ".join(self.lines)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table."""

    name: str
    """The name of its files, without suffix."""
    title: str
    note: str = ""
    """Sentences that explain its numbers."""
    columns: tuple[str, ...]
    numeric: frozenset[int] = frozenset()
    """Indices of the columns whose entries are numbers or empty."""
    labels: int = 1
    """Number of leading columns that label the row."""
    rows: tuple[tuple[Entry, ...], ...]


def words(text: object) -> Entry:
    """A text entry; empty for None."""
    line = "" if text is None else one_line(str(text))
    return Entry((line,) if line else ())


def figure(value: float | None, digits: int | None = None) -> Entry:
    """A number entry, shown with `digits` decimals; empty for None."""
    if value is None:
        return Entry()
    return Entry((str(value) if digits is None else f"{value:.{digits}f}",), value)


def summed(known: Summary | None, digits: int = 1) -> tuple[Entry, Entry, Entry]:
    """Entries of mean, standard deviation and n; only n = 0 if no run has finished."""
    if known is None:
        return Entry(), Entry(), figure(0)
    return figure(known.mean, digits), figure(known.std, digits), figure(known.n)


def sheet(
    name: str,
    heading: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[Entry]],
    *,
    numeric: Iterable[str] = (),
    labels: int = 1,
    note: str = "",
) -> Sheet:
    """A sheet whose `numeric` columns are given by name. Raises ValueError for a row of another length."""
    columns = tuple(columns)
    kept = tuple(tuple(row) for row in rows)
    if any(len(row) != len(columns) for row in kept):
        raise ValueError(f"sheet {name}: a row is not of {len(columns)} columns")
    places = frozenset(columns.index(column) for column in numeric)
    return Sheet(name=name, title=heading, note=note, columns=columns, numeric=places, labels=labels, rows=kept)


def verdict(table: Table, note: str = "") -> Sheet:
    """The table in the paper's form, arms by networks: each number with its n, its gap and the paper's number."""
    return sheet(
        "verdict",
        "Results by arm and network",
        (*map(title, table.axes), "Arm", *table.networks),
        ((*map(words, row.choices), words(row.arm), *map(verdict_entry, row.cells)) for row in table.rows),
        labels=len(table.axes) + 1,
        note=note,
    )


def verdict_entry(cell: Cell | None) -> Entry:
    """`82.0 ± 2.0`, `gap -10.0`, `paper 50.7 ± 0.1 (+31.3)`, and `n = 2, 1 diverged`, with runs that did not finish."""
    if cell is None:
        return Entry(("–",))
    lines: tuple[str, ...] = ()
    states = [remark for remark in remarks(cell.accuracy, cell.counts) if not remark.startswith("n =")]
    if cell.accuracy:
        gap = (f"gap {cell.gap:+z.1f}",) if cell.gap is not None else ()
        lines = (number(cell.accuracy), *gap)
        states.insert(0, f"n = {cell.accuracy.n}")
    above = difference(cell)
    papers = tuple(f"{line} {bracket(above)}" if above is not None else line for line in paper(cell.published))
    counted = (", ".join(states),) if states else ()
    return Entry((*lines, *papers, *counted), cell.accuracy.mean if cell.accuracy else None)


def difference(cell: Cell) -> float | None:
    """Points by which our mean is above the paper's number; None if either is missing."""
    if cell.accuracy is None or cell.published is None:
        return None
    return round(cell.accuracy.mean - cell.published.accuracy, DECIMALS)


def numbers(table: Table) -> Sheet:
    """The numbers of all cells, one per row; teachers that are not a cell come last."""
    cells: list[tuple[tuple[str, ...], Cell]] = [
        ((*row.choices, row.arm, network), cell)
        for row in table.rows
        for network, cell in zip(table.networks, row.cells, strict=True)
        if cell
    ]
    cells += [((*each.choices, f"{each.arm} (teacher)", each.network), each.cell) for each in table.teachers]
    counted = ("Mean", "Std", "n", "PlannedRun", "Gap", "Paper", "Paper std", "Difference", "Device (s)")
    return sheet(
        "numbers",
        "All cells, one per row",
        (*map(title, table.axes), "Arm", "Network", *counted),
        ((*map(words, labels), *_counted(cell)) for labels, cell in cells),
        numeric=counted,
        labels=len(table.axes) + 2,
        note=(
            "Mean, standard deviation, gap, paper and difference in percentage points. Device: seconds from building "
            "the networks to the end of their tests, summed over the cell's runs."
        ),
    )


def _counted(cell: Cell) -> Iterator[Entry]:
    known = cell.published
    yield from summed(cell.accuracy)
    yield figure(sum(cell.counts.values()))
    yield figure(None if cell.gap is None else round(cell.gap, DECIMALS), 1)
    yield figure(known.accuracy if known else None, 1)
    yield figure(known.std if known else None, 1)
    yield figure(difference(cell), 1)
    yield figure(cell.seconds, 1)


def claims(table: Table) -> Sheet:
    """The tests of the study's claims."""
    return sheet(
        "claims",
        "What the runs show",
        CLAIM_COLUMNS,
        (
            (
                words(sentence),
                Entry((mean,) if mean else (), found.mean),
                words(interval),
                figure(found.n),
                words(verdict),
            )
            for found in table.contrasts
            for sentence, mean, interval, _, verdict in [claim_words(found)]
        ),
        numeric=("Difference", "n"),
        note=CLAIM_NOTE,
    )


def machines(table: Table, results: Mapping[str, RunResult]) -> Sheet:
    """Number of runs and their time, by hardware, software versions and commit."""
    groups: dict[tuple[str, ...], list[RunResult]] = {}
    for run in table.runs:
        if run.run_id in results:
            environment = results[run.run_id].environment
            key = (hardware(environment) or "unknown", software(environment), str(environment.get("commit") or ""))
            groups.setdefault(key, []).append(results[run.run_id])
    timed = ("Runs", "Training (s)", "With evaluation (s)")
    return sheet(
        "machines",
        "Hardware, software and time",
        ("Hardware", "Software", "Commit", *timed),
        (
            (
                *map(words, key),
                figure(len(group)),
                figure(sum(each.training_seconds for each in group), 1),
                figure(sum(each.device_seconds for each in group), 1),
            )
            for key, group in groups.items()
        ),
        numeric=timed,
        labels=1,
        note="Seconds in the training loop, and with evaluation, summed over runs; runs beside each other share cores.",
    )


def runs(table: Table, results: Mapping[str, RunResult]) -> Sheet:
    """Every run with its state, accuracy, and where it was trained."""
    timed = ("Test accuracy (%)", "Training (s)")
    return sheet(
        "runs",
        "Every run",
        (*_place(table), "State", *timed, "Hardware", "Commit", "Finished (UTC)", "Run"),
        (_run(run, results.get(run.run_id)) for run in table.runs),
        numeric=("Seed", *timed),
        labels=len(_place(table)),
    )


def _run(run: Run, result: RunResult | None) -> Iterator[Entry]:
    environment = result.environment if result else {}
    yield from (*_labels(run), words(run.outcome), figure(run.accuracy, 2))
    yield figure(result.training_seconds if result else None, 1)
    yield from (words(hardware(environment)), words(environment.get("commit")))
    yield words(result.finished_at[:19].replace("T", " ") if result else None)
    yield words(run.run_id)


def failures(table: Table) -> Sheet:
    """Runs that diverged, failed, were blocked or stopped early, and why."""
    return sheet(
        "failures",
        "Runs that diverged, failed, were blocked or stopped early",
        (*_place(table), "State", "Why", "Run"),
        (
            (*_labels(run), words(run.outcome), words(run.error or "no reason was recorded"), words(run.run_id))
            for run in table.failures
        ),
        numeric=("Seed",),
        labels=len(_place(table)),
    )


def _place(table: Table) -> tuple[str, ...]:
    return ("Arm", *(title(axis.name) for axis in table.study.axes), "Seed")


def _labels(run: Run) -> tuple[Entry, ...]:
    return (words(run.arm), *map(words, run.cell), figure(run.seed))
