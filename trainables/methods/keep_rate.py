"""The three-phase keep rate of DropPath (Alg. 1, Fig. 5)."""

import math

from crossarch.trainables.parts import KeepRateConfig, PhasesConfig


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
