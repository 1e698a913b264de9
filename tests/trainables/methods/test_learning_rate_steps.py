"""The learning rate within an epoch, and the schedules of the released code: step, and cosine after a linear rise."""

import math
from fractions import Fraction

import pytest
from settings import make

from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.methods.schedules import cosine, learning_rate
from crossarch.trainables.training import loop

PAPER = make("resnet18", "batch", "full").replace(
    {
        "epochs": 4000,
        "phases": {"warmup": 500, "period": 500, "stabilization": 3000},
        "learning_rate": {"schedule": "periodic", "maximum": 5e-5, "decay": 0.8, "warmup": 50, "cosine_period": 1000},
    }
)
PER_STEP = PAPER.replace({"learning_rate.granularity": "step"})

FRACTIONS = (0.0, 0.25, 0.5, 0.9)


def eq3(at: Fraction) -> float:
    """Eq. 3 with the paper's numbers at a real-valued epoch, case by case as printed."""
    if at < 3000:
        k, since = at // 500, at % 500
    else:
        k, since = 6, at - 3000
    if since <= 50:
        return float(Fraction(4, 5) ** int(k) * since / 50)
    return 0.5 * 0.8**k * (1 + math.cos(math.pi * float(since - 50) / (1000 - 50)))


@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.parametrize("epoch", [0, 1, 25, 49, 50, 51, 499, 500, 549, 550, 2999, 3000, 3049, 3050, 3999])
def test_per_step_is_eq_3_at_a_real_valued_epoch(epoch: int, fraction: float) -> None:
    expected = 5e-5 * eq3(epoch + Fraction(fraction))

    assert learning_rate(epoch, PER_STEP, fraction) == pytest.approx(expected, rel=1e-9, abs=1e-20)


@pytest.mark.parametrize(
    "config", [PAPER, make("convnet", "batch", "baseline"), make("convnet", "batch", "sgd")], ids=str
)
def test_as_printed_the_rate_is_the_same_throughout_an_epoch(config: RunConfig) -> None:
    for epoch in (0, 1, 3, 5, 7):
        assert {learning_rate(epoch, config, fraction) for fraction in FRACTIONS} == {learning_rate(epoch, config)}


@pytest.mark.parametrize("first", [0, 500, 1000, 1500, 2000, 2500, 3000])
def test_as_printed_the_first_epoch_of_a_period_learns_nothing_and_per_step_its_first_step_alone(first: int) -> None:
    steps = [index / 10 for index in range(10)]
    peak = 5e-5 * 0.8 ** (first // 500)

    assert {learning_rate(first, PAPER, fraction) for fraction in steps} == {0}
    per_step = [learning_rate(first, PER_STEP, fraction) for fraction in steps]
    assert per_step == pytest.approx([peak * fraction / 50 for fraction in steps], rel=1e-12)
    assert [rate == 0 for rate in per_step] == [True] + [False] * 9


def test_granularities_agree_at_the_first_step_of_every_epoch() -> None:
    for epoch in range(4000):
        assert learning_rate(epoch, PER_STEP) == learning_rate(epoch, PAPER)


@pytest.mark.parametrize("config", [PAPER, PER_STEP], ids=["epoch", "step"])
def test_the_loop_sets_the_rate_of_every_step(config: RunConfig, few: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    short = config.replace(
        {
            "kd": None,
            "epochs": 4,
            "batch_size": 8,  # 20 images: three steps an epoch
            "phases": {"warmup": 2, "period": 2, "stabilization": 6},
            "learning_rate.warmup": 1,
            "learning_rate.cosine_period": 4,
        }
    )
    rates: list[float] = []
    monkeypatch.setattr(loop, "set_learning_rate", lambda optimizer, rate: rates.append(rate))
    loop.train(short, few)

    within = [index / 3 if config is PER_STEP else 0.0 for index in range(3)]
    expected = [
        5e-5 * factor
        for epoch in range(4)
        for factor in (
            0.8 ** (epoch // 2) * (since if since <= 1 else 0.5 * (1 + math.cos(math.pi * (since - 1) / (4 - 1))))
            for since in (epoch % 2 + fraction for fraction in within)
        )
    ]
    assert rates == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("granularity", ["epoch", "step"])
def test_step_falls_once_at_its_milestone(granularity: str) -> None:
    rate = {"schedule": "step", "maximum": 5e-4, "decay": 0.1, "milestone": 500, "granularity": granularity}
    config = make("convnet", "batch", "sgd").replace({"epochs": 1000, "learning_rate": rate})
    rates = [learning_rate(epoch, config, fraction) for epoch in range(1000) for fraction in (0.0, 0.99)]

    assert rates == [5e-4] * 1000 + [5e-4 * 0.1] * 1000


@pytest.mark.parametrize(("warmup", "epochs"), [(100, 1000), (2, 8), (1, 3)])
def test_cosine_rises_in_a_line_and_falls_in_half_a_wave(warmup: int, epochs: int) -> None:
    middle = (warmup + epochs) / 2

    assert [cosine(epoch, epochs, warmup) for epoch in range(warmup)] == [epoch / warmup for epoch in range(warmup)]
    assert cosine(warmup / 2, epochs, warmup) == 0.5
    assert cosine(warmup, epochs, warmup) == 1
    assert cosine(middle, epochs, warmup) == pytest.approx(0.5)
    assert cosine((warmup + middle) / 2, epochs, warmup) == pytest.approx((2 + 2**0.5) / 4)
    assert cosine(epochs, epochs, warmup) == pytest.approx(0, abs=1e-15)
    falling = [cosine(warmup + (epochs - warmup) * index / 50, epochs, warmup) for index in range(51)]
    assert falling == sorted(falling, reverse=True)


def test_cosine_after_a_rise_goes_through_the_config() -> None:
    rate = {"schedule": "cosine", "maximum": 5e-5, "warmup": 100, "granularity": "step"}
    config = make("convnet", "batch", "baseline").replace({"epochs": 1000, "learning_rate": rate})

    for epoch, fraction, expected in ((0, 0.0, 0), (0, 0.5, 0.005), (50, 0.0, 0.5), (100, 0.0, 1), (550, 0.0, 0.5)):
        assert learning_rate(epoch, config, fraction) == pytest.approx(5e-5 * expected)


def test_a_rise_as_long_as_the_run_never_divides_by_nothing() -> None:
    rates = [cosine(epoch, 4, warmup) for warmup in (4, 9) for epoch in range(4)]

    assert rates == [0, 1 / 4, 2 / 4, 3 / 4, 0, 1 / 9, 2 / 9, 3 / 9]
