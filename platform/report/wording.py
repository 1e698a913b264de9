"""Wording of numbers and states for all renderers: plain text, not yet escaped for any format."""

from dataclasses import dataclass

from crossarch.platform.report.stats import LEVEL, Contrast, Summary
from crossarch.platform.report.tables import STATES, Cell, Counts, Run, Table
from crossarch.platform.text import duration, one_line
from crossarch.search_spaces.study import Published

NOT_APPLICABLE = "–"

METRICS = {"test_accuracy": "Test accuracy in % after the final epoch"}


@dataclass(frozen=True, kw_only=True)
class CellWords:
    """The texts of a cell, which must not be broken; empty ones are left out."""

    number: str = ""
    gap: str = ""
    remarks: tuple[str, ...] = ()

    def lines(self, *, stacked: bool) -> list[str]:
        """The texts, line by line. `stacked` puts the gap below its number instead of beside it."""
        numbers = [self.number, self.gap] if stacked else [" ".join(filter(None, (self.number, self.gap)))]
        return [line for line in (*numbers, *self.remarks) if line]


def cell_words(cell: Cell | None) -> CellWords:
    """`85.3 ± 1.2`, `(-3.4)`, remarks and the paper's number; `–` for a network to which the arm does not apply."""
    if cell is None:
        return CellWords(number=NOT_APPLICABLE)
    return CellWords(
        number=number(cell.accuracy) if cell.accuracy else "",
        gap=bracket(cell.gap) if cell.gap is not None else "",
        remarks=remarks(cell.accuracy, cell.counts) + paper(cell.published),
    )


def paper(published: Published | None) -> tuple[str, ...]:
    """`paper 50.7 ± 0.1`; empty if the paper does not have the cell."""
    if published is None:
        return ()
    spread = "" if published.std is None else f" ± {published.std:.1f}"
    return (f"paper {published.accuracy:.1f}{spread}",)


def number(summary: Summary) -> str:
    """`85.3 ± 1.2`; a single run has no standard deviation: `85.3`."""
    return f"{summary.mean:.1f}" if summary.std is None else f"{summary.mean:.1f} ± {summary.std:.1f}"


def bracket(gap: float) -> str:
    """The gap as the paper writes it: `(-3.4)`."""
    return f"({gap:+z.1f})"


def remarks(accuracy: Summary | None, counts: Counts) -> tuple[str, ...]:
    """n if it is 1 or less than planned, and the number of runs in each state but finished."""
    planned = sum(counts.values())
    if counts["missing"] == planned:
        return ("not yet run",)
    if counts["unavailable"] == planned:
        return ("not run: data unavailable",)
    n = (f"n = {accuracy.n}",) if accuracy and (accuracy.n == 1 or accuracy.n < planned) else ()
    return n + tuple(f"{counts[state]} {state}" for state in STATES if state != "finished" and counts[state])


def caption(table: Table) -> list[str]:
    """Sentences that explain the table's numbers."""
    metric = METRICS.get(table.study.metric, table.study.metric)
    seeds = ", ".join(map(str, table.seeds))
    many = f"mean ± sample standard deviation over n = {len(table.seeds)} runs, seeds {seeds}"
    cells = [cell for row in table.rows for cell in row.cells]
    sentences = [f"{metric}: {many if len(table.seeds) > 1 else f'n = 1, a single run with seed {seeds}'}."]
    if any(cell and cell.gap is not None for cell in cells):
        origin = f"{table.study.arms[0].label}, {table.study.label(table.study.columns, table.study.teacher)}"
        same = f" at the same {' and '.join(table.axes)}" if table.axes else ""
        sentences.append(f"In brackets: points above or below {origin}{same}.")
    if None in cells:
        sentences.append(f"{NOT_APPLICABLE} marks a network to which the arm does not apply.")
    if any(run.outcome != "stopped" for run in table.failures):
        sentences.append("Runs that diverged, failed or were blocked are counted, never averaged in.")
    if table.counts["stopped"]:
        sentences.append("A cell with a run that was stopped early has no mean: the runs left were chosen by accuracy.")
    return sentences


CLAIM_COLUMNS = ("Claim", "Difference", f"{100 * LEVEL:g} % interval", "n", "Verdict")

CLAIM_NOTE = (
    "Difference: points of accuracy by which the claim's higher side is above its lower one, mean over seeds, "
    "paired by seed, with Student's t interval. Shown: the whole interval is above 0; opposite shown: below. Each "
    "claim stands alone: the intervals are not widened for their number."
)


def claim_words(contrast: Contrast) -> tuple[str, str, str, str, str]:
    """The texts of a row under CLAIM_COLUMNS."""
    interval = contrast.interval
    return (
        contrast.sentence,
        "" if contrast.mean is None else f"{contrast.mean:+z.1f}",
        "" if interval is None else f"{interval.low:+z.1f} to {interval.high:+z.1f}",
        str(contrast.n),
        contrast.verdict,
    )


def footer(table: Table) -> list[tuple[str, str]]:
    """Facts about the runs and the machines that trained them, as pairs of name and text."""
    known = table.conditions
    states = ", ".join(f"{table.counts[state]} {state}" for state in STATES if table.counts[state])
    facts = [
        ("Runs", f"{len(table.runs)} planned: {states}; n = {len(table.seeds)} a cell"),
        ("Training", f"{duration(known.training_seconds)} in all" if known.runs else ""),
        ("Cost", cost(table)),
        ("Mixed", "; ".join(table.mixed)),
        ("Hardware", "; ".join(known.hardware)),
        ("Software", "; ".join(known.software)),
        ("Commit" if len(known.commits) == 1 else "Commits", ", ".join(known.commits)),
    ]
    return [(name, one_line(text)) for name, text in facts if text]


def cost(table: Table) -> str:
    """`8.1 to 75.3 device seconds a cell, 482.0 in all cells`; empty if no run has its time."""
    seconds = [cell.seconds for row in table.rows for cell in row.cells if cell and cell.seconds]
    if not seconds:
        return ""
    return f"{min(seconds):.1f} to {max(seconds):.1f} device seconds a cell, {sum(seconds):,.1f} in all cells"


def place(run: Run) -> str:
    """`Full, ResNet18, seed 0`."""
    return ", ".join((run.arm, *run.cell, f"seed {run.seed}"))


def title(axis: str) -> str:
    """The heading of an axis: `Dataset`, `IPC`."""
    return axis[:1].upper() + axis[1:]
