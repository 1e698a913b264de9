"""Norms by name, and the width multiplier."""

import pytest
import torch
from torch import nn

from crossarch.trainables.models.norm import norm_layer, scaled


def test_instance_is_torch_s_instance_norm_with_scale_and_shift() -> None:
    torch.manual_seed(0)
    ours, theirs = norm_layer("instance", 6), nn.InstanceNorm2d(6, affine=True)
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
    assert type(norm_layer("batch", 6)) is nn.BatchNorm2d


@pytest.mark.parametrize(("channels", "width", "expected"), [(64, 1, 64), (64, 0.5, 32), (3, 0.5, 2), (64, 1e-9, 1)])
def test_scaled_rounds_and_keeps_a_channel(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected
