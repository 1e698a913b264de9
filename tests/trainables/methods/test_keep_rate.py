"""The three-phase keep rate against the notes' table of Algorithm 1."""

import pytest

from crossarch.trainables.config.run import KeepRateConfig, PhasesConfig
from crossarch.trainables.methods.schedules import keep_rate

PAPER = PhasesConfig(warmup=500, period=500, stabilization=3000)
RATES = KeepRateConfig(minimum=0.5, final=0.8, decay=0.1)

TABLE = {
    0: 1.0,
    25: 1.0,
    50: 1.0,
    51: 1.0,
    499: 1.0,
    500: 0.9,
    501: 0.9,
    550: 0.9,
    999: 0.9,
    1000: 0.8,
    2999: 0.5,
    3000: 0.8,
    3049: 0.8,
    3050: 0.8,
    3999: 0.8,
}
"""The notes' table of p by epoch, profile `paper`, N = 4000."""


@pytest.mark.parametrize(("epoch", "expected"), TABLE.items())
def test_is_the_notes_table(epoch: int, expected: float) -> None:
    assert keep_rate(epoch, RATES, PAPER) == pytest.approx(expected, abs=1e-12)


def test_every_epoch_lies_in_its_plateau() -> None:
    plateaus = [1.0] * 500 + [rate for rate in (0.9, 0.8, 0.7, 0.6, 0.5) for _ in range(500)] + [0.8] * 1000

    assert [keep_rate(epoch, RATES, PAPER) for epoch in range(4000)] == pytest.approx(plateaus, abs=1e-12)


@pytest.mark.parametrize(("warmup", "period", "stabilization"), [(50, 50, 300), (5, 5, 30), (1, 1, 6), (3, 7, 20)])
def test_changes_exactly_at_the_edges_of_the_phases(warmup: int, period: int, stabilization: int) -> None:
    phases = PhasesConfig(warmup=warmup, period=period, stabilization=stabilization)

    assert keep_rate(warmup - 1, RATES, phases) == 1.0
    assert keep_rate(warmup, RATES, phases) == pytest.approx(0.9)
    assert keep_rate(warmup + period - 1, RATES, phases) == pytest.approx(0.9)
    assert keep_rate(warmup + period, RATES, phases) == pytest.approx(0.8)
    last = max(0.5, 1 - 0.1 * ((stabilization - 1 - warmup) // period + 1))
    assert keep_rate(stabilization - 1, RATES, phases) == pytest.approx(last)
    assert keep_rate(stabilization, RATES, phases) == 0.8


@pytest.mark.parametrize("factor", [10, 100, 500])
def test_a_scaled_down_schedule_keeps_its_shape(factor: int) -> None:
    small = PhasesConfig(warmup=500 // factor, period=500 // factor, stabilization=3000 // factor)

    for epoch in range(4000 // factor):
        assert keep_rate(epoch, RATES, small) == keep_rate(epoch * factor, RATES, PAPER)


def test_never_falls_below_the_minimum() -> None:
    steep = KeepRateConfig(minimum=0.35, final=0.8, decay=0.3)

    assert min(keep_rate(epoch, steep, PAPER) for epoch in range(4000)) == 0.35


def test_no_warmup_begins_with_the_first_step_down() -> None:
    assert keep_rate(0, RATES, PhasesConfig(warmup=0, period=10, stabilization=60)) == pytest.approx(0.9)


def test_is_one_without_drop_path() -> None:
    assert {keep_rate(epoch, None, PAPER) for epoch in range(4000)} == {1.0}
    assert keep_rate(0, None, None) == 1.0
