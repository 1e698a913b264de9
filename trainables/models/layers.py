"""Layers that the networks share: convolutions, normalisation by name (App. C, Models), the width multiplier."""

from dataclasses import dataclass
from functools import partial

from torch import nn

from crossarch.trainables.config.run import ModelConfig
from crossarch.trainables.methods.drop_path import Norm


def batch_norm(channels: int) -> nn.Module:
    """BatchNorm, FRePo's."""
    return nn.BatchNorm2d(channels)


def instance_norm(channels: int) -> nn.Module:
    """InstanceNorm as MTT has it: a GroupNorm of one channel a group, affine."""
    return nn.GroupNorm(channels, channels)


def group_norm(channels: int, *, groups: int | None, channels_per_group: int | None) -> nn.Module:
    """GroupNorm of so many groups, or of groups of so many channels, at least one.

    Raises ValueError where the channels do not fall into equal groups.
    """
    count = groups or max(1, channels // (channels_per_group or 1))
    if channels % count:
        raise ValueError(f"model.groups: {channels} channels do not fall into {count} equal groups")
    return nn.GroupNorm(count, channels)


def make_norm(name: str, config: ModelConfig) -> Norm:
    """The normalisation of that name, with the groups of `config`."""
    if name == "group":
        return partial(group_norm, groups=config.groups, channels_per_group=config.channels_per_group)
    return {"batch": batch_norm, "instance": instance_norm}[name]


def scaled(channels: int, width: float) -> int:
    """A channel count times the width multiplier, at least 1."""
    return max(1, round(channels * width))


@dataclass(frozen=True, kw_only=True)
class Style:
    """What the layers of a network have in common."""

    norm: Norm = batch_norm
    first_norm: Norm | None = None
    """Of the first layer, where it is another."""
    bias: bool = False
    """Whether convolutions have a bias although a norm follows."""


def convolution(
    inner: int, outer: int, size: int, style: Style, *, stride: int = 1, first: bool = False
) -> list[nn.Module]:
    """A `size` x `size` convolution, padded so that only its stride makes the image smaller, and its norm.

    `first` is for the first layer of a network.
    """
    norm = style.first_norm if first and style.first_norm is not None else style.norm
    return [nn.Conv2d(inner, outer, size, stride=stride, padding=size // 2, bias=style.bias), norm(outer)]


def activated(inner: int, outer: int, size: int, style: Style, *, first: bool = False) -> list[nn.Module]:
    """A convolution of stride 1, its norm and ReLU."""
    return [*convolution(inner, outer, size, style, first=first), nn.ReLU(inplace=True)]
