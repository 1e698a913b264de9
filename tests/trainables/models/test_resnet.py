"""ResNet18: parameters counted by hand, and what each shortcut sees of its input."""

import dataclasses
import itertools

import pytest
import torch

from crossarch.trainables.config import ModelConfig
from crossarch.trainables.data.catalog import DATASETS
from crossarch.trainables.models.registry import build, parameter_count
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
    model = build(ModelConfig(architecture="resnet18", shortcut=kind, norm=norm), CIFAR10)

    assert parameter_count(model) == by_hand(64, 128, 256, 512) == 11_173_962


def test_the_width_multiplies_every_channel_count() -> None:
    model = build(ModelConfig(architecture="resnet18", shortcut="original", width=0.125), CIFAR10)

    assert parameter_count(model) == by_hand(8, 16, 32, 64)


@pytest.mark.parametrize("kind", ["original", "improved"])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(("channels", "classes", "side"), [(1, 10, 32), (3, 10, 32), (3, 200, 64)])
def test_logits_have_a_row_for_each_image(kind: str, norm: str, channels: int, classes: int, side: int) -> None:
    dataset = dataclasses.replace(CIFAR10, channels=channels, classes=classes, resolution=side)
    model = build(ModelConfig(architecture="resnet18", shortcut=kind, norm=norm, width=1 / 16), dataset)

    assert model(torch.randn(2, channels, side, side)).shape == (2, classes)


def test_resolution_halves_three_times() -> None:
    model = build(ModelConfig(architecture="resnet18", shortcut="improved", width=1 / 16), CIFAR10)

    assert model.blocks(model.stem(torch.randn(2, 3, 32, 32))).shape == (2, 32, 4, 4)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("kind", ["original", "improved"])
def test_the_improved_shortcut_sees_every_pixel_and_the_original_one_in_four(kind: str, norm: str) -> None:
    torch.manual_seed(0)
    layer = shortcut(3, 6, 2, kind, norm).eval()
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

    assert shortcut(4, 4, 1, kind, "batch")(images) is images


def test_the_configuration_chooses_the_shortcut() -> None:
    torch.manual_seed(0)
    original = build(ModelConfig(architecture="resnet18", shortcut="original", width=1 / 16), CIFAR10)
    improved = build(ModelConfig(architecture="resnet18", shortcut="improved", width=1 / 16), CIFAR10)
    values = zip(original.state_dict().values(), strict=True)
    improved.load_state_dict(dict(zip(improved.state_dict(), (value for (value,) in values), strict=True)))
    images = torch.randn(2, 3, 32, 32)

    assert not torch.allclose(original(images), improved(images))


def test_a_block_adds_its_paths_and_then_rectifies() -> None:
    torch.manual_seed(0)
    block = build(ModelConfig(architecture="resnet18", shortcut="improved", width=1 / 16), CIFAR10).blocks[2].eval()
    images = torch.randn(2, 4, 8, 8)

    torch.testing.assert_close(block(images), (block.main(images) + block.shortcut(images)).clamp(min=0))
