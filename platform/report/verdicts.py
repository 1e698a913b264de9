"""Comparison with the paper: the difference from each published number, and whether seeds alone may explain it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from crossarch.platform.report.sheets import Sheet, figure, sheet, words
from crossarch.platform.report.stats import Summary, student
from crossarch.platform.report.tables import Cell, Table
from crossarch.platform.report.wording import number, paper, title
from crossarch.search_spaces.paper.published import published
from crossarch.search_spaces.study import Published

Verdict = Literal["reproduced", "above", "below", "too few seeds", "not run", "data unavailable"]

FEWEST = 3
"""Minimum seeds for a verdict: as many as the paper has. With two, the margin would admit nearly any number."""
PAPER_SEEDS = 3
"""Seeds per number in the paper (App. B.2)."""
SPREAD_TABLE = 7
"""The only table of the paper with standard deviations."""
ROUNDING = 0.05
"""Maximum rounding error in points of a number printed with one decimal."""

COLUMNS = ("Ours", "Paper", "Difference", "Verdict")
"""Headings of the texts of `in_words`."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One published number and ours."""

    choices: tuple[str, ...]
    arm: str
    network: str
    ours: Summary | None
    """Over the finished runs; None without any."""
    paper: Published
    difference: float | None
    """Ours minus the paper's, in points; None without ours."""
    margin: float | None
    """Difference in points that seeds and rounding alone may cause; None with fewer than FEWEST seeds of ours."""
    verdict: Verdict


def compare(table: Table) -> tuple[Comparison, ...]:
    """A comparison for each cell that the paper has, row by row."""
    comparisons = []
    for row in table.rows:
        for network, cell in zip(table.networks, row.cells, strict=True):
            if cell is None or cell.published is None:
                continue
            ours, published_cell = cell.accuracy, cell.published
            comparisons.append(
                Comparison(
                    choices=row.choices,
                    arm=row.arm,
                    network=network,
                    ours=ours,
                    paper=published_cell,
                    difference=ours.mean - published_cell.accuracy if ours else None,
                    margin=margin(ours, published_cell) if ours and ours.n >= FEWEST else None,
                    verdict=judge(cell),
                )
            )
    return tuple(comparisons)


def judge(cell: Cell) -> Verdict:
    """The verdict on a cell. Raises ValueError for a cell that the paper does not have."""
    if cell.published is None:
        raise ValueError("cell.published = None, but a verdict needs the paper's number")
    planned = sum(cell.counts.values())
    if cell.counts["unavailable"] == planned:
        return "data unavailable"
    if cell.counts["missing"] + cell.counts["unavailable"] == planned:
        return "not run"
    if cell.accuracy is None or cell.accuracy.n < FEWEST:
        return "too few seeds"
    difference = cell.accuracy.mean - cell.published.accuracy
    if abs(difference) <= margin(cell.accuracy, cell.published):
        return "reproduced"
    return "above" if difference > 0 else "below"


def margin(ours: Summary, known: Published) -> float:
    """Points by which our mean may differ from the paper's through seeds and rounding alone, at 95 % confidence.

    If the paper gives its standard deviation, half the Welch interval of the difference (`welch`). Else the half-width
    of our interval (`half_width`) plus an assumed one of the paper's (`tolerance`). Raises ValueError for a single run
    of ours.
    """
    if known.std is None:
        return half_width(ours) + tolerance(known.images_per_class) + ROUNDING
    return welch(ours, known.std, PAPER_SEEDS) + ROUNDING


def half_width(ours: Summary) -> float:
    """Half-width of the 95 % Student's t interval of our mean. Raises ValueError for a single run."""
    return student(ours.n - 1) * _spread(ours) / math.sqrt(ours.n)


def welch(ours: Summary, std: float, n: int) -> float:
    """Half-width of the 95 % interval of the difference from a mean of `n` runs with deviation `std` (Welch 1947).

    Raises ValueError for a single run of ours.
    """
    first, second = _spread(ours) ** 2 / ours.n, std**2 / n
    if first + second == 0:
        return 0.0
    freedom = (first + second) ** 2 / (first**2 / (ours.n - 1) + second**2 / (n - 1))
    return student(freedom) * math.sqrt(first + second)


def tolerance(images_per_class: int) -> float:
    """Assumed half-width of the 95 % interval of the paper's mean of three seeds, if it gives no standard deviation.

    The deviation is assumed to be the pooled one of Table 7 (FRePo's CIFAR-10) at the same images per class, as it
    increases when these decrease (App. B.2). Raises ValueError if Table 7 has no row with so many images per class.
    """
    spreads = [
        row.std for row in published(SPREAD_TABLE) if row.std is not None and row.images_per_class == images_per_class
    ]
    std, freedom = pooled(spreads, PAPER_SEEDS)
    return student(freedom) * std / math.sqrt(PAPER_SEEDS)


def pooled(spreads: Sequence[float], n: int) -> tuple[float, int]:
    """The pooled standard deviation of groups of `n` runs each, and its degrees of freedom.

    Raises ValueError without groups.
    """
    if not spreads:
        raise ValueError("spreads = [], but a pooled deviation needs at least one")
    return math.sqrt(sum(std**2 for std in spreads) / len(spreads)), len(spreads) * (n - 1)


def _spread(ours: Summary) -> float:
    if ours.std is None:
        raise ValueError(f"n = {ours.n}, but a margin needs at least two runs")
    return ours.std


def headline(table: Table) -> str:
    """A sentence with the profile and the number of each verdict; empty if the paper has no number of the study."""
    compared = compare(table)
    if not compared:
        return ""
    verdicts = [each.verdict for each in compared]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in get_args(Verdict))
    shorter = "" if table.study.budget == 1 else f", at {table.study.budget:g} of the paper's epochs"
    return f"Against the paper, profile {table.study.profile}{shorter}: {len(compared)} published numbers, {counts}."


def told(table: Table) -> tuple[Comparison, ...]:
    """The comparisons for which we have a number."""
    return tuple(each for each in compare(table) if each.ours)


def explained(compared: Sequence[Comparison]) -> list[str]:
    """Sentences that explain the verdicts, as far as they occur in `compared`."""
    judged = [each for each in compared if each.margin is not None]
    sentences = []
    if judged:
        sentences += [
            "Reproduced: the difference is within the margin behind its ±, which seeds and rounding alone may make "
            "(Student's t, 95 %); above and below: beyond it. A wide margin proves little, and of numbers that are "
            "as the paper's one in 20 falls outside."
        ]
    if any(each.paper.std is not None for each in judged):
        sentences.append(f"Where the paper gives its spread over {PAPER_SEEDS} seeds, the margin has both (Welch).")
    sizes = sorted({each.paper.images_per_class for each in judged if each.paper.std is None})
    if sizes:
        assumed = ", ".join(f"{tolerance(size):.1f} at {size}" for size in sizes)
        sentences.append(
            "Where the paper gives no spread, the margin is ours plus a tolerance that we assume, from the pooled "
            f"deviation of Table {SPREAD_TABLE}, by images per class: {assumed}."
        )
    if any(each.verdict == "too few seeds" for each in compared):
        sentences.append(f"Below {FEWEST} finished seeds there is no verdict.")
    return sentences


def in_words(each: Comparison) -> tuple[str, ...]:
    """The texts under COLUMNS: `66.0 ± 0.4`, `66.2 ± 0.5`, `-0.2 ± 1.1`, `reproduced`."""
    ours = number(each.ours) if each.ours else ""
    theirs = paper(each.paper)[0].removeprefix("paper ")
    apart = "" if each.difference is None else f"{each.difference:+z.1f}"
    within = "" if each.margin is None else f" ± {each.margin:.1f}"
    return (ours, theirs, f"{apart}{within}", each.verdict)


def labelled(table: Table, compared: Sequence[Comparison]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings and rows of a table of `compared`, as texts."""
    heads = (*map(title, table.axes), "Arm", "Network", *COLUMNS)
    return heads, [(*each.choices, each.arm, each.network, *in_words(each)) for each in compared]


def against(table: Table) -> Sheet:
    """The comparisons for which we have a number, as a sheet."""
    compared = told(table)
    counted = ("Ours", "n", "Paper", "Paper std", "Difference", "Margin")
    rows = (
        (
            *map(words, (*each.choices, each.arm, each.network)),
            figure(each.ours.mean if each.ours else None, 1),
            figure(each.ours.n if each.ours else None),
            figure(each.paper.accuracy, 1),
            figure(each.paper.std, 1),
            figure(each.difference, 1),
            figure(each.margin, 1),
            words(each.verdict),
        )
        for each in compared
    )
    return sheet(
        "against-the-paper",
        "Against the paper",
        (*map(title, table.axes), "Arm", "Network", *counted, "Verdict"),
        rows,
        numeric=counted,
        labels=len(table.axes) + 2,
        note=" ".join(explained(compared)),
    )
