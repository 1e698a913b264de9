"""The arms are the rows of Table 1, and the ablations are those of Tables 3 and 4 and nothing beside."""

import itertools

import pytest

from crossarch.platform.validation import validate
from crossarch.search_spaces.recipes import (
    BASELINE,
    FULL,
    NO_FINAL_HIGH_KEEP_RATE,
    NO_LION,
    NO_PERIODICAL_RATE,
    NO_STRONGER_AUGMENTATION,
    ORIGINAL_SHORTCUT,
    TABLE_1,
)
from crossarch.trainables.config.layers import merge_layers
from crossarch.trainables.config.run import flatten
from crossarch.trainables.methods.schedules import learning_rate

METHODS = {
    "baseline": (False, False, False),
    "without_dp_kd": (False, False, True),
    "without_dp": (False, True, True),
    "without_kd": (True, False, True),
    "full": (True, True, True),
}
"""Table 1: DP, KD, Misc."""

LABELS = ["Baseline", "w/o DP & KD", "w/o DP", "w/o KD", "Full"]

DEEP = ("ResNet18", "AlexNet", "VGG11", "ResNet50")


@pytest.fixture(scope="module")
def runs(table):
    return {(plan.arm, plan.cell[0], plan.config.seed): plan for plan in table().expand((0, 1))}


def differences(config, other):
    """Settings that two runs do not share, with their values in the second."""
    one, two = dict(flatten(config)), dict(flatten(other))
    return {name: two.get(name) for name in one.keys() | two.keys() if one.get(name) != two.get(name)}


def test_the_rows_are_those_of_table_1_in_its_order():
    assert [arm.name for arm in TABLE_1] == list(METHODS)
    assert [arm.label for arm in TABLE_1] == LABELS


def test_each_arm_has_just_the_methods_of_table_1(runs):
    for (arm, network, _), plan in runs.items():
        config = plan.config
        drop_path, distils, misc = METHODS[arm]
        assert (config.keep_rate is not None, config.kd is not None) == (drop_path, distils)
        rate, optimizer = config.learning_rate.schedule, config.optimizer.name
        assert (rate, optimizer) == (("periodic", "lion") if misc else ("cosine", "adamw"))
        assert config.augmentation.folds == (4 if misc else 1)
        assert config.epochs == (4000 if misc else 1000)
        residual = network.startswith("ResNet")
        shortcut = dict(flatten(config)).get("model.shortcut")
        assert shortcut == (("improved" if drop_path else "original") if residual else None)


def test_methods_have_the_papers_constants(runs):
    for (arm, _, _), plan in runs.items():
        values = dict(flatten(plan.config))
        drop_path, distils, misc = METHODS[arm]
        if misc:
            assert [values[f"phases.{name}"] for name in ("warmup", "period", "stabilization")] == [500, 500, 3000]
            rate = [values[f"learning_rate.{name}"] for name in ("maximum", "decay", "warmup", "cosine_period")]
            assert rate == [5e-5, 0.8, 50, 1000]
            assert [values[f"optimizer.{name}"] for name in ("beta1", "beta2", "weight_decay")] == [0.95, 0.98, 5e-3]
        else:
            assert (values["learning_rate.maximum"], values["optimizer.weight_decay"]) == (5e-4, 5e-4)
        if drop_path:
            assert [values[f"keep_rate.{name}"] for name in ("minimum", "final", "decay")] == [0.5, 0.8, 0.1]
        if distils:
            assert (values["kd.alpha"], values["kd.temperature"]) == (0.5, 1.5)
            assert values["kd.teacher_weights"] == "final"


def test_the_cnn_is_absent_where_drop_path_or_distillation_would_be(runs):
    assert {arm for arm, network, _ in runs if network == "ConvNet"} == {"baseline", "without_dp_kd"}
    for network in DEEP:
        assert {arm for arm, name, _ in runs if name == network} == set(METHODS)


def test_the_teacher_is_the_cnn_of_without_dp_kd_on_the_same_data_and_seed(runs):
    for (arm, _, seed), plan in runs.items():
        if arm not in ("without_dp", "full"):
            assert plan.teacher is None
            continue
        assert plan.teacher == runs["without_dp_kd", "ConvNet", seed]
        assert plan.config.kd.teacher == plan.teacher.config
        assert (plan.teacher.config.data, plan.teacher.config.seed) == (plan.config.data, seed)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (NO_FINAL_HIGH_KEEP_RATE, {"keep_rate.final": 0.5}),
        (ORIGINAL_SHORTCUT, {"model.shortcut": "original"}),
        (
            NO_PERIODICAL_RATE,
            {
                "learning_rate.schedule": "cosine",
                "learning_rate.decay": None,
                "learning_rate.warmup": 0,
                "learning_rate.cosine_period": None,
            },
        ),
        (
            NO_LION,
            {
                "learning_rate.maximum": 5e-4,
                "optimizer.name": "adamw",
                "optimizer.beta1": 0.9,
                "optimizer.beta2": 0.999,
                "optimizer.weight_decay": 5e-4,
            },
        ),
        (NO_STRONGER_AUGMENTATION, {"augmentation.folds": 1}),
    ],
    ids=["final keep rate", "shortcut", "periodical rate", "Lion", "augmentation"],
)
def test_an_ablation_takes_one_thing_from_full(table, changes, expected):
    full = table().config(FULL, ("ResNet18",), 0)
    ablated = table(arms=(FULL.changed(changes),)).config(FULL.changed(changes), ("ResNet18",), 0)

    assert differences(full, ablated) == expected
    assert ablated.kd == full.kd
    assert ablated.epochs == 4000
    validate(ablated.to_dict())


def test_without_the_periodical_rate_one_cosine_goes_over_all_4000_epochs(table):
    config = table().config(FULL.changed(NO_PERIODICAL_RATE), ("ResNet18",), 0)

    assert [learning_rate(epoch, config) / 5e-5 for epoch in (0, 2000)] == pytest.approx([1, 0.5])
    assert 0 < learning_rate(3999, config) < 1e-6 * 5e-5
    assert config.phases is not None  # the keep rate's


@pytest.mark.parametrize(
    "ablations",
    [(NO_FINAL_HIGH_KEEP_RATE, ORIGINAL_SHORTCUT), (NO_PERIODICAL_RATE, NO_LION, NO_STRONGER_AUGMENTATION)],
    ids=["Table 3", "Table 4"],
)
def test_ablations_of_one_table_can_be_united_in_any_order(table, ablations):
    configs = set()
    for order in itertools.permutations(ablations):
        together = {name: value for changes in order for name, value in changes.items()}
        configs.add(table().config(FULL.changed(together), ("ResNet18",), 0))
    (config,) = configs
    full = table().config(FULL, ("ResNet18",), 0)
    alone = [differences(full, table().config(FULL.changed(one), ("ResNet18",), 0)) for one in ablations]
    assert differences(full, config) == {name: value for one in alone for name, value in one.items()}


def test_all_of_table_4_taken_away_leaves_the_baselines_optimization(table):
    together = NO_PERIODICAL_RATE | NO_LION | NO_STRONGER_AUGMENTATION
    ablated = table().config(FULL.changed(together), ("ResNet18",), 0)
    baseline = table().config(BASELINE, ("ResNet18",), 0)

    for part in ("learning_rate", "optimizer", "augmentation"):
        assert getattr(ablated, part) == getattr(baseline, part)


def test_a_change_reaches_what_an_arm_changes_for_some_networks():
    assert merge_layers(FULL.by_architecture["resnet18"]) == {"model": {"shortcut": "improved"}}
    changed = FULL.changed(ORIGINAL_SHORTCUT)
    assert merge_layers(changed.by_architecture["resnet50"]) == {"model": {"shortcut": "original"}}
    assert FULL.changed({"epochs": 8}).teacher is FULL.teacher
