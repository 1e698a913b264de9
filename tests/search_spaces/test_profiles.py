"""Both readings of the paper: every row of the notes' table in which they differ, as settings of the runs."""

import pytest

from crossarch.platform.validation import validate
from crossarch.search_spaces.recipes import PAPER, TABLE_1, released_code
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import BatchNorm, ChannelGroupNorm, GroupNorm, InstanceNorm
from crossarch.trainables.methods.schedules import keep_rate, learning_rate

NORMS = ("batch", "instance", "group")
ARMS = tuple(arm.name for arm in TABLE_1)
DROPPING = ("without_kd", "full")
DISTILLING = ("without_dp", "full", "full_keep_rate_1")
LONG = (*DROPPING, "full_keep_rate_1")
"""Arms of the released code that are trained for 4000 epochs."""
RESIDUAL = ("ResNet18", "ResNet50")


@pytest.fixture(scope="module")
def paper(table):
    """Configurations of the profile `paper` by norm, arm and network."""
    return by_place(table, dict.fromkeys(NORMS, PAPER.arms))


@pytest.fixture(scope="module")
def released(table):
    """Configurations of the profile `released_code` by norm, arm and network."""
    return by_place(table, {norm: released_code(norm).arms for norm in NORMS})


def by_place(table, arms):
    return {
        (norm, plan.arm, plan.cell[0]): plan.config
        for norm in NORMS
        for plan in table(arms=arms[norm], norm=norm).expand((0,))
    }


def test_paper_is_table_1_and_reports_the_final_epoch():
    assert (PAPER.name, PAPER.arms, PAPER.metric) == ("paper", TABLE_1, "test_accuracy")


@pytest.mark.parametrize("norm", NORMS)
def test_released_code_has_a_sixth_arm_and_reports_the_best_epoch(norm):
    profile = released_code(norm)
    assert [arm.name for arm in profile.arms] == [*ARMS, "full_keep_rate_1"]
    assert [profile[name].label for name in ARMS] == [arm.label for arm in TABLE_1]
    assert (profile.name, profile.metric) == ("released_code", "best_test_accuracy")
    with pytest.raises(KeyError):
        profile["fuller"]


def test_every_run_of_both_profiles_is_allowed_for_every_network(paper, released):
    assert len(paper) == 3 * (4 * 5 + 2)
    assert len(released) == 3 * (4 * 6 + 2)
    for config in (*paper.values(), *released.values()):
        assert validate(config.to_dict()) == config


def test_profiles_share_no_run(paper, released):
    assert not {run_id(config) for config in paper.values()} & {run_id(config) for config in released.values()}


def test_keep_rate_falls_as_in_the_paper_but_for_the_released_codes_resnet50(paper, released):
    falling = [0.9, 0.8, 0.7, 0.6, 0.5]
    for profile in (paper, released):
        for (_, arm, network), config in profile.items():
            if arm not in DROPPING:
                assert config.keep_rate is None
                continue
            steep = profile is released and network == "ResNet50"
            rates = [keep_rate(epoch, config.keep_rate, config.phases) for epoch in range(500, 3000, 500)]
            assert rates == pytest.approx([0.87, 0.74, 0.61, 0.48, 0.35] if steep else falling)
            assert (config.keep_rate.decay, config.keep_rate.minimum) == ((0.13, 0.35) if steep else (0.1, 0.5))
            assert keep_rate(3999, config.keep_rate, config.phases) == 0.8
            assert config.phases.warmup == 500


def test_the_sixth_arm_is_full_with_nothing_dropped(released):
    for (norm, arm, network), config in released.items():
        if arm == "full_keep_rate_1":
            full = released[norm, "full", network]
            assert config.keep_rate is None
            assert (config.data, config.kd, config.seed) == (full.data, full.kd, full.seed)
            assert full.replace({"keep_rate": None}) == config


def test_learning_rate_warms_up_longer_and_keeps_its_peaks_in_the_released_code(paper, released):
    for (_, arm, _), config in paper.items():
        if arm != "baseline":
            rate = config.learning_rate
            assert (rate.schedule, rate.warmup, rate.decay, rate.granularity) == ("periodic", 50, 0.8, "epoch")
            assert (config.epochs, rate.cosine_period) == (4000, 1000)
    for (_, arm, _), config in released.items():
        rate = config.learning_rate
        if arm in LONG:
            assert (rate.schedule, rate.warmup, rate.decay, rate.granularity) == ("periodic", 100, 1, "step")
            assert (config.epochs, rate.cosine_period) == (4000, 1000)
            assert {learning_rate(start + 100, config) for start in range(0, 3000, 500)} == {5e-5}
            assert learning_rate(0, config, 0.5) == pytest.approx(5e-5 * 0.5 / 100)


def test_arms_of_the_released_code_without_drop_path_have_one_cosine_with_a_tenth_of_warm_up(released):
    for (_, arm, _), config in released.items():
        if arm in ("without_dp_kd", "without_dp"):
            rate = config.learning_rate
            assert (rate.schedule, rate.warmup, rate.granularity, config.epochs) == ("cosine", 100, "step", 1000)
            assert config.phases is None
            assert [learning_rate(epoch, config) for epoch in (0, 50, 100, 550)] == pytest.approx(
                [0, 2.5e-5, 5e-5, 2.5e-5]
            )


def test_the_released_codes_baseline_falls_once_by_ten_at_epoch_500(paper, released):
    for (norm, arm, network), config in released.items():
        if arm == "baseline":
            assert [learning_rate(epoch, config) for epoch in (0, 499, 500, 999)] == [5e-4, 5e-4, 5e-5, 5e-5]
            other = paper[norm, arm, network]
            assert other.learning_rate.schedule == "cosine"
            assert learning_rate(500, other) == pytest.approx(2.5e-4)
            assert (config.optimizer, config.augmentation, config.epochs) == (
                other.optimizer,
                other.augmentation,
                1000,
            )


def test_shortcuts_are_improved_in_every_arm_of_the_released_code(paper, released):
    for (_, arm, network), config in paper.items():
        if network in RESIDUAL:
            assert config.model.shortcut == ("improved" if arm in DROPPING else "original")
    assert {config.model.shortcut for (_, _, network), config in released.items() if network in RESIDUAL} == {
        "improved"
    }


def test_teachers_are_the_cnn_without_dp_kd_final_in_the_paper_and_best_in_the_released_code(paper, released):
    for profile, weights in ((paper, "final"), (released, "best")):
        for (norm, arm, _), config in profile.items():
            assert (config.kd is not None) == (arm in DISTILLING)
            if config.kd is not None:
                assert config.kd.teacher_weights == weights
                assert config.kd.teacher == profile[norm, "without_dp_kd", "ConvNet"]
                assert config.kd.teacher.model.channels == (128, 256, 512)  # FRePo's


def test_the_released_code_tests_41_or_11_times(paper, released):
    assert {config.test_evaluations for config in paper.values()} == {1}
    for (_, arm, _), config in released.items():
        assert config.test_evaluations == (41 if arm in LONG else 11)


def test_only_instance_norm_alexnets_with_drop_path_begin_with_batch_norm(paper, released):
    assert {config.model.first_norm for config in paper.values()} == {None}
    for (norm, arm, network), config in released.items():
        begins = norm == "instance" and network == "AlexNet" and arm in LONG
        assert config.model.first_norm == (BatchNorm() if begins else None)


def test_convolutions_have_a_bias_in_the_released_code_alone(paper, released):
    assert {config.model.conv_bias for config in paper.values()} == {False}
    assert {config.model.conv_bias for config in released.values()} == {True}


def test_group_norm_has_4_groups_or_groups_of_16_channels(paper, released):
    plain = {"batch": BatchNorm(), "instance": InstanceNorm()}
    for profile, group in ((paper, GroupNorm(groups=4)), (released, ChannelGroupNorm(channels_per_group=16))):
        for (norm, _, _), config in profile.items():
            assert config.model.norm == (plain | {"group": group})[norm]
