"""The ConvNet in its two widths, against sums worked by hand."""

import dataclasses

import pytest
import torch

from crossarch.trainables.config.datasets import DATASETS, Dataset
from crossarch.trainables.config.run import BatchNorm, ConvNetConfig, InstanceNorm, NormConfig
from crossarch.trainables.models.convnet import ConvNet
from crossarch.trainables.models.registry import build, parameter_count

CIFAR10 = dataclasses.replace(DATASETS["digits"], channels=3, classes=10, resolution=32)
TINY = dataclasses.replace(CIFAR10, classes=200, resolution=64)

FREPO = ConvNetConfig(architecture="convnet")
MTT = ConvNetConfig(architecture="convnet", channels=(128, 128, 128), norm=InstanceNorm())

FREPO_PARAMETERS = (
    (3 * 128 + 128 * 256 + 256 * 512) * 3 * 3  # convolutions without bias
    + 2 * (128 + 256 + 512)  # scale and shift of the norms
    + (512 * 4 * 4 * 10 + 10)  # 32 x 32 halved three times
)
MTT_PARAMETERS = (3 * 128 + 128 * 128 + 128 * 128) * 3 * 3 + 2 * (128 + 128 + 128) + (128 * 4 * 4 * 10 + 10)


@pytest.mark.parametrize(("config", "expected"), [(FREPO, FREPO_PARAMETERS), (MTT, MTT_PARAMETERS)])
def test_parameters_are_those_counted_by_hand(config: ConvNetConfig, expected: int) -> None:
    assert parameter_count(build(config, CIFAR10)) == expected


def test_mtt_s_network_has_the_published_320010_parameters_but_for_the_convolutions_biases() -> None:
    assert MTT_PARAMETERS == 320_010 - 3 * 128


@pytest.mark.parametrize("norm", [BatchNorm(), InstanceNorm()], ids=lambda norm: norm.kind)
def test_the_norm_does_not_change_the_number_of_parameters(norm: NormConfig) -> None:
    assert parameter_count(build(ConvNetConfig(architecture="convnet", norm=norm), CIFAR10)) == FREPO_PARAMETERS


def test_the_width_multiplies_every_channel_count() -> None:
    expected = (3 * 16 + 16 * 32 + 32 * 64) * 9 + 2 * (16 + 32 + 64) + (64 * 16 * 10 + 10)

    assert parameter_count(build(ConvNetConfig(architecture="convnet", width=0.125), CIFAR10)) == expected


def test_the_narrowest_network_has_one_channel_left() -> None:
    assert (
        parameter_count(build(ConvNetConfig(architecture="convnet", width=1e-6), CIFAR10)) == (3 + 1 + 1) * 9 + 6 + 170
    )


@pytest.mark.parametrize("dataset", [CIFAR10, TINY, DATASETS["digits"]])
@pytest.mark.parametrize("depth", [1, 3, 4])
def test_logits_have_a_row_for_each_image(dataset: Dataset, depth: int) -> None:
    model = build(ConvNetConfig(architecture="convnet", channels=(4,) * depth), dataset)

    images = torch.randn(2, dataset.channels, dataset.resolution, dataset.resolution)

    assert model(images).shape == (2, dataset.classes)


def test_more_blocks_than_the_image_can_be_halved_are_refused() -> None:
    ConvNet(3, 10, 32, (4,) * 5)
    with pytest.raises(ValueError, match=r"model\.channels: 6 blocks are too many for 32 x 32 pixels"):
        ConvNet(3, 10, 32, (4,) * 6)


def test_a_block_is_convolution_norm_relu_and_average_pooling() -> None:
    torch.manual_seed(0)
    model = build(ConvNetConfig(architecture="convnet", channels=(4,), norm=InstanceNorm()), CIFAR10)
    convolution, norm = model.features[0], model.features[1]
    images = torch.randn(2, 3, 32, 32)

    rectified = norm(convolution(images)).clamp(min=0)
    pooled = rectified.unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean((3, 5))

    torch.testing.assert_close(model(images), model.classifier(pooled.flatten(1)))
