"""A run of one's own: what the user says is what is trained."""

import pytest

from crossarch.platform.scheduling.estimate import step_count
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import TABLE_1
from crossarch.search_spaces.single import single_run
from crossarch.trainables.config.run import RealData, TorchvisionConfig


def only(arm, changes):
    """The one run of the study."""
    (plan,) = single_run(arm, changes).expand()
    return plan.config


@pytest.mark.parametrize("arm", TABLE_1, ids=lambda arm: arm.name)
def test_every_arm_of_table_1_has_a_network_to_start_with(arm):
    config = only(arm.name, {})
    assert config.model.architecture == ("convnet" if arm.for_teacher else "resnet18")
    assert config.seed == 0
    if config.kd:
        assert config.kd.teacher.model.architecture == "convnet"


@pytest.mark.parametrize("arm", TABLE_1, ids=lambda arm: arm.name)
@pytest.mark.parametrize("shortcut", ["original", "improved"])
def test_the_users_shortcut_is_the_last_word(arm, shortcut):
    assert only(arm.name, {"model.architecture": "resnet18", "model.shortcut": shortcut}).model.shortcut == shortcut


def test_a_run_that_changes_nothing_is_quickstarts_on_real_images_in_as_many_steps():
    quickstart = {(plan.arm, plan.cell, plan.config.seed): plan.config for plan in QUICKSTART.expand()}
    for arm, cell, seed, steps in [("baseline", "ConvNet", 0, 100), ("full", "ResNet18", 2, 400)]:
        config, other = only(arm, {"seed": seed}), quickstart[arm, (cell,), seed]
        assert isinstance(config.data, RealData)
        assert step_count(config) == step_count(other) == steps
        assert (config.model, config.optimizer, config.keep_rate) == (other.model, other.optimizer, other.keep_rate)
        assert config.learning_rate.maximum == other.learning_rate.maximum


def test_data_reach_the_teacher_and_its_own_settings_only_the_teacher():
    config = only("full", {"data.images_per_class": 3, "kd.teacher.model.width": 0.5, "kd.alpha": 0.7, "seed": 4})
    assert config.data == config.kd.teacher.data
    assert (config.data.images_per_class, config.seed, config.kd.teacher.seed) == (3, 4, 4)
    assert (config.model.width, config.kd.teacher.model.width, config.kd.alpha) == (0.125, 0.5, 0.7)


def test_the_teachers_network_is_the_users_choice_too():
    config = only("full", {"model.architecture": "vgg11", "kd.teacher.model.architecture": "resnet18"})
    assert (config.model.architecture, config.kd.teacher.model.architecture) == ("vgg11", "resnet18")
    assert (config.model.width, config.kd.teacher.model.width) == (0.125, 0.125)
    assert config.kd.teacher.model.shortcut == "original"


@pytest.mark.parametrize("arm", ["baseline", "full"])
@pytest.mark.parametrize("part", ["model", "kd", "kd.teacher", "kd.teacher.model"])
@pytest.mark.parametrize("value", [{"architecture": "vgg11"}, {}, None, 3])
def test_a_whole_part_that_arm_and_network_would_undo_is_refused(arm, part, value):
    with pytest.raises(ValueError, match="one by one") as refusal:
        single_run(arm, {part: value})
    assert str(refusal.value) == f"{part} = {value!r} is a whole part: change its settings, {part}.KEY, one by one"


def test_other_parts_can_be_given_whole():
    adamw = {"name": "adamw", "beta1": 0.5, "beta2": 0.75, "weight_decay": 0.25}
    config = only("full", {"optimizer": adamw, "data": {"dataset": "digits", "images_per_class": 3}})
    optimizer = config.optimizer
    values = (optimizer.name, optimizer.beta1, optimizer.beta2, optimizer.weight_decay)
    assert values == ("adamw", 0.5, 0.75, 0.25)
    assert config.kd.teacher.optimizer.name == "lion"
    assert config.data.images_per_class == config.kd.teacher.data.images_per_class == 3


def test_any_network_drops_the_blocks_one_names():
    blocks = ["network.features.2", "network.features.3"]
    network = {"architecture": "torchvision:mobilenet_v3_small", "drop_path_blocks": tuple(blocks)}
    config = only("full", {"model.architecture": network["architecture"], "model.drop_path_blocks": blocks})
    assert config.model == TorchvisionConfig(**network)
    assert config.keep_rate.minimum == 0.5
    assert config.kd.teacher.model.width == 0.125


@pytest.mark.parametrize(
    ("arm", "changes", "sentence"),
    [
        ("fuller", {}, "^arm = 'fuller' is unknown; known: baseline, without_dp_kd, without_dp, without_kd, full$"),
        ("baseline", {"kd.teacher.epochs": 3}, "kd.teacher.epochs is given, but the arm baseline has no teacher"),
        ("baseline", {"kd.alpha": 0.5}, "kd.teacher is missing"),
        ("baseline", {"model.architecture": ["x"]}, "architecture"),
        ("baseline", {"kd.alfa": 0.5}, "kd.alfa is unknown"),
        ("full", {"model.architecture": "vgg11", "model.shortcut": "improved"}, "model.shortcut is unknown"),
        (
            "baseline",
            {"model.architecture": "torchvision:mobilenet_v3_small", "model.width": 0.5},
            "model.width is unknown",
        ),
        ("without_kd", {"model.architecture": "convnet"}, "too shallow for DropPath"),
        ("full", {"epoch": 3}, "epoch is unknown"),
    ],
)
def test_what_cannot_be_is_refused_and_not_passed_over(arm, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        list(single_run(arm, changes).expand())


def test_epochs_are_taken_as_they_are_given_whatever_the_budget():
    (plain,) = single_run("baseline", {"epochs": 7}).expand()
    assert plain.config.epochs == 7
    (halved,) = single_run("baseline", {"epochs": 7}).scaled(0.5).expand()
    assert halved.config.epochs == 7
    (taught,) = single_run("full", {"epochs": 90, "learning_rate.warmup": 3, "kd.teacher.epochs": 50}).expand()
    config = taught.config
    assert (config.epochs, config.learning_rate.warmup) == (90, 3)
    assert config.kd.teacher.epochs == 50
    (quick,) = single_run("full", {}).expand()
    assert config.phases == quick.config.phases == config.kd.teacher.phases


def test_a_distilled_set_that_is_named_says_that_the_data_are_distilled():
    study = single_run("full", {"data.distilled_set": "digits-hard", "data.images_per_class": 1})
    (run,) = study.expand((0,))
    data = {"kind": "distilled", "dataset": "digits", "images_per_class": 1, "distilled_set": "digits-hard"}
    spelt = single_run("full", {f"data.{name}": value for name, value in data.items()})
    assert [run.config] == [each.config for each in spelt.expand((0,))]
    assert run.config.data.distilled_set == run.teacher.config.data.distilled_set == "digits-hard"
