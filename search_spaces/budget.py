"""Shorter trainings of the same shape: one factor on every epoch constant."""

from crossarch.trainables.config import RunConfig


def scale_epochs(config: RunConfig, budget: float) -> RunConfig:
    """`config` with its epoch constants scaled by `budget`, so that its schedules keep their shape.

    The period T is scaled first and rounded to whole epochs, at least one; W, S, N and T_max then keep their
    ratio to T exactly, and T_warm is at least one epoch. A run without phases scales its epochs alone. The
    teacher, a run of its own, is left as it is. Raises ValueError where `budget` is not positive.
    """
    if not budget > 0:
        raise ValueError(f"budget = {budget:g} is outside (0, inf)")
    if config.phases is None:
        return config.replace({"epochs": max(1, round(config.epochs * budget))})
    period = max(1, round(config.phases.period * budget))

    def scaled(epochs: int) -> int:
        return round(epochs * period / config.phases.period) if config.phases else epochs

    changes = {
        "phases.period": period,
        "phases.warmup": scaled(config.phases.warmup),
        "phases.stabilization": scaled(config.phases.stabilization),
        "epochs": scaled(config.epochs),
    }
    rate = config.learning_rate
    if rate.warmup is not None and rate.cosine_period is not None:
        changes["learning_rate.warmup"] = max(1, scaled(rate.warmup))
        changes["learning_rate.cosine_period"] = max(2, scaled(rate.cosine_period))
    return config.replace(changes)
