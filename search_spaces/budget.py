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
    rate = config.learning_rate
    if config.phases is None:
        changes = {"epochs": max(2 if rate.warmup else 1, round(config.epochs * budget))}
        for name in ("warmup", "milestone"):
            epochs = getattr(rate, name)
            if epochs is not None:
                changes[f"learning_rate.{name}"] = max(1, round(epochs * changes["epochs"] / config.epochs))
        return config.replace(changes)
    old = config.phases.period
    period = max(1, round(old * budget))

    def scaled(epochs: int) -> int:
        return round(epochs * period / old)

    changes = {
        "phases.period": period,
        "phases.warmup": scaled(config.phases.warmup),
        "phases.stabilization": scaled(config.phases.stabilization),
        "epochs": scaled(config.epochs),
    }
    if rate.warmup is not None:
        changes["learning_rate.warmup"] = max(1, scaled(rate.warmup))
    if rate.milestone is not None:
        changes["learning_rate.milestone"] = max(1, scaled(rate.milestone))
    if rate.cosine_period is not None:
        changes["learning_rate.cosine_period"] = max(2, scaled(rate.cosine_period))
    return config.replace(changes)
