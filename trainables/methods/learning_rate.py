"""The learning rate over epochs: the periodical one (Eq. 3, Fig. 6) and the baseline's cosine."""

import math

from crossarch.trainables.config import PhasesConfig, RunConfig


def learning_rate(epoch: int, config: RunConfig) -> float:
    """The learning rate during `epoch` (from 0)."""
    rate, phases = config.learning_rate, config.phases
    if phases is None or rate.decay is None or rate.warmup is None or rate.cosine_period is None:
        return rate.maximum * cosine(epoch, config.epochs)
    return rate.maximum * periodic(epoch, phases, rate.decay, rate.warmup, rate.cosine_period)


def cosine(epoch: int, epochs: int) -> float:
    """One half cosine from 1 to 0 over `epochs` (the baseline's, App. C and notes)."""
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def periodic(epoch: int, phases: PhasesConfig, decay: float, warmup: int, cosine_period: int) -> float:
    """Eq. 3 over lr_max: a linear rise and a cosine that begin again whenever the keep rate changes.

    `decay` is lambda, `warmup` T_warm and `cosine_period` T_max, in epochs. As printed: the first epoch of every
    period has a rate of 0.
    """
    since_reset = epoch % (phases.period if epoch < phases.stabilization else phases.stabilization)
    factor = decay ** (min(epoch, phases.stabilization) // phases.period)
    if since_reset <= warmup:
        return factor * since_reset / warmup
    return 0.5 * factor * (1 + math.cos(math.pi * (since_reset - warmup) / (cosine_period - warmup)))
