"""What no run may be: refused in one sentence that names the key, before anything is trained."""

import dataclasses

import pytest
from every_part import DISTILLED

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
    ("augmentation.pool", "crop", "augmentation.pool = 'crop' is not a list"),
    ("phases.stabilization", 500, "phases.stabilization = 500 must come after warmup = 500"),
    ("phases", None, "phases = None, but keep_rate"),
    ("epochs", 6001, "epochs = 6001 is more than twice phases.stabilization = 3000"),
    ("epochs", -5, r"epochs = -5 is outside \[1, inf\)"),
    ("epochs", "many", "epochs = 'many' is not a whole number"),
    ("epochs", 10.5, "epochs = 10.5 is not a whole number"),
    ("epochs", (10, 20), r"epochs = \(10, 20\) is not a whole number"),
    ("epochs", {}, r"epochs = \{\} is not a whole number"),
    ("seed", -1, r"seed = -1 is outside \[0, 2147483647\]"),
    ("seed", 2**31, r"seed = 2147483648 is outside \[0, 2147483647\]"),
    ("precision", "float16", "precision = 'float16' is not one of float32"),
    ("test_evaluations", 0, r"test_evaluations = 0 is outside \[1, 1000\]"),
    ("data", None, "data = None, but a run needs it"),
    ("data", 3, "data = 3 is not allowed"),
    ("data.kind", "stored", "data.kind = 'stored' is not one of real, distilled"),
    ("data.dataset", "imagenet", "data.dataset = 'imagenet' is not one of digits"),
    ("data.whitening", "channel_mtt", "data.whitening = 'channel_mtt' is none of digits: channel, zca, frepo"),
    ("data.images_per_class", 90, "data.images_per_class = 90 is more than the 89"),
    ("data.images_per_class", 9, "kd.teacher.data must be the student's data"),
    ("data.distilled_set", "small", "data.distilled_set is unknown"),
    ("data.label_temperature", 0.3, "data.label_temperature is unknown"),
    ("data", {"kind": "distilled", "dataset": "digits", "images_per_class": 1}, "data.distilled_set is missing"),
    ("data", DISTILLED | {"sha256": "12ab"}, "data.sha256 = '12ab' is not 64 hexadecimal digits"),
    ("data", DISTILLED | {"sha256": "A" * 64}, "data.sha256 = 'A+' is not 64 hexadecimal digits"),
    ("data", DISTILLED | {"label_temperature": 0}, r"data.label_temperature = 0 is outside \(0, inf\)"),
    ("data", DISTILLED | {"selection": "herding"}, "data.selection is unknown"),
    ("kd", 0.5, "kd = 0.5 is not allowed"),
    ("kd.teacher", None, "kd.teacher = None, but a run needs it"),
    ("kd.teacher.seed", 1, "kd.teacher.seed must be the student's seed"),
    ("kd.teacher.epochs", 0, r"kd.teacher.epochs = 0 is outside \[1, inf\)"),
    ("kd.teacher_weights", "worst", "kd.teacher_weights = 'worst' is not one of final, best"),
    ("kd.teacher_weights", "best", "kd.teacher_weights = 'best' needs kd.teacher.test_evaluations above 1"),
    ("learning_rate.cosine_period", 50, "learning_rate.cosine_period = 50 must be greater than warmup = 50"),
    ("learning_rate.schedule", "cosine", "learning_rate.maximum is missing"),
    ("learning_rate.schedule", "linear", "learning_rate.schedule = 'linear' is not one of periodic, cosine, step"),
    ("learning_rate.decay", None, "learning_rate.decay = None, but a run needs it"),
    ("learning_rate.milestone", 5, "learning_rate.milestone is unknown"),
    ("learning_rate.granularity", "batch", "learning_rate.granularity = 'batch' is not one of epoch, step"),
    ("optimizer.beta2", None, "optimizer.beta2 = None, but a run needs it"),
    ("optimizer.momentum", 0.9, "optimizer.momentum is unknown"),
    ("optimizer.name", "sgd", "optimizer.weight_decay is missing"),
    ("optimizer.name", "adam", "optimizer.name = 'adam' is not one of lion, adamw, sgd"),
    ("optimizer", {"name": "sgd", "weight_decay": 0, "beta1": 0.9}, "optimizer.beta1 is unknown"),
    ("model", None, "model = None, but a run needs it"),
    ("model.architecture", "resnet81", "model.architecture = 'resnet81' is not one of convnet, resnet18, resnet50"),
    ("model.architecture", 18, "model.architecture = 18 is not one of convnet"),
    ("model.architecture", ["convnet"], r"model.architecture = \['convnet'\] is not one of convnet"),
    ("model.architecture", None, "model.architecture is missing, but a run needs it"),
    ("model.architecture", "Torchvision:vgg11", "model.architecture = 'Torchvision:vgg11' is not one of convnet"),
    ("model.architecture", "torchvision:googlenet", "model.architecture = 'torchvision:googlenet' has auxiliary"),
    ("model.architecture", "torchvision:inception_v3", "model.architecture = 'torchvision:inception_v3' has auxiliary"),
    ("model.shortcut", None, "model.shortcut = None"),
    ("model.shortcut", "none", "model.shortcut = 'none' is not one of original, improved"),
    ("model.channels", (8,), "model.channels is unknown"),
    ("model.norm", "layer", "model.norm.kind = 'layer' is not one of batch, instance, group"),
    ("model.norm", None, "model.norm = None, but a run needs it"),
    ("model.norm", 3, "model.norm = 3 is not allowed"),
    ("model.norm", "group", "model.norm.groups is missing"),
    ("model.norm", "channel_group", "model.norm.channels_per_group is missing"),
    ("model.norm", {"kind": "group", "groups": 0}, r"model.norm.groups = 0 is outside \[1, inf\)"),
    (
        "model.norm",
        {"kind": "group", "groups": 4, "channels_per_group": 16},
        "model.norm.channels_per_group is unknown",
    ),
    ("model.norm.groups", 4, "model.norm.groups is unknown"),
    ("model.groups", 4, "model.groups is unknown"),
    ("model.first_norm", "group", "model.first_norm.groups is missing"),
    ("model.first_norm", "layer", "model.first_norm.kind = 'layer' is not one of batch, instance"),
    ("model.first_norm", {}, "model.first_norm.kind is missing"),
    ("model.conv_bias", 1, "model.conv_bias = 1 is not true or false"),
    ("model.conv_bias", "false", "model.conv_bias = 'false' is not true or false"),
    ("model.drop_path_blocks", "blocks.0", "model.drop_path_blocks = 'blocks.0' is not a list"),
    ("model.drop_path_blocks", ("a", "a"), r"model.drop_path_blocks = \('a', 'a'\) names a module twice"),
    ("model.drop_path_blocks", (1,), "model.drop_path_blocks = 1 is not a name"),
    ("model.drop_path_blocks", ("a", None), "model.drop_path_blocks = "),
    ("keep_rate.blocks", ("a",), "keep_rate.blocks is unknown"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), REFUSED)
def test_what_is_not_allowed_is_refused_in_a_sentence_that_names_the_key(name, value, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}") as refusal:
        full().replace({name: value})
    assert "\n" not in str(refusal.value)


CHANNELS = [
    (8, "model.channels = 8 is not a list"),
    ((8.5,), "model.channels = 8.5 is not a whole number"),
    (("8",), "model.channels = '8' is not a whole number"),
    ((8, 0), r"model.channels = 0 is outside \[1, inf\)"),
    ((), r"model.channels = \(\) has none"),
    ((4,) * 6, "model.channels: 6 blocks are too many for images of 32 x 32 pixels"),
]


@pytest.mark.parametrize(("channels", "sentence"), CHANNELS)
def test_a_convnet_s_channels_are_whole_numbers_and_no_more_than_the_image_can_be_halved(channels, sentence):
    baseline().replace({"model.channels": (4,) * 5})
    with pytest.raises(ValueError, match=f"^{sentence}"):
        baseline().replace({"model.channels": channels})


def test_phases_come_only_with_a_schedule_that_uses_them():
    with pytest.raises(ValueError, match="phases is given, but neither"):
        baseline().replace({"phases": {"warmup": 5, "period": 5, "stabilization": 30}})
    teacher = full().kd.teacher
    with pytest.raises(ValueError, match="too shallow for DropPath"):
        teacher.replace({"keep_rate": {}})


SCHEDULES = [
    ({"schedule": "step", "maximum": 1e-3}, "decay is missing, but a run needs it"),
    ({"schedule": "step", "maximum": 1e-3, "decay": 0.1}, "milestone is missing, but a run needs it"),
    ({"schedule": "step", "maximum": 1e-3, "decay": 0.1, "milestone": 5, "warmup": 2}, "warmup is unknown"),
    ({"schedule": "cosine", "maximum": 1e-3, "cosine_period": 5}, "cosine_period is unknown"),
    ({"schedule": "cosine", "maximum": 1e-3, "warmup": -1}, r"warmup = -1 is outside \[0, inf\)"),
    ({"schedule": "periodic", "maximum": 1e-3, "decay": 1, "warmup": 0, "cosine_period": 5}, "warmup = 0 is outside"),
    ({"maximum": 1e-3, "schedule": None}, "schedule is missing, but a run needs it: one of periodic, cosine, step"),
]


@pytest.mark.parametrize(("schedule", "sentence"), SCHEDULES)
def test_a_schedule_has_the_settings_it_uses_and_no_other(schedule, sentence):
    with pytest.raises(ValueError, match=f"^learning_rate.{sentence}"):
        baseline().replace({"learning_rate": schedule})


def test_cosine_may_rise_first():
    rate = {"schedule": "cosine", "maximum": 1e-3, "warmup": 100, "granularity": "step"}
    assert baseline().replace({"learning_rate": rate}).learning_rate.warmup == 100


MOBILE = {"architecture": "torchvision:mobilenet_v3_small"}


@pytest.mark.parametrize(
    "ours", [{"width": 0.5}, {"norm": "instance"}, {"first_norm": "instance"}, {"conv_bias": True}], ids=str
)
def test_what_is_torchvision_s_own_is_not_ours_to_set(ours):
    (name,) = ours
    baseline().replace({"model": MOBILE})
    with pytest.raises(ValueError, match=f"^model.{name} is unknown.*known here: architecture, drop_path_blocks$"):
        baseline().replace({"model": MOBILE | ours})


def test_drop_path_in_another_s_network_needs_its_blocks_named():
    run = full().replace({"model": MOBILE, "model.drop_path_blocks": ["network.features.4"]})
    assert run.model.drop_path_blocks == ("network.features.4",)
    with pytest.raises(ValueError, match=r"^keep_rate is given, but torchvision:mobilenet_v3_small has no blocks"):
        full().replace({"model": MOBILE})
    assert full().replace({"model": MOBILE, "keep_rate": None}).model.drop_path_blocks == ()


def test_a_convnet_may_drop_blocks_that_are_named():
    teacher = full().kd.teacher.replace({"model.drop_path_blocks": ["features"], "keep_rate": {}})
    assert teacher.model.drop_path_blocks == ("features",)


def test_the_best_teacher_is_one_that_is_tested_more_than_once():
    changes = {"kd.teacher_weights": "best", "kd.teacher.test_evaluations": 11}
    assert full().replace(changes).kd.teacher_weights == "best"


def test_bfloat16_is_arithmetic_for_single_precision():
    with pytest.raises(ValueError, match=r"^engine = 'fast_bfloat16' needs precision = 'float32', not 'float64'$"):
        baseline().replace({"engine": "fast_bfloat16", "precision": "float64"})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("alpha", "^alpha is unknown; known here: augmentation, .*kd"),
        ("kd.alfa", "^kd.alfa is unknown; known here: alpha, teacher, teacher_weights, temperature$"),
        ("kd.teacher.kd.alfa", "^kd.teacher.kd.alfa is unknown"),
        ("epochs.many", "^epochs.many is unknown: epochs is not a part"),
        ("nonsense.alpha", "^nonsense is unknown"),
        ("data.kd.alpha", "^data.kd is unknown"),
    ],
)
def test_unknown_names_are_refused_by_name(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        full().replace({name: 1})
