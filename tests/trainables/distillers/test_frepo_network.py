"""FRePo's own ConvNet: its parts, its size, its start."""

import pytest
import torch
from torch import nn

from crossarch.trainables.distillers.frepo import FeatureNet, channels


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_parameters_are_as_many_as_by_hand():
    convolutions = (3 * 9 + 1) * 128 + (128 * 9 + 1) * 256 + (256 * 9 + 1) * 512
    norms = 2 * 128 + 2 * 256

    assert parameters(FeatureNet(3, 10, 32)) == convolutions + norms + (512 * 16 + 1) * 10 == 1_561_610


def test_batch_norm_is_before_the_second_and_the_third_convolution_only():
    block = [nn.Conv2d, nn.ReLU, nn.AvgPool2d]

    assert [type(layer) for layer in FeatureNet(3, 10, 32).blocks] == [
        *block,
        *(nn.BatchNorm2d, *block),
        *(nn.BatchNorm2d, *block),
    ]


@pytest.mark.parametrize(
    ("resolution", "width", "expected"),
    [(32, 1, (128, 256, 512)), (64, 1, (128, 256, 512, 1024)), (32, 0.125, (16, 32, 64))],
)
def test_channels_double_down_to_4_x_4_pixels(resolution, width, expected):
    assert channels(resolution, width) == expected
    with torch.device("meta"):
        assert FeatureNet(1, 10, resolution, width).features(torch.zeros(2, 1, resolution, resolution)).shape == (
            2,
            expected[-1] * 16,
        )


def test_weights_start_as_lecun_has_them_and_biases_at_zero():
    torch.manual_seed(0)
    network = FeatureNet(3, 10, 32, width=0.5)
    for layer in (network.blocks[4], network.blocks[8], network.head):
        weight = layer.weight.detach()
        inputs = weight[0].numel()
        assert float(weight.std()) == pytest.approx(inputs**-0.5, rel=0.03)
        assert float(weight.abs().max()) <= 2 * inputs**-0.5 / 0.8796
        assert not layer.bias.any()


def test_running_statistics_take_nine_tenths_of_a_new_batch():
    torch.manual_seed(0)
    network = FeatureNet(1, 10, 16, width=1 / 16)
    images = torch.randn(6, 1, 16, 16)
    norm, before = network.blocks[3], network.blocks[:3](images)

    network.train()(images)

    torch.testing.assert_close(norm.running_mean, 0.9 * before.mean((0, 2, 3)))
