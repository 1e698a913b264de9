"""Converts spaces and points to Optuna's distributions and finished trials."""

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from crossarch.search_spaces.space import Point, Space


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Optuna distributions of the searched domains, by name; logarithmic ones without a step, as Optuna requires."""
    return {
        each.name: FloatDistribution(each.low, each.high, log=each.log, step=None if each.log else each.step)
        for each in space.searched
    }


def as_trial(space: Space, point: Point, value: float) -> FrozenTrial:
    """Finished Optuna trial at `point` with accuracy `value` in %."""
    params = {domain.name: float(point[domain.name]) for domain in space.searched}
    return create_trial(params=params, distributions=distributions(space), value=value)
