"""Normalisation layers by name (App. C, Models), and the width multiplier."""

from collections.abc import Callable
from functools import partial

from torch import nn

from crossarch.trainables.parts import ModelConfig

Norm = Callable[[int], nn.Module]
"""Makes the normalisation of that many channels."""


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
