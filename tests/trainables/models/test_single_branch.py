"""AlexNet and VGG11: parameters counted by hand, their order of layers, and the shortcuts around their blocks."""

import pytest
import torch
from settings import images_of, model_of
from torch import Tensor, nn

from crossarch.trainables.config.run import KeepRateConfig
from crossarch.trainables.methods.drop_path import VirtualShortcut
from crossarch.trainables.models.registry import build, build_on_meta, parameter_count
from crossarch.trainables.models.single_branch import SingleBranch

ALEXNET_FEATURES = (
    (3 * 128 + 128 * 192) * 5 * 5  # convolutions without bias
    + (192 * 256 + 256 * 192 + 192 * 192) * 3 * 3
    + 2 * (128 + 192 + 256 + 192 + 192)  # scale and shift of the norms
)
ALEXNET_PARAMETERS = ALEXNET_FEATURES + (192 * 4 * 4 * 10 + 10)  # 32 x 32 halved three times

VGG11_FEATURES = (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512) * 3 * 3 + 2 * (
    64 + 128 + 2 * 256 + 4 * 512
)
VGG11_PARAMETERS = VGG11_FEATURES + (512 * 1 * 1 * 10 + 10)  # 32 x 32 halved five times

COUNTS = {"alexnet": ALEXNET_PARAMETERS, "vgg11": VGG11_PARAMETERS}

ALEXNET_SHORTCUTS = (128 * 256 + 2 * 256) + (256 * 192 + 2 * 192)  # around conv2 + conv3, conv4 + conv5
VGG11_SHORTCUTS = (128 * 256 + 2 * 256) + (256 * 512 + 2 * 512) + (512 * 512 + 2 * 512)  # 3 + 4, 5 + 6, 7 + 8
SHORTCUTS = {"alexnet": ALEXNET_SHORTCUTS, "vgg11": VGG11_SHORTCUTS}

each_network = pytest.mark.parametrize("network", COUNTS)


@each_network
def test_parameters_are_those_counted_by_hand(network: str) -> None:
    assert parameter_count(build_on_meta(model_of(network), images_of())) == COUNTS[network]


def test_vgg11_with_biases_has_the_published_9231114_parameters() -> None:
    """As the CIFAR form of VGG11 that the dataset distillation literature shares has them."""
    assert VGG11_PARAMETERS + 64 + 128 + 2 * 256 + 4 * 512 == 9_231_114
    assert parameter_count(build_on_meta(model_of("vgg11", conv_bias=True), images_of())) == 9_231_114


@pytest.mark.parametrize(("network", "last", "pixels"), [("alexnet", 192, 8 * 8), ("vgg11", 512, 2 * 2)])
@pytest.mark.parametrize("classes", [10, 200])
def test_at_64_pixels_the_head_alone_grows(network: str, last: int, pixels: int, classes: int) -> None:
    features = {"alexnet": ALEXNET_FEATURES, "vgg11": VGG11_FEATURES}[network]
    large = parameter_count(build_on_meta(model_of(network), images_of(classes=classes, resolution=64)))

    assert large == features + last * pixels * classes + classes


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@each_network
def test_virtual_shortcuts_add_their_convolutions_and_norms(network: str, norm: str) -> None:
    model = build(model_of(network, norm), images_of(), KeepRateConfig())

    assert parameter_count(model) == COUNTS[network] + SHORTCUTS[network]


@each_network
def test_virtual_shortcuts_pool_by_two_where_their_block_does(network: str) -> None:
    model = build(model_of(network, width=1 / 32), images_of(), KeepRateConfig())
    shortcuts = [module.shortcut for module in model.modules() if isinstance(module, VirtualShortcut)]

    assert shortcuts
    for shortcut in shortcuts:
        assert isinstance(shortcut, nn.Sequential)
        pooling, convolution, norm = shortcut
        assert (pooling.kernel_size, pooling.stride) == ((2, 2), (2, 2))
        assert (convolution.kernel_size, convolution.stride, convolution.bias) == ((1, 1), (1, 1), None)
        assert isinstance(norm, nn.BatchNorm2d)


@pytest.mark.parametrize(("network", "blocks"), [("alexnet", (1, 2)), ("vgg11", (2, 3, 4))])
def test_blocks_are_the_notes_pairs_of_convolutions(network: str, blocks: tuple[int, ...]) -> None:
    """AlexNet: conv2 + conv3, conv4 + conv5; VGG11: 3 + 4, 5 + 6, 7 + 8."""
    model = build(model_of(network, width=1 / 32), images_of())
    assert isinstance(model, SingleBranch)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    last = len(convolutions)
    pairs = [convolutions[index : index + 2] for index in range(last - 2 * len(blocks), last, 2)]

    assert model.droppable == tuple(f"features.{index}" for index in blocks)
    for name, pair in zip(model.droppable, pairs, strict=True):
        block = model.get_submodule(name)
        assert [module for module in block.modules() if isinstance(module, nn.Conv2d)] == pair


PLANS = {
    "alexnet": ((128, 5), "pool", (192, 5), "pool", (256, 3), (192, 3), (192, 3), "pool"),
    "vgg11": (
        *((64, 3), "pool", (128, 3), "pool", (256, 3), (256, 3), "pool"),
        *((512, 3), (512, 3), "pool", (512, 3), (512, 3), "pool"),
    ),
}
"""The notes' order of layers: channels and kernel size of each convolution."""


@each_network
def test_layers_follow_each_other_as_in_the_notes(network: str) -> None:
    """Convolution, norm, ReLU, and 2x2 max pooling where there is one, with the network's weights."""
    torch.manual_seed(0)
    model = build(model_of(network, "instance", width=1 / 32), images_of())
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in model.modules() if isinstance(module, nn.GroupNorm)]
    images = torch.randn(2, 3, 32, 32)
    assert [(32 * layer.out_channels, layer.kernel_size[0]) for layer in convolutions] == [
        layer for layer in PLANS[network] if layer != "pool"
    ]

    pairs, expected = iter(zip(convolutions, norms, strict=True)), images
    for layer in PLANS[network]:
        expected = pooled(expected) if layer == "pool" else rectified(expected, *next(pairs))

    torch.testing.assert_close(model(images), model.classifier(expected.flatten(1)))


def pooled(x: Tensor) -> Tensor:
    side = x.shape[-1] // 2
    return x.unflatten(3, (side, 2)).unflatten(2, (side, 2)).amax((3, 5))


def rectified(x: Tensor, convolution: nn.Module, norm: nn.Module) -> Tensor:
    result: Tensor = norm(convolution(x))
    assert result.shape[2:] == x.shape[2:]
    return result.clamp(min=0)


@pytest.mark.parametrize(("width", "expected"), [(1 / 64, (2, 3, 4, 3, 3)), (1e-6, (1, 1, 1, 1, 1))])
def test_the_width_multiplies_every_channel_count(width: float, expected: tuple[int, ...]) -> None:
    model = build(model_of("alexnet", width=width), images_of())

    assert tuple(layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)) == expected
