"""Keep rate (Alg. 1, Fig. 5) and learning rate (Eq. 3, Fig. 6) as stateless functions of the epoch."""

import math

from crossarch.trainables.config.run import (
    CosineRate,
    KeepRateConfig,
    LearningRateConfig,
    PeriodicRate,
    PhasesConfig,
    RunConfig,
    StepRate,
)


def keep_rate(epoch: int, config: KeepRateConfig | None, phases: PhasesConfig | None) -> float:
    """The keep rate p of `epoch` (from 0); 1 without DropPath.

    Algorithm 1, lines 1-7: p = 1 before W; then max(p_min, 1 - gamma * ceil((i - W) / T)) before S, where ceil is
    "the smallest integer bigger than the input", that is floor + 1; then p_final.
    """
    if config is None or phases is None or epoch < phases.warmup:
        return 1.0
    if epoch >= phases.stabilization:
        return config.final
    steps = math.floor((epoch - phases.warmup) / phases.period) + 1
    return max(config.minimum, 1.0 - config.decay * steps)


def learning_rate(epoch: int, config: RunConfig, fraction: float = 0.0) -> float:
    """The learning rate in `epoch` (from 0), `fraction` of which is done; that counts with granularity `step` only."""
    rate = config.learning_rate
    at = epoch + fraction if rate.granularity == "step" else epoch
    return rate.maximum * factor(at, rate, config.phases, config.epochs)


def factor(at: float, rate: LearningRateConfig, phases: PhasesConfig | None, epochs: int) -> float:
    """The learning rate over lr_max at epoch `at`, a whole number or, within an epoch, a real one.

    Raises ValueError for the periodical rate without phases.
    """
    match rate:
        case PeriodicRate():
            if phases is None:
                raise ValueError("phases = None, but the periodical learning rate needs them")
            return periodic(at, phases, rate.decay, rate.warmup, rate.cosine_period)
        case CosineRate():
            return cosine(at, epochs, rate.warmup)
        case StepRate():
            return 1.0 if at < rate.milestone else rate.decay


def cosine(at: float, epochs: int, warmup: int = 0) -> float:
    """One half cosine from 1 to 0 over `epochs` (the baseline's, notes), after a linear rise if there is one."""
    if at < warmup:
        return at / warmup
    return 0.5 * (1 + math.cos(math.pi * (at - warmup) / (epochs - warmup)))


def periodic(at: float, phases: PhasesConfig, decay: float, warmup: int, cosine_period: int) -> float:
    """Eq. 3 over lr_max: a linear rise and a cosine that begin again whenever the keep rate changes.

    `decay` is lambda, `warmup` T_warm and `cosine_period` T_max, in epochs. As printed: the first epoch of every
    period has a rate of 0.
    """
    since_reset = at % (phases.period if at < phases.stabilization else phases.stabilization)
    lowered = decay ** math.floor(min(at, phases.stabilization) / phases.period)
    if since_reset <= warmup:
        return lowered * since_reset / warmup
    return 0.5 * lowered * (1 + math.cos(math.pi * (since_reset - warmup) / (cosine_period - warmup)))
