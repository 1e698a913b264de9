"""Norms by name, and the width multiplier."""

import itertools

import pytest
import torch
from torch import nn

from crossarch.trainables.config.run import BatchNorm, ChannelGroupNorm, GroupNorm, InstanceNorm, NormConfig
from crossarch.trainables.models.layers import channel_group_norm, make_norm, scaled


def test_instance_is_torch_s_instance_norm_with_scale_and_shift() -> None:
    torch.manual_seed(0)
    ours, theirs = make_norm(InstanceNorm())(6), nn.InstanceNorm2d(6, affine=True)
    for layer in (ours, theirs):
        assert isinstance(layer.weight, nn.Parameter)
        assert isinstance(layer.bias, nn.Parameter)
    with torch.no_grad():
        ours.weight.copy_(torch.randn(6))  # type: ignore[operator]
        ours.bias.copy_(torch.randn(6))  # type: ignore[operator]
    theirs.load_state_dict(ours.state_dict())
    images = 3 * torch.randn(4, 6, 8, 8) + 2

    torch.testing.assert_close(ours(images), theirs(images))
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_batch_is_torch_s_batch_norm() -> None:
    assert type(make_norm(BatchNorm())(6)) is nn.BatchNorm2d


@pytest.mark.parametrize(("config", "groups"), [(GroupNorm(groups=4), 4), (ChannelGroupNorm(channels_per_group=2), 6)])
def test_group_normalises_each_group_of_each_image_on_its_own(config: NormConfig, groups: int) -> None:
    torch.manual_seed(0)
    layer = make_norm(config)(12)
    images = 3 * torch.randn(2, 12, 4, 4) + 2

    for image, result in zip(images, layer(images), strict=True):
        for group, normalised in zip(image.chunk(groups), result.chunk(groups), strict=True):
            expected = (group - group.mean()) / (group.var(unbiased=False) + 1e-5).sqrt()
            torch.testing.assert_close(normalised, expected)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 2 * 12


@pytest.mark.parametrize(("channels", "size", "groups"), [(64, 16, 4), (512, 16, 32), (24, 16, 1), (4, 16, 1)])
def test_groups_of_a_size_are_one_at_least(channels: int, size: int, groups: int) -> None:
    layer = channel_group_norm(channels, size)

    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups == groups


@pytest.mark.parametrize(("channels", "groups"), [(6, 4), (2, 4), (512, 3)])
def test_channels_that_do_not_fall_into_equal_groups_are_refused(channels: int, groups: int) -> None:
    with pytest.raises(ValueError, match=rf"^model\.norm\.groups: {channels} channels do not fall into {groups} equal"):
        make_norm(GroupNorm(groups=groups))(channels)


NORMS = (BatchNorm(), InstanceNorm(), GroupNorm(groups=2), ChannelGroupNorm(channels_per_group=2))


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NORMS, 2)), ids=lambda norm: norm.kind)
def test_no_norm_is_another(one: NormConfig, other: NormConfig) -> None:
    torch.manual_seed(0)
    images = 3 * torch.randn(4, 6, 8, 8) + 2

    assert not torch.allclose(make_norm(one)(6)(images), make_norm(other)(6)(images), atol=1e-3)


@pytest.mark.parametrize(("channels", "width", "expected"), [(64, 1, 64), (64, 0.5, 32), (3, 0.5, 2), (64, 1e-9, 1)])
def test_scaled_rounds_and_keeps_a_channel(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected
