"""The learning rate against the notes' table of Eq. 3, and the baseline's cosine."""

import pytest
from settings import make

from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.methods.schedules import cosine, keep_rate, learning_rate

MAXIMUM = 5e-5

TABLE = {
    0: 0.0,
    25: 0.5,
    50: 1.0,
    51: 0.999997,
    499: 0.542937,
    500: 0.0,
    501: 0.016,
    550: 0.8,
    999: 0.43435,
    1000: 0.0,
    2999: 0.17791,
    3000: 0.0,
    3049: 0.256901,
    3050: 0.262144,
    3999: 7.2e-7,
}
"""The notes' table of lr / lr_max by epoch, profile `paper`, N = 4000, to the digits printed there."""


def paper(factor: int = 1) -> RunConfig:
    """The paper's schedule with every epoch constant divided by `factor`."""
    return make("resnet18", "batch", "full").replace(
        {
            "epochs": 4000 // factor,
            "phases": {"warmup": 500 // factor, "period": 500 // factor, "stabilization": 3000 // factor},
            "keep_rate": {"minimum": 0.5, "final": 0.8, "decay": 0.1},
            "learning_rate.maximum": MAXIMUM,
            "learning_rate.warmup": 50 // factor,
            "learning_rate.cosine_period": 1000 // factor,
        }
    )


@pytest.mark.parametrize(("epoch", "expected"), TABLE.items())
def test_is_the_notes_table(epoch: int, expected: float) -> None:
    digits = 5e-7 if expected > 1e-6 else 5e-9

    assert learning_rate(epoch, paper()) / MAXIMUM == pytest.approx(expected, abs=digits, rel=0)


def test_begins_again_exactly_where_the_keep_rate_changes() -> None:
    config = paper()
    zeros = [epoch for epoch in range(4000) if learning_rate(epoch, config) == 0]
    rates = [keep_rate(epoch, config.keep_rate, config.phases) for epoch in range(4000)]
    changes = [epoch for epoch in range(1, 4000) if rates[epoch] != rates[epoch - 1]]

    assert zeros == [0, *changes]


def test_begins_again_at_the_final_phase_also_where_that_cuts_a_period_short() -> None:
    config = paper(50).replace({"phases.stabilization": 63, "epochs": 80})  # periods of 10 epochs

    assert learning_rate(62, config) > 0
    assert learning_rate(63, config) == 0
    assert learning_rate(64, config) == pytest.approx(MAXIMUM * 0.8**6)


@pytest.mark.parametrize("factor", [5, 10, 50])
def test_a_scaled_down_schedule_keeps_its_shape(factor: int) -> None:
    large, small = paper(), paper(factor)

    for epoch in range(4000 // factor):
        assert learning_rate(epoch, small) == pytest.approx(learning_rate(epoch * factor, large), rel=1e-9, abs=1e-18)


@pytest.mark.parametrize("period", range(6))
def test_each_peak_is_lambda_times_the_one_before(period: int) -> None:
    config = paper()
    rates = [learning_rate(epoch, config) for epoch in range(500 * period, 500 * (period + 1))]

    assert max(rates) == rates[50] == pytest.approx(MAXIMUM * 0.8**period)


def test_final_phase_is_one_whole_period_with_the_last_peak_of_lambda_to_the_sixth() -> None:
    config = paper()
    rates = [learning_rate(epoch, config) for epoch in range(3000, 4000)]

    assert max(rates) == rates[50] == pytest.approx(MAXIMUM * 0.8**6)
    assert rates[50:] == sorted(rates[50:], reverse=True)


@pytest.mark.parametrize("epochs", [2, 8, 1000])
def test_cosine_is_one_half_nothing_at_start_middle_and_end(epochs: int) -> None:
    assert cosine(0, epochs) == 1
    assert cosine(epochs // 2, epochs) == pytest.approx(0.5)
    assert cosine(epochs, epochs) == pytest.approx(0, abs=1e-15)


def test_baseline_follows_the_cosine_over_its_own_epochs() -> None:
    config = make("convnet", "batch", "baseline").replace({"epochs": 1000, "learning_rate.maximum": 5e-4})

    for epoch in (0, 1, 250, 500, 999):
        assert learning_rate(epoch, config) == pytest.approx(5e-4 * cosine(epoch, 1000))
    assert learning_rate(250, config) == pytest.approx(5e-4 * (2 + 2**0.5) / 4)


def test_drop_path_may_go_with_the_cosine() -> None:
    """Table 4's ablation: phases are there for the keep rate, and the learning rate does not heed them."""
    cosine_rate = {"schedule": "cosine", "maximum": 5e-4}
    config = make("resnet18", "batch", "full").replace({"learning_rate": cosine_rate})

    assert learning_rate(config.epochs // 2, config) == pytest.approx(2.5e-4)
