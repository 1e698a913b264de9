"""What all networks have in common: shapes, norms, biases and the width multiplier."""

import pytest
import torch
from settings import NETWORKS, images_of, model_of
from torch import nn

from crossarch.trainables.config.run import ChannelGroupNorm, GroupNorm
from crossarch.trainables.models.registry import build, build_on_meta, parameter_count

CONVOLUTION_CHANNELS = {
    "convnet": 128 + 256 + 512,
    "resnet18": 64 + 4 * 64 + (4 + 1) * (128 + 256 + 512),
    "resnet50": 64
    + 3 * (64 + 64 + 256) + 256  # each bottleneck's three convolutions, and each stage's one shortcut
    + 4 * (128 + 128 + 512) + 512
    + 6 * (256 + 256 + 1024) + 1024
    + 3 * (512 + 512 + 2048) + 2048,
    "alexnet": 128 + 192 + 256 + 192 + 192,
    "vgg11": 64 + 128 + 2 * 256 + 4 * 512,
}  # fmt: skip
"""Output channels of all convolutions, by hand."""

FEATURES = {
    "convnet": {32: 512 * 4 * 4, 64: 512 * 8 * 8},
    "resnet18": {32: 512, 64: 512},
    "resnet50": {32: 2048, 64: 2048},
    "alexnet": {32: 192 * 4 * 4, 64: 192 * 8 * 8},
    "vgg11": {32: 512, 64: 512 * 2 * 2},
}
"""What the linear head sees."""

FIRST = {"convnet": (128, 3), "resnet18": (64, 3), "resnet50": (64, 3), "alexnet": (128, 5), "vgg11": (64, 3)}
"""Output channels and kernel size of the first convolution."""

each_network = pytest.mark.parametrize("network", NETWORKS)
each_norm = pytest.mark.parametrize("norm", ["batch", "instance", "group"])


def count(network: str, norm: str = "batch", channels: int = 3, classes: int = 10, side: int = 32, **changes) -> int:
    return parameter_count(build_on_meta(model_of(network, norm, **changes), images_of(channels, classes, side)))


@each_network
@each_norm
@pytest.mark.parametrize("resolution", [32, 64])
@pytest.mark.parametrize(("channels", "classes"), [(1, 10), (3, 10), (1, 100), (3, 100)])
@torch.no_grad()
def test_logits_have_a_row_for_each_image(
    network: str, norm: str, resolution: int, channels: int, classes: int
) -> None:
    model = build(model_of(network, norm, width=1 / 32), images_of(channels, classes, resolution))
    images = torch.randn(2, channels, resolution, resolution)

    assert model(images).shape == model.eval()(images).shape == (2, classes)


@each_network
@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("classes", [2, 100])
def test_classes_and_pixels_change_the_head_alone(network: str, side: int, classes: int) -> None:
    body = count(network) - (FEATURES[network][32] * 10 + 10)

    assert count(network, classes=classes, side=side) == body + FEATURES[network][side] * classes + classes


@each_network
def test_grey_images_change_the_first_convolution_alone(network: str) -> None:
    outer, size = FIRST[network]

    assert count(network) - count(network, channels=1) == 2 * outer * size * size


@each_network
@each_norm
def test_conv_bias_adds_a_number_for_each_output_channel(network: str, norm: str) -> None:
    assert count(network, norm, conv_bias=True) - count(network, norm) == CONVOLUTION_CHANNELS[network]


@each_network
def test_conv_bias_is_of_all_convolutions_or_of_none(network: str) -> None:
    for bias in (True, False):
        model = build_on_meta(model_of(network, conv_bias=bias), images_of())
        assert {layer.bias is not None for layer in model.modules() if isinstance(layer, nn.Conv2d)} == {bias}


@each_network
def test_every_norm_trains_as_many_parameters_and_follows_every_convolution(network: str) -> None:
    counts = {count(network, norm) for norm in ("batch", "instance", "group")}
    model = build_on_meta(model_of(network), images_of())
    norms = [layer.num_features for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]

    assert len(counts) == 1
    assert sum(norms) == CONVOLUTION_CHANNELS[network]


@each_network
def test_no_wider_network_has_fewer_parameters(network: str) -> None:
    counts = [count(network, width=width) for width in (1e-6, 1 / 64, 1 / 32, 1 / 8, 1 / 2, 1, 2)]

    assert counts == sorted(set(counts))
    assert counts[-2] == count(network)


@each_network
@pytest.mark.parametrize(("norm", "first"), [("instance", "batch"), ("group", "batch"), ("batch", "instance")])
def test_first_norm_is_that_of_the_first_layer_alone(network: str, norm: str, first: str) -> None:
    torch.manual_seed(0)
    kinds = {"batch": nn.BatchNorm2d, "instance": nn.GroupNorm, "group": nn.GroupNorm}
    model = build(model_of(network, norm, first_norm=first, width=1 / 32), images_of())
    plain = build(model_of(network, norm, width=1 / 32), images_of())
    met: list[nn.Module] = []
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            layer.register_forward_hook(lambda layer, given, result: met.append(layer))

    model(torch.randn(2, 3, 32, 32))

    assert [type(layer) for layer in met] == [kinds[first]] + [kinds[norm]] * (len(met) - 1)
    if first == "instance":
        assert met[0].num_groups == met[0].num_channels
    assert parameter_count(model) == parameter_count(plain)


@each_network
def test_groups_are_those_of_the_configuration(network: str) -> None:
    for norm, size in ((GroupNorm(groups=4), None), (ChannelGroupNorm(channels_per_group=16), 16)):
        model = build_on_meta(model_of(network).model_copy(update={"norm": norm}), images_of())
        norms = [layer for layer in model.modules() if isinstance(layer, nn.GroupNorm)]
        assert norms
        for layer in norms:
            assert layer.num_groups == (4 if size is None else layer.num_channels // size)


@each_network
def test_channels_that_do_not_fall_into_equal_groups_are_refused(network: str) -> None:
    sevenths = model_of(network).model_copy(update={"norm": GroupNorm(groups=7)})
    with pytest.raises(ValueError, match=r"^model\.norm\.groups: \d+ channels do not fall into 7 equal groups$"):
        build_on_meta(sevenths, images_of())
