"""ResNet18 and ResNet50: parameters counted by hand, and what each shortcut sees of its input."""

import dataclasses
import itertools

import pytest
import torch
from settings import model_of
from torch import nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import KeepRateConfig
from crossarch.trainables.models.layers import Style, make_norm
from crossarch.trainables.models.registry import build, build_on_meta, parameter_count
from crossarch.trainables.models.resnet import shortcut

CIFAR10 = dataclasses.replace(DATASETS["digits"], channels=3, classes=10, resolution=32)


def by_hand(a: int, b: int, c: int, d: int, in_channels: int = 3) -> int:
    """Parameters of a ResNet18 whose stages have a, b, c and d channels.

    A stage has four 3x3 convolutions, each with a norm; where it changes the channels also a 1x1 convolution with a
    norm. No convolution has a bias.
    """
    stem = in_channels * a * 9 + 2 * a
    stage1 = 4 * (a * a * 9 + 2 * a)
    stage2 = a * b * 9 + 3 * b * b * 9 + 4 * 2 * b + (a * b + 2 * b)
    stage3 = b * c * 9 + 3 * c * c * 9 + 4 * 2 * c + (b * c + 2 * c)
    stage4 = c * d * 9 + 3 * d * d * 9 + 4 * 2 * d + (c * d + 2 * d)
    head = d * 10 + 10
    return stem + stage1 + stage2 + stage3 + stage4 + head


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("kind", ["original", "improved"])
def test_parameters_are_those_counted_by_hand_with_either_shortcut(kind: str, norm: str) -> None:
    """The improved shortcut pools before its convolution: it adds no parameter."""
    model = build(model_of("resnet18", norm, shortcut=kind), CIFAR10)

    assert parameter_count(model) == by_hand(64, 128, 256, 512) == 11_173_962


def bottlenecks_by_hand(inner: int, narrow: int, outer: int, count: int) -> int:
    """Parameters of a ResNet50's stage.

    A bottleneck has a 1x1, a 3x3 and a 1x1 convolution, each with a norm; the first of a stage has also a 1x1
    convolution with a norm for its shortcut. No convolution has a bias.
    """
    middle = narrow * narrow * 9 + 2 * narrow
    last = narrow * outer + 2 * outer
    first = inner * narrow + 2 * narrow
    later = outer * narrow + 2 * narrow
    shortcut = inner * outer + 2 * outer
    return first + (count - 1) * later + count * (middle + last) + shortcut


def resnet50_by_hand(width: float = 1, classes: int = 10) -> int:
    a, b, c, d = (round(channels * width) for channels in (64, 128, 256, 512))
    stem = 3 * a * 9 + 2 * a
    stage1 = bottlenecks_by_hand(a, a, 4 * a, 3)
    stage2 = bottlenecks_by_hand(4 * a, b, 4 * b, 4)
    stage3 = bottlenecks_by_hand(4 * b, c, 4 * c, 6)
    stage4 = bottlenecks_by_hand(4 * c, d, 4 * d, 3)
    return stem + stage1 + stage2 + stage3 + stage4 + 4 * d * classes + classes


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("kind", ["original", "improved"])
def test_resnet50_has_the_parameters_counted_by_hand_with_either_shortcut(kind: str, norm: str) -> None:
    config = model_of("resnet50", norm, shortcut=kind)

    assert parameter_count(build_on_meta(config, CIFAR10)) == resnet50_by_hand() == 23_520_842


@pytest.mark.parametrize(("width", "classes"), [(0.125, 10), (1, 200)])
def test_resnet50_s_width_and_classes_change_what_they_must(width: float, classes: int) -> None:
    config = model_of("resnet50", shortcut="original", width=width)
    dataset = dataclasses.replace(CIFAR10, classes=classes, resolution=64)

    assert parameter_count(build_on_meta(config, dataset)) == resnet50_by_hand(width, classes)


@pytest.mark.parametrize("kind", ["original", "improved"])
def test_resnet50_s_stride_is_its_3x3_convolution_s(kind: str) -> None:
    """Three blocks of 16, each the first of its stage, and none of its 1x1 convolutions throws pixels away."""
    model = build_on_meta(model_of("resnet50", shortcut=kind), CIFAR10)
    layers = [layer for block in model.blocks for layer in block.main if isinstance(layer, nn.Conv2d)]
    strided = [index for index, layer in enumerate(layers) if layer.stride != (1, 1)]

    assert [layer.kernel_size[0] for layer in layers] == [1, 3, 1] * 16
    assert strided == [3 * block + 1 for block in (3, 3 + 4, 3 + 4 + 6)]


def test_droppable_networks_are_the_plain_ones() -> None:
    """Residual blocks need no shortcut beside their own."""
    for network in ("resnet18", "resnet50"):
        config = model_of(network, shortcut="improved", width=1 / 32)
        plain, droppable = build(config, CIFAR10), build(config, CIFAR10, KeepRateConfig())
        assert list(plain.state_dict()) == list(droppable.state_dict())


def test_the_width_multiplies_every_channel_count() -> None:
    model = build(model_of("resnet18", shortcut="original", width=0.125), CIFAR10)

    assert parameter_count(model) == by_hand(8, 16, 32, 64)


@pytest.mark.parametrize("kind", ["original", "improved"])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(("channels", "classes", "side"), [(1, 10, 32), (3, 10, 32), (3, 200, 64)])
def test_logits_have_a_row_for_each_image(kind: str, norm: str, channels: int, classes: int, side: int) -> None:
    dataset = dataclasses.replace(CIFAR10, channels=channels, classes=classes, resolution=side)
    model = build(model_of("resnet18", norm, shortcut=kind, width=1 / 16), dataset)

    assert model(torch.randn(2, channels, side, side)).shape == (2, classes)


def test_resolution_halves_three_times() -> None:
    model = build(model_of("resnet18", shortcut="improved", width=1 / 16), CIFAR10)

    assert model.blocks(model.stem(torch.randn(2, 3, 32, 32))).shape == (2, 32, 4, 4)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("kind", ["original", "improved"])
def test_the_improved_shortcut_sees_every_pixel_and_the_original_one_in_four(kind: str, norm: str) -> None:
    torch.manual_seed(0)
    style = Style(norm=make_norm(model_of("resnet18", norm).norm))
    layer = shortcut(3, 6, 2, kind, style).eval()
    image = torch.randn(1, 3, 4, 4)
    before = layer(image)
    seen = set()
    for row, column in itertools.product(range(4), range(4)):
        other = image.clone()
        other[:, :, row, column] += 10
        if not torch.equal(layer(other), before):
            seen.add((row, column))

    assert before.shape == (1, 6, 2, 2)
    everywhere = set(itertools.product(range(4), range(4)))
    assert seen == (everywhere if kind == "improved" else {(0, 0), (0, 2), (2, 0), (2, 2)})


@pytest.mark.parametrize("kind", ["original", "improved"])
def test_a_shortcut_between_equal_shapes_is_the_identity(kind: str) -> None:
    images = torch.randn(2, 4, 8, 8)

    assert shortcut(4, 4, 1, kind, Style())(images) is images


def test_the_configuration_chooses_the_shortcut() -> None:
    torch.manual_seed(0)
    original = build(model_of("resnet18", shortcut="original", width=1 / 16), CIFAR10)
    improved = build(model_of("resnet18", shortcut="improved", width=1 / 16), CIFAR10)
    values = zip(original.state_dict().values(), strict=True)
    improved.load_state_dict(dict(zip(improved.state_dict(), (value for (value,) in values), strict=True)))
    images = torch.randn(2, 3, 32, 32)

    assert not torch.allclose(original(images), improved(images))


def test_a_block_adds_its_paths_and_then_rectifies() -> None:
    torch.manual_seed(0)
    block = build(model_of("resnet18", shortcut="improved", width=1 / 16), CIFAR10).blocks[2].eval()
    images = torch.randn(2, 4, 8, 8)

    torch.testing.assert_close(block(images), (block.main(images) + block.shortcut(images)).clamp(min=0))
