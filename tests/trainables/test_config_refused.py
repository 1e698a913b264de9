"""What no run may be: refused in one sentence that names the key, before anything is trained."""

import dataclasses

import pytest

from crossarch.search_spaces.quickstart import BASE, QUICKSTART
from crossarch.search_spaces.recipes import BASELINE, FULL

PAPER = dataclasses.replace(QUICKSTART, base=BASE, budget=1.0)
"""Real digits, and the paper's epochs: W = T = 500, S = 3000, N = 4000."""


def full():
    """A student with every part there is."""
    return PAPER.config(FULL, ("ResNet18",), 0)


def baseline():
    return PAPER.config(BASELINE, ("ConvNet",), 0)


REFUSED = [
    ("kd.alpha", -0.01, r"kd.alpha = -0.01 is outside \[0, 1\]"),
    ("kd.alpha", 1.01, r"kd.alpha = 1.01 is outside \[0, 1\]"),
    ("kd.temperature", 0, r"kd.temperature = 0 is outside \(0, inf\)"),
    ("kd.temperature", -1.5, r"kd.temperature = -1.5 is outside \(0, inf\)"),
    ("keep_rate.minimum", 0.0, r"keep_rate.minimum = 0.0 is outside \(0, 1\]"),
    ("keep_rate.minimum", 1.1, r"keep_rate.minimum = 1.1 is outside \(0, 1\]"),
    ("keep_rate.final", 0, r"keep_rate.final = 0 is outside \(0, 1\]"),
    ("augmentation.folds", 7, r"augmentation.folds = 7 is outside \[0, 6\]"),
    ("augmentation.folds", -1, r"augmentation.folds = -1 is outside \[0, 6\]"),
    ("augmentation.folds", 6, "augmentation.folds = 6 is more than the 5 operations of the pool"),
    ("augmentation.pool", ("crop", "crop"), "augmentation.pool .* twice"),
    ("augmentation.pool", ("blur",), "augmentation.pool = 'blur' is not one of color"),
    ("phases.stabilization", 500, "phases.stabilization = 500 must come after warmup = 500"),
    ("epochs", 6001, "epochs = 6001 is more than twice phases.stabilization = 3000"),
    ("epochs", -5, r"epochs = -5 is outside \[1, inf\)"),
    ("epochs", "many", r"epochs = 'many' is not a number in \[1, inf\)"),
    ("epochs", 10.5, "epochs = 10.5 is not a whole number"),
    ("epochs", (10, 20), r"epochs = \(10, 20\) is not a single value"),
    ("model.architecture", "torchvision:googlenet", "model.architecture = 'torchvision:googlenet' has auxiliary"),
    ("model.channels", 8, "model.channels = 8 is not a list"),
    ("model.channels", (128, 256, 512), r"model.channels = \(128, 256, 512\) is the default: leave it out"),
    ("model.first_norm", "batch", "model.first_norm = 'batch' is what norm is: leave it out"),
    ("model.channels", (8.5,), r"model.channels = \(8.5,\) is not a list of whole numbers"),
    ("augmentation.pool", "crop", "augmentation.pool = 'crop' is not a list"),
    ("learning_rate.cosine_period", 50, "learning_rate.cosine_period = 50 must be greater than warmup = 50"),
    ("learning_rate.schedule", "cosine", "learning_rate.decay = 0.8, but the cosine schedule does not use it"),
    ("learning_rate.decay", None, "learning_rate.decay = None, but the periodic schedule needs it"),
    ("model.architecture", "resnet81", "model.architecture = 'resnet81' is not one of convnet"),
    ("model.architecture", "convnet", "model.shortcut = 'improved', but convnet has no residual blocks"),
    ("model.shortcut", None, "model.shortcut = None, but resnet18 needs"),
    ("model.channels", (8,), r"model.channels = \(8,\) is for a convnet"),
    ("data.dataset", "imagenet", "data.dataset = 'imagenet' is not one of digits"),
    ("data.images_per_class", 90, "data.images_per_class = 90 is more than the 89"),
    ("data.images_per_class", 9, "kd.teacher.data must be the student's data"),
    ("kd.teacher.seed", 1, "kd.teacher.seed must be the student's seed"),
    ("kd.teacher.epochs", 0, r"kd.teacher.epochs = 0 is outside \[1, inf\)"),
    ("phases", None, "phases = None, but keep_rate"),
    ("data", None, "data = None, but a run needs it"),
    ("data", 3, "data = 3 is not allowed"),
    ("kd", 0.5, "kd = 0.5 is not allowed"),
    ("precision", "float16", "precision = 'float16' is not one of float32"),
    ("test_evaluations", 0, r"test_evaluations = 0 is outside \[1, 1000\]"),
    ("kd.teacher_weights", "worst", "kd.teacher_weights = 'worst' is not one of final, best"),
    ("kd.teacher_weights", "best", "kd.teacher_weights = 'best' needs kd.teacher.test_evaluations above 1"),
    ("model.architecture", 18, "model.architecture = 18 is not a name"),
    ("model.architecture", "Torchvision:vgg11", "model.architecture = 'Torchvision:vgg11' is not one of convnet"),
    ("model.architecture", "alexnet", "model.shortcut = 'improved', but alexnet has no residual blocks"),
    ("model.architecture", "torchvision:resnet18", "model.shortcut = 'improved', but torchvision:resnet18 has no"),
    ("model.norm", "layer", "model.norm = 'layer' is not one of batch, instance, group"),
    ("model.norm", "group", "model.norm = 'group' needs either groups or channels_per_group"),
    ("model.groups", 4, "model.norm = 'group' needs either groups or channels_per_group, and other norms neither"),
    ("model.groups", 0, r"model.groups = 0 is outside \[1, inf\)"),
    ("model.channels_per_group", 16, "model.norm = 'group' needs either groups or channels_per_group, and other norms"),
    ("model.first_norm", "group", "model.first_norm = 'group' is not one of batch, instance"),
    ("model.conv_bias", 1, "model.conv_bias = 1 is neither true nor false"),
    ("model.conv_bias", "false", "model.conv_bias = 'false' is neither true nor false"),
    ("keep_rate.blocks", "blocks.0", "keep_rate.blocks = 'blocks.0' is not a list"),
    ("keep_rate.blocks", (), r"keep_rate.blocks = \(\) must name one block at least"),
    ("keep_rate.blocks", ("a", "a"), r"keep_rate.blocks = \('a', 'a'\) must name one block at least, and none twice"),
    ("keep_rate.blocks", (1,), r"keep_rate.blocks = \(1,\) is not a list of names"),
    ("keep_rate.blocks", ("a", None), r"keep_rate.blocks = \('a', None\) has an empty entry"),
    ("learning_rate.milestone", 5, "learning_rate.milestone = 5, but the periodic schedule does not use it"),
    ("learning_rate.granularity", "batch", "learning_rate.granularity = 'batch' is not one of epoch, step"),
    ("optimizer.beta2", None, "optimizer.beta2 = None, but lion needs it"),
    ("optimizer.name", "sgd", "optimizer.beta2 = 0.98, but sgd has none"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), REFUSED)
def test_what_is_not_allowed_is_refused_in_a_sentence_that_names_the_key(name, value, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}") as refusal:
        full().replace({name: value})
    assert "\n" not in str(refusal.value)


def test_phases_come_only_with_a_schedule_that_uses_them():
    with pytest.raises(ValueError, match="phases is given, but neither"):
        baseline().replace({"phases": {"warmup": 5, "period": 5, "stabilization": 30}})
    teacher = full().kd.teacher
    with pytest.raises(ValueError, match="too shallow for DropPath"):
        teacher.replace({"keep_rate": {}})


SCHEDULES = [
    ({"schedule": "step", "maximum": 1e-3}, "decay = None, but the step schedule needs it"),
    ({"schedule": "step", "maximum": 1e-3, "decay": 0.1}, "milestone = None, but the step schedule needs it"),
    ({"schedule": "step", "maximum": 1e-3, "decay": 0.1, "milestone": 5, "warmup": 2}, "warmup = 2, but the step"),
    ({"schedule": "cosine", "maximum": 1e-3, "cosine_period": 5}, "cosine_period = 5, but the cosine schedule does"),
    ({"schedule": "cosine", "maximum": 1e-3, "warmup": 0}, r"warmup = 0 is outside \[1, inf\)"),
]


@pytest.mark.parametrize(("schedule", "sentence"), SCHEDULES)
def test_a_schedule_has_the_settings_it_uses_and_no_other(schedule, sentence):
    with pytest.raises(ValueError, match=f"^learning_rate.{sentence}"):
        baseline().replace({"learning_rate": schedule})


def test_cosine_may_rise_first():
    rate = {"schedule": "cosine", "maximum": 1e-3, "warmup": 100, "granularity": "step"}
    assert baseline().replace({"learning_rate": rate}).learning_rate.warmup == 100


@pytest.mark.parametrize("changes", [{"groups": 4}, {"channels_per_group": 16}])
def test_group_norm_has_its_groups_or_their_size_and_not_both(changes):
    full().replace({"model.norm": "group"} | {f"model.{name}": value for name, value in changes.items()})
    with pytest.raises(ValueError, match=r"^model.norm = 'group' needs either"):
        full().replace({"model.norm": "group", "model.groups": 4, "model.channels_per_group": 16})


MOBILE = {"architecture": "torchvision:mobilenet_v3_small"}


@pytest.mark.parametrize(
    "ours", [{"width": 0.5}, {"norm": "instance"}, {"first_norm": "instance"}, {"conv_bias": True}], ids=str
)
def test_what_is_torchvision_s_own_is_not_ours_to_set(ours):
    baseline().replace({"model": MOBILE})
    with pytest.raises(ValueError, match=r"^model.torchvision:mobilenet_v3_small is torchvision's own: leave width"):
        baseline().replace({"model": MOBILE | ours})


def test_drop_path_in_another_s_network_needs_its_blocks_named():
    run = full().replace({"model": MOBILE, "keep_rate.blocks": ["network.features.4"]})
    assert run.keep_rate.blocks == ("network.features.4",)
    with pytest.raises(ValueError, match=r"^keep_rate.blocks = None, but torchvision:mobilenet_v3_small needs its"):
        full().replace({"model": MOBILE})


def test_a_convnet_may_drop_blocks_that_are_named():
    teacher = full().kd.teacher.replace({"keep_rate.blocks": ["features"]})
    assert teacher.keep_rate.blocks == ("features",)


def test_the_best_teacher_is_one_that_is_tested_more_than_once():
    changes = {"kd.teacher_weights": "best", "kd.teacher.test_evaluations": 11}
    assert full().replace(changes).kd.teacher_weights == "best"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("alpha", "^alpha is unknown; known here: augmentation, .*kd"),
        ("kd.alfa", "^kd.alfa is unknown; known here: alpha, teacher, teacher_weights, temperature$"),
        ("kd.teacher.kd.alfa", "^kd.teacher.kd.alfa is unknown"),
        ("epochs.many", "^epochs.many is unknown: epochs is not a part"),
        ("nonsense.alpha", "^nonsense.alpha is unknown"),
        ("data.kd.alpha", "^data.kd is unknown"),
    ],
)
def test_unknown_names_are_refused_by_name(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        full().replace({name: 1})
