"""Torchvision's networks by name, on colour and on grey images, with shortcuts around the blocks that one lists."""

import inspect
import math

import pytest
import torch
from settings import images_of, make
from torch import nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import AUXILIARY, TORCHVISION, KeepRateConfig, TorchvisionConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.methods.drop_path import VirtualShortcut, set_keep_rate
from crossarch.trainables.models.registry import build, build_on_meta, parameter_count, torchvision_network
from crossarch.trainables.training.loop import train

MOBILE = TorchvisionConfig(architecture="torchvision:mobilenet_v3_small")
BLOCKS = ("network.features.4", "network.features.5")
"""Inverted residuals: the first halves the image and has more channels, the second leaves the shape as it is."""


def dropping(*blocks: str) -> TorchvisionConfig:
    return TorchvisionConfig(architecture=MOBILE.architecture, drop_path_blocks=blocks)


def test_is_torchvision_s_network_of_that_name() -> None:
    from torchvision.models import mobilenet_v3_small

    expected = mobilenet_v3_small(weights=None, num_classes=100)
    model = build(MOBILE, images_of(classes=100))

    assert type(model) is type(expected)
    assert parameter_count(model) == parameter_count(expected)
    assert parameter_count(build_on_meta(MOBILE, images_of(classes=100))) == parameter_count(expected)


def test_grey_images_are_shown_as_colour() -> None:
    model = build(MOBILE, images_of(channels=1)).eval()
    grey = torch.randn(2, 1, 32, 32)

    assert model(grey).shape == (2, 10)
    assert torch.equal(model(grey), model.network(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("name", ["mobilenet_v9", "", "Mobilenet_V3_Small", "fcn_resnet50", "ssd300_vgg16"])
def test_what_is_no_classifier_of_torchvision_s_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^model.architecture = 'torchvision:{name}' is no classifier"):
        torchvision_network(name, 3, 10)


def test_listed_blocks_can_be_dropped_and_nothing_else() -> None:
    torch.manual_seed(0)
    plain = build(MOBILE, images_of(channels=1))
    torch.manual_seed(0)
    model = build(dropping(*BLOCKS), images_of(channels=1), KeepRateConfig())
    first, second = (model.get_submodule(name) for name in BLOCKS)
    images = torch.randn(4, 1, 32, 32)

    assert [name for name, module in model.named_modules() if isinstance(module, VirtualShortcut)] == list(BLOCKS)
    assert isinstance(first.shortcut, nn.Sequential)
    assert isinstance(second.shortcut, nn.Identity)
    set_keep_rate(model, 0.5)
    assert torch.equal(model.eval()(images), plain.eval()(images))
    for network in (model.train(), plain.train()):
        next(module for module in network.modules() if isinstance(module, nn.Dropout)).p = 0.0
    assert not torch.allclose(model(images), plain(images))


def test_a_network_with_nothing_to_drop_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^keep_rate is given, but torchvision:mobilenet_v3_small has nothing to"):
        build(MOBILE, images_of(), KeepRateConfig())


def test_unknown_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^block 'features\.4' is not in the network; it has network, network\.fea"):
        build(dropping("features.4"), DATASETS["digits"], KeepRateConfig())


def test_trains_on_grey_digits_with_two_blocks_dropped(few: Images) -> None:
    """A run of two steps, the second at a rate below 1."""
    config = make("vgg11", "batch", "without_kd").replace(
        {
            "model": dropping(*BLOCKS).model_dump(),
            "phases": {"warmup": 1, "period": 1, "stabilization": 2},
            "epochs": 2,
            "batch_size": 20,
            "learning_rate": {"schedule": "cosine", "maximum": 1e-3},
        }
    )
    torch.manual_seed(config.seed)
    before = build(config.model, DATASETS["digits"], config.keep_rate).state_dict()
    progress = train(config, few)

    assert progress.steps == 2
    assert all(math.isfinite(point.train_loss) for point in progress.curve)
    assert [point.keep_rate for point in progress.curve] == [1.0, 0.75]
    assert progress.curve[0].keep_rate_observed == 1.0
    assert 0 < (progress.curve[1].keep_rate_observed or 0) < 1
    shortcut = f"{BLOCKS[0]}.shortcut.1.weight"
    assert not torch.equal(progress.model.state_dict()[shortcut], before[shortcut])


def test_those_with_auxiliary_classifiers_are_all_named() -> None:
    from torchvision import models

    found = {
        f"{TORCHVISION}{name}"
        for name in models.list_models(module=models)
        if "aux_logits" in inspect.getsource(models.get_model_builder(name))
    }
    assert found == set(AUXILIARY)
