"""Layers that the networks share: convolutions, normalisation by name (App. C, Models), the width multiplier."""

from dataclasses import dataclass
from functools import partial

from torch import nn

from crossarch.trainables.config.run import BatchNorm, ChannelGroupNorm, GroupNorm, InstanceNorm, NormConfig
from crossarch.trainables.cpu.layers import Conv2d
from crossarch.trainables.methods.drop_path import Norm


def batch_norm(channels: int) -> nn.Module:
    """BatchNorm, as in FRePo."""
    return nn.BatchNorm2d(channels)


def instance_norm(channels: int) -> nn.Module:
    """InstanceNorm as in MTT: an affine GroupNorm with one channel per group."""
    return nn.GroupNorm(channels, channels)


def group_norm(channels: int, groups: int) -> nn.Module:
    """GroupNorm of so many groups. Raises ValueError where the channels do not fall into equal groups."""
    if channels % groups:
        raise ValueError(f"model.norm.groups: {channels} channels do not fall into {groups} equal groups")
    return nn.GroupNorm(groups, channels)


def channel_group_norm(channels: int, channels_per_group: int) -> nn.Module:
    """GroupNorm of groups of so many channels, one group at least. Raises ValueError as `group_norm` does."""
    return group_norm(channels, max(1, channels // channels_per_group))


def make_norm(config: NormConfig) -> Norm:
    """The normalisation that `config` describes."""
    match config:
        case BatchNorm():
            return batch_norm
        case InstanceNorm():
            return instance_norm
        case GroupNorm(groups=groups):
            return partial(group_norm, groups=groups)
        case ChannelGroupNorm(channels_per_group=size):
            return partial(channel_group_norm, channels_per_group=size)


def scaled(channels: int, width: float) -> int:
    """A number of channels times the width multiplier, rounded, at least 1."""
    return max(1, round(channels * width))


@dataclass(frozen=True, kw_only=True)
class Style:
    """Options that the layers of a network share."""

    norm: Norm = batch_norm
    first_norm: Norm | None = None
    """The norm of the first layer, if it differs."""
    bias: bool = False
    """Whether convolutions have a bias, although a norm follows."""


def convolution(
    inner: int, outer: int, size: int, style: Style, *, stride: int = 1, first: bool = False
) -> list[nn.Module]:
    """A `size` x `size` convolution, padded such that only its stride reduces the resolution, and its norm.

    `first` marks the first layer of a network.
    """
    norm = style.first_norm if first and style.first_norm is not None else style.norm
    return [Conv2d(inner, outer, size, stride=stride, padding=size // 2, bias=style.bias), norm(outer)]


def activated(inner: int, outer: int, size: int, style: Style, *, first: bool = False) -> list[nn.Module]:
    """A convolution of stride 1, its norm and ReLU."""
    return [*convolution(inner, outer, size, style, first=first), nn.ReLU(inplace=True)]
