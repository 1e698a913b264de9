"""Normalisation layers by name (App. C, Models)."""

from torch import nn


def norm_layer(name: str, channels: int) -> nn.Module:
    """`batch`: BatchNorm. `instance`: InstanceNorm, as a GroupNorm of one channel a group, affine (MTT's)."""
    if name == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(channels, channels)


def scaled(channels: int, width: float) -> int:
    """A channel count times the width multiplier, at least 1."""
    return max(1, round(channels * width))
