"""Shorter trainings keep the shape that the notes give the schedules."""

import pytest

from crossarch.search_spaces.quickstart import BASE, QUICKSTART
from crossarch.search_spaces.recipes import BASELINE, FULL, NO_PERIODICAL_RATE, TABLE_1, released_code
from crossarch.search_spaces.study import scale_epochs
from crossarch.trainables.config.layers import merge_layers
from crossarch.trainables.config.run import from_dict
from crossarch.trainables.methods.schedules import keep_rate, learning_rate

BUDGETS = [
    1e-6,
    0.0019,
    0.002,
    0.003,
    0.0031,
    1 / 300,
    0.01,
    0.013,
    0.04,
    0.05,
    1 / 7,
    0.2,
    1 / 3,
    0.5,
    0.999,
    1,
    1.5,
    2,
]
BUDGETS += [step / 97 for step in range(1, 98, 6)]


def paper(arm):
    """ResNet18 in an arm at the paper's epochs, without its teacher."""
    own = {name: value for name, value in arm.changes.items() if not name.startswith("kd")}
    network = {"model.architecture": "resnet18", "model.shortcut": "improved"}
    return from_dict(merge_layers(network, BASE, own))


@pytest.mark.parametrize("budget", BUDGETS)
def test_phases_keep_their_ratios_and_the_notes_shape(budget):
    config = scale_epochs(paper(FULL), budget)
    phases, rate = config.phases, config.learning_rate
    assert phases.period == max(1, round(500 * budget))
    assert phases.warmup == phases.period
    assert phases.stabilization == 6 * phases.period
    assert config.epochs == 8 * phases.period
    assert rate.cosine_period == 2 * phases.period
    # S = W + T (1 - p_min) / gamma and N <= 2 S, as the notes tie the constants.
    decays = round((1 - config.keep_rate.minimum) / config.keep_rate.decay)
    assert phases.stabilization == phases.warmup + phases.period * decays
    assert config.epochs <= 2 * phases.stabilization


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_learning_rate_warms_up_for_at_least_one_epoch(budget):
    rate = scale_epochs(paper(FULL), budget).learning_rate
    assert 1 <= rate.warmup < rate.cosine_period
    assert rate.warmup == max(1, round(rate.cosine_period / 20))


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_baselines_epochs_are_scaled_too(budget):
    assert scale_epochs(paper(BASELINE), budget).epochs == max(1, round(1000 * budget))


RELEASED = released_code("batch")


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_milestone_stays_in_the_middle(budget):
    config = scale_epochs(paper(RELEASED["baseline"]), budget)
    milestone = config.learning_rate.milestone
    assert config.epochs == max(1, round(1000 * budget))
    assert abs(milestone - config.epochs / 2) <= 0.5
    assert learning_rate(milestone - 1, config) == 5e-4
    if config.epochs > 1:
        assert learning_rate(config.epochs - 1, config) == 5e-5


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_cosine_warms_up_for_a_tenth_and_for_one_epoch_at_least(budget):
    config = scale_epochs(paper(RELEASED["without_dp_kd"]), budget)
    warmup = config.learning_rate.warmup
    assert config.epochs == max(2, round(1000 * budget))
    assert 1 <= warmup < config.epochs
    assert abs(warmup - config.epochs / 10) <= (0.5 if config.epochs >= 5 else 1)
    assert learning_rate(0, config) == 0
    assert learning_rate(warmup, config) == 5e-5
    rates = [learning_rate(epoch, config) for epoch in range(warmup, config.epochs)]
    assert rates == sorted(rates, reverse=True)
    assert min(rates) > 0


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_released_codes_periods_keep_their_shape(budget):
    config = scale_epochs(paper(RELEASED["full"]), budget)
    phases, rate = config.phases, config.learning_rate
    assert (phases.warmup, phases.stabilization, config.epochs) == tuple(n * phases.period for n in (1, 6, 8))
    assert rate.cosine_period == 2 * phases.period
    assert rate.warmup == max(1, round(phases.period / 5)) < rate.cosine_period


@pytest.mark.parametrize("budget", BUDGETS)
def test_one_cosine_under_drop_path_ends_with_the_run(budget):
    config = scale_epochs(paper(FULL.changed(NO_PERIODICAL_RATE)), budget)
    assert config.epochs == 8 * config.phases.period
    assert learning_rate(config.epochs // 2, config) == pytest.approx(2.5e-5)


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_keep_rate_goes_through_the_same_values(budget):
    config = scale_epochs(paper(FULL), budget)
    starts = [keep_rate(period * config.phases.period, config.keep_rate, config.phases) for period in range(8)]
    assert starts == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.8, 0.8])


@pytest.mark.parametrize("arm", [*TABLE_1, *RELEASED.arms], ids=lambda arm: arm.name)
def test_nothing_but_epochs_changes(arm):
    config = paper(arm)
    epochs = {
        "epochs": config.epochs,
        "phases": config.to_dict()["phases"],
        "learning_rate": config.to_dict()["learning_rate"],
    }
    assert scale_epochs(config, 0.1) != config
    assert scale_epochs(config, 0.1).replace(epochs) == config
    assert scale_epochs(config, 1) == config


def test_a_period_of_no_round_number_keeps_integer_ratios():
    config = paper(FULL).replace({"phases": {"warmup": 21, "period": 7, "stabilization": 56}, "epochs": 70})
    phases = scale_epochs(config, 0.5).phases
    assert (phases.period, phases.warmup, phases.stabilization) == (4, 12, 32)
    assert scale_epochs(config, 0.5).epochs == 40


def test_the_teacher_is_left_as_it_is():
    config = QUICKSTART.config(FULL, ("ResNet18",), 0)
    assert scale_epochs(config, 0.2).kd == config.kd


@pytest.mark.parametrize("budget", [0, -1, float("nan")])
def test_a_budget_that_is_not_positive_is_refused(budget):
    with pytest.raises(ValueError, match=r"^budget = (0|-1|nan) is outside \(0, inf\)"):
        scale_epochs(paper(BASELINE), budget)
