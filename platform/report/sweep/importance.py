"""Importances and interactions of hyperparameters, from points that vary several at a time."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from scipy.stats import f

from crossarch.platform.report.stats import FEWEST, Estimate, Values
from crossarch.platform.report.sweep.surface import Surface
from crossarch.search_spaces.optuna_space import as_trial
from crossarch.search_spaces.space import Domain

FEWEST_POINTS = 16
"""Minimum number of points; with fewer, importances would be noise."""
RESAMPLES = 20
"""Resamples of an interval. Few, as each fits its own forests, so the intervals are rough."""
TREES = 16
BINS = 4
"""Cells along each side of a heat map of points that are not on a grid."""


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The importance of one hyperparameter, as shares that sum to 1 over the searched hyperparameters."""

    domain: Domain
    fanova: Estimate
    """Share of the variance of mean accuracy over the space, main effects only (Hutter et al. 2014)."""
    ped_anova: Estimate
    """Divergence of the distribution of the best tenth of the points from that of all points (Watanabe et al. 2023)."""


def importances(surface: Surface, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Importance]:
    """The importances for one network, through Optuna, the largest by fANOVA first.

    Empty for slices, in which one hyperparameter varies at a time, and below FEWEST_POINTS points. Intervals are
    bootstrapped over seeds; there are none below FEWEST seeds.
    """
    domains = surface.space.searched
    if not surface.covers or len(surface.points) < FEWEST_POINTS or len(domains) < 2 or not np.ptp(surface.means):
        return []
    n = surface.values.shape[1]
    draws = np.random.default_rng(seed).integers(0, n, (resamples if n >= FEWEST else 0, n))
    whole = _both(surface, surface.means)
    made = [_both(surface, surface.values[:, each].mean(axis=1)) for each in draws]

    def estimate(kind: int, name: str) -> Estimate:
        drawn = [each[kind][name] for each in made]
        low, high = np.quantile(drawn, [0.025, 0.975]).tolist() if drawn else (None, None)
        return Estimate(value=float(whole[kind][name]), low=low, high=high, n=n)

    found = [
        Importance(domain=each, fanova=estimate(0, each.name), ped_anova=estimate(1, each.name)) for each in domains
    ]
    return sorted(found, key=lambda each: -each.fanova.value)


def _both(surface: Surface, means: Values) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """fANOVA and PED-ANOVA through Optuna, by the domain's name."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [as_trial(surface.space, point, value) for point, value in zip(surface.points, means, strict=True)]
    )
    evaluators = (
        optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=0),
        optuna.importance.PedAnovaImportanceEvaluator(),
    )
    names = [domain.name for domain in surface.space.searched]
    first, second = (
        optuna.importance.get_param_importances(study, evaluator=each, params=names) for each in evaluators
    )
    return first, second


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatMap:
    """Mean accuracy over two hyperparameters, averaged over all others."""

    rows: Domain
    columns: Domain
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    means: Values
    """In %, (rows, columns); NaN in cells without a point."""
    counts: Values
    """Number of points in each cell, (rows, columns)."""
    interaction: "Interaction | None"
    """Of a full grid of these two with several seeds; else None."""


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """The interaction of two hyperparameters: analysis of variance of a full grid, with seeds as blocks."""

    share: float
    """Share of the variance between cells that the main effects of rows and columns leave unexplained, in [0, 1]."""
    p: float


def heat_map(surface: Surface, rows: Domain, columns: Domain) -> HeatMap:
    """The heat map of two domains; a domain with more than 8 values is divided into 4 equal parts."""
    row_of, row_labels = _binned([point[rows.name] for point in surface.points], rows)
    column_of, column_labels = _binned([point[columns.name] for point in surface.points], columns)
    counts = np.zeros((len(row_labels), len(column_labels)))
    sums = np.zeros((*counts.shape, surface.values.shape[1]))
    for place, cell in enumerate(zip(row_of, column_of, strict=True)):
        counts[cell] += 1
        sums[cell] += surface.values[place]
    with np.errstate(invalid="ignore"):
        cells = sums / counts[..., None]
    full = bool((counts == 1).all()) and sums.shape[2] > 1
    return HeatMap(
        rows=rows,
        columns=columns,
        row_labels=row_labels,
        column_labels=column_labels,
        means=cells.mean(axis=2),
        counts=counts,
        interaction=interaction(cells) if full else None,
    )


def _binned(values: Sequence[float], domain: Domain) -> tuple[list[int], tuple[str, ...]]:
    """The index of each value's cell, and the cells' labels."""
    unique = sorted(set(values))
    if len(unique) <= 2 * BINS:
        return [unique.index(value) for value in values], tuple(f"{value:g}" for value in unique)
    space = np.geomspace if domain.log else np.linspace
    edges = space(domain.low, domain.high, BINS + 1)
    cells = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1).tolist()
    return cells, tuple(f"{low:.3g} to {high:.3g}" for low, high in itertools.pairwise(edges))


def interaction(cells: Values) -> Interaction | None:
    """The interaction in accuracies in %, (rows, columns, seeds); None if a side has length 1 or all are equal."""
    rows, columns, n = cells.shape
    if min(rows, columns, n) < 2:
        return None
    means = cells.mean(axis=2)
    centre = means.mean()
    left = means - means.mean(axis=1, keepdims=True) - means.mean(axis=0, keepdims=True) + centre
    noise = cells - means[..., None] - cells.mean(axis=(0, 1)) + centre
    between, within = n * float((left**2).sum()), float((noise**2).sum())
    total = n * float(((means - centre) ** 2).sum())
    if not total or not within:
        return None
    freedom = ((rows - 1) * (columns - 1), (rows * columns - 1) * (n - 1))
    p = float(f.sf(between / freedom[0] / (within / freedom[1]), *freedom))
    return Interaction(share=between / total, p=p)
