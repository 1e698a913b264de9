"""The answers of a sweep as sheets, for the page, its files and the terminal."""

from collections.abc import Iterable, Iterator, Sequence

from crossarch.platform.report.sheets import Entry, Sheet, figure, sheet, words
from crossarch.platform.report.stats import FEWEST, Equivalence, Estimate, mean
from crossarch.platform.report.sweep.answers import Plateau, answer, orders, plateau, score
from crossarch.platform.report.sweep.importance import FEWEST_POINTS, importances
from crossarch.platform.report.sweep.surface import Surface
from crossarch.search_spaces.sweep import Alike

FEW = f"Fewer than {FEWEST} seeds give no interval by resampling."
"""The sentence for sheets without such intervals."""


def answers(found: Sequence[Surface]) -> tuple[Sheet, ...]:
    """The sheets that have rows, the shortest answers first; empty if only the default has results."""
    if not any(len(each.points) > 1 for each in found):
        return ()
    made = (scores(found), claims(found), plateaus(found), weights(found), ranks(found), points(found))
    return tuple(each for each in made if each.rows)


def interval(estimate: Estimate | None, digits: int = 1) -> Entry:
    """`92.1 (91.0 to 93.2)`; `92.1` without an interval; empty for None."""
    if estimate is None:
        return Entry()
    text = f"{estimate.value:z.{digits}f}"
    if estimate.low is not None and estimate.high is not None:
        text += f" ({estimate.low:z.{digits}f} to {estimate.high:z.{digits}f})"
    return Entry((text,), estimate.value)


def note(found: Iterable[Surface], *sentences: str) -> str:
    """The sentences, followed by FEW if a surface has fewer than FEWEST seeds."""
    parts = list(sentences)
    if any(len(surface.seeds) < FEWEST for surface in found):
        parts.append(FEW)
    return " ".join(parts)


def scores(found: Sequence[Surface]) -> Sheet:
    """The robustness score of each network."""
    scored = ((surface, score(surface)) for surface in found)
    known = [(surface, result) for surface, result in scored if result is not None]
    return sheet(
        "robustness-score",
        "Robustness score",
        ("Network", "Default", "Points", "n", "Mean drop", "Worst drop", "Worst at", "Share above the CNN baseline"),
        (
            (
                words(surface.network),
                interval(mean(surface.values[0].tolist())),
                figure(result.points),
                figure(len(surface.seeds)),
                interval(result.mean_drop),
                interval(result.worst_drop),
                words(result.worst_at),
                interval(result.share_above, 2),
            )
            for surface, result in known
        ),
        numeric=("Default", "Points", "n", "Mean drop", "Worst drop", "Share above the CNN baseline"),
        note=note(
            found,
            "Default in %; drops in points below it, over all other points; in brackets intervals of 95 % over seeds.",
            "A worst drop is a maximum of noisy means, and so a little too large.",
            *(
                f"{each.network}: points left out, as they lack a result: {each.left_out}."
                for each in found
                if each.left_out
            ),
            *(
                f"{each.network}: points stopped early for low validation accuracy: {each.stopped}, so that what is "
                "said here of the rest flatters the method."
                for each in found
                if each.stopped
            ),
        ),
    )


def claims(found: Sequence[Surface]) -> Sheet:
    """The tests of the published statements, by statement and network."""
    sweep = found[0].sweep
    tested = ((surface, answer(surface, alike, sweep.margin)) for surface in found for alike in sweep.alike)
    known = [(surface, result) for surface, result in tested if result is not None]
    symbols = {domain.name: domain.symbol for domain in sweep.space.domains}
    return sheet(
        "robustness-claims",
        "Does it make no difference, as the paper says?",
        ("Statement", "Network", "Values tried", "n", "Largest difference", "p", "Verdict"),
        (
            (
                words(_statement(result.alike, symbols[result.alike.domain])),
                words(surface.network),
                words(", ".join(f"{value:g}" for value in result.tried)),
                figure(result.test.largest.n),
                interval(result.test.largest),
                figure(result.test.p, 3),
                words(verdict(result.test)),
            )
            for surface, result in known
        ),
        numeric=("n", "Largest difference", "p"),
        labels=2,
        note=(
            f"Paired tests of equivalence with the default (TOST) within ±{sweep.margin:g} points, at 5 % over all "
            "values together; largest difference in points, with its interval of 90 %. Seeds needed: for a power of "
            "80 %, were differences and spreads as seen; more than 1,000 where the difference is near the margin or "
            "beyond it."
        ),
    )


def _statement(alike: Alike, symbol: str) -> str:
    return f"{symbol} in [{alike.low:g}, {alike.high:g}], {alike.source}"


def verdict(test: Equivalence) -> str:
    """`equivalent`, `different`, or `undecided` with the number of seeds needed."""
    if test.verdict != "undecided":
        return test.verdict
    if test.p is None:
        return "undecided: one seed tells nothing of the spread"
    if test.needed is None:
        return "undecided: more than 1,000 seeds needed"
    return f"undecided: about {test.needed} seeds needed"


def plateaus(found: Sequence[Surface]) -> Sheet:
    """The plateau around each default, by hyperparameter and network."""
    sweep = found[0].sweep
    tried = ((surface, plateau(surface, domain, sweep.margin)) for domain in sweep.space.domains for surface in found)
    made = [(surface, flat) for surface, flat in tried if flat is not None]
    return sheet(
        "robustness-plateaus",
        "Plateaus round the defaults",
        ("Hyperparameter", "Network", "Default", "Best value tried", "From", "To", "Tried"),
        (
            (
                words(f"{flat.domain.symbol}, {flat.domain.meaning}"),
                words(each.network),
                figure(flat.domain.default),
                figure(flat.best),
                *_edges(flat),
                words(f"{flat.tried[0]:g} to {flat.tried[-1]:g}, {len(flat.tried)} values"),
            )
            for each, flat in made
        ),
        numeric=("Default", "Best value tried", "From", "To"),
        labels=2,
        note=note(
            found,
            f"The tried values round the default whose mean test accuracy is within {sweep.margin:g} points of the",
            "best, – where the default's is not. ≤ and ≥: it reaches the end of what was tried.",
            "The best of noisy means is too high, so that with few seeds a plateau comes out too narrow.",
        ),
    )


def _edges(flat: Plateau) -> tuple[Entry, Entry]:
    if flat.low is None or flat.high is None:
        return Entry(("–",)), Entry(("–",))
    low, high = _edge(flat.low), _edge(flat.high)
    below, above = flat.ends
    return (
        low if below else Entry((f"≤ {low.text}",), low.value),
        high if above else Entry((f"≥ {high.text}",), high.value),
    )


def _edge(value: Estimate) -> Entry:
    return Entry((f"{value.value:g}",), value.value) if value.low is None else interval(value, 2)


def weights(found: Sequence[Surface]) -> Sheet:
    """The importances of the hyperparameters; no rows for slices."""
    made = [(each, weight) for each in found for weight in importances(each)]
    return sheet(
        "robustness-importances",
        "Which hyperparameters matter",
        ("Network", "Hyperparameter", "fANOVA", "PED-ANOVA"),
        (
            (
                words(each.network),
                words(f"{weight.domain.symbol}, {weight.domain.meaning}"),
                interval(weight.fanova, 2),
                interval(weight.ped_anova, 2),
            )
            for each, weight in made
        ),
        numeric=("fANOVA", "PED-ANOVA"),
        labels=2,
        note=note(
            found,
            "Shares that sum to 1, by Optuna. fANOVA: of the variance over the space, by a random forest. PED-ANOVA:",
            f"of what sets the best tenth of the points apart. From {FEWEST_POINTS} points on.",
        ),
    )


def ranks(found: Sequence[Surface]) -> Sheet:
    """The order of the networks at each point."""
    rows = orders(found)
    networks = [each.network for each in found]
    same = sum(row[2] == rows[0][2] for row in rows[1:])
    return sheet(
        "robustness-ranks",
        "Order of the networks",
        ("Point", *networks, *(f"Rank of {network}" for network in networks)),
        ((words(name), *(figure(value, 1) for value in means), *map(figure, here)) for name, means, here in rows),
        numeric=(*networks, *(f"Rank of {network}" for network in networks)),
        note=f"Mean accuracy in %; rank 1 is the best. {same} of {len(rows) - 1} points have the default's order."
        if len(rows) > 1
        else "",
    )


def points(found: Sequence[Surface]) -> Sheet:
    """Every point with its values, its accuracy and its drop below the default."""
    names = [domain.symbol for domain in found[0].space.domains]
    return sheet(
        "robustness-points",
        "Every point",
        ("Network", "Point", *names, "n", "Accuracy", "Drop"),
        (row for each in found for row in _points(each)),
        numeric=(*names, "n", "Accuracy", "Drop"),
        labels=2,
        note="Test accuracy in %, drop in points below the default, paired over seeds; Student's intervals of 95 %.",
    )


def _points(surface: Surface) -> Iterator[tuple[Entry, ...]]:
    for place, (name, point) in enumerate(zip(surface.names, surface.points, strict=True)):
        yield (
            words(surface.network),
            words(name),
            *(figure(point[domain.name]) for domain in surface.space.domains),
            figure(len(surface.seeds)),
            interval(mean(surface.values[place].tolist())),
            interval(mean(surface.drops()[place].tolist())) if place else Entry(),
        )
