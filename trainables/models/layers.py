"""What all networks are made of."""

from dataclasses import dataclass

from torch import nn

from crossarch.trainables.models.norm import Norm, batch_norm


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
