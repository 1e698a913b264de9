"""Convolutions of 3 x 3 by Winograd's minimal filtering, F(4 x 4, 3 x 3) of Lavin & Gray 2016 (arXiv:1509.09308).

A tile of 4 x 4 outputs takes 36 products for each pair of channels instead of 144, as matrix products; the transforms
around them are small matrix products, too. In double precision the result is the convolution's to rounding; in float32
rounding is some ten times that of a direct convolution. A weight whose gradient is exactly 0, behind units that are
dead, may get one of rounding, of which Lion takes the sign.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

TILE = 4
"""Outputs along each side of a tile; it reads TILE + 2 inputs along each side."""
FEWEST_CHANNELS = 64
"""In and out: with fewer, the transforms cost more than the products that they save."""
FEWEST_TILES = 32
"""In a batch: with fewer, the transformed weights cost more to read than the products that they save."""
BLOCK = 2**21
"""Elements of a transformed block of images, about: so many stay in the processor's cache."""

_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_WEIGHT = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


class WinogradConv2d(nn.Conv2d):
    """A convolution that goes by `convolve` where it is the faster; a `nn.Conv2d` of 3 x 3 is made one in place."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002, torch's name
        if not pays(input):
            direct: Tensor = super()._conv_forward(input, weight, bias)
            return direct
        convolved = convolve(input, weight)
        return convolved if bias is None else convolved + bias[:, None, None]


def use_winograd(network: nn.Module) -> None:
    """Lets the network's convolutions of 3 x 3, stride 1 and padding 1 go by `convolve`, in place."""
    for module in network.modules():
        if type(module) is nn.Conv2d and is_suited(module):
            module.__class__ = WinogradConv2d


def is_suited(convolution: nn.Conv2d) -> bool:
    """Whether it is of 3 x 3, stride 1, padding 1 with zeros, neither dilated nor in groups, and wide enough."""
    shape = (convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation)
    return (
        shape == ((3, 3), (1, 1), (1, 1), (1, 1))
        and convolution.groups == 1
        and convolution.padding_mode == "zeros"
        and min(convolution.in_channels, convolution.out_channels) >= FEWEST_CHANNELS
    )


def pays(images: Tensor) -> bool:
    """Whether images (N, C, H, W) are of whole tiles, and of enough of them."""
    count, _, height, width = images.shape
    tiles = count * height * width // TILE**2
    return height % TILE == 0 and width % TILE == 0 and tiles >= FEWEST_TILES


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """`F.conv2d(images, weight, padding=1)` of images (N, C, H, W) and weight (O, C, 3, 3), H and W multiples of TILE.

    Differentiable once.
    """
    convolved: Tensor = _Convolution.apply(images, weight)  # type: ignore[no-untyped-call]
    return convolved


class _Convolution(torch.autograd.Function):
    """`convolve` on blocks of images; tiles lie as (36 places, tiles, channels), weights as (36, O, C)."""

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor) -> Tensor:
        outs, ins = weight.shape[:2]
        rows = weight.permute(2, 3, 0, 1).reshape(9, outs * ins)
        weights = torch.mm(both_sides(_WEIGHT, weight), rows).view(36, outs, ins)
        result = images.new_empty((len(images), *images.shape[2:], outs))
        blocks = []
        size = block_size(images, outs)
        for own, target in zip(images.permute(0, 2, 3, 1).split(size), result.split(size), strict=True):
            tiles = cut(own)
            products = torch.bmm(tiles, weights.transpose(1, 2))
            put(torch.mm(both_sides(_OUTPUT, images), products.view(36, -1)), target)
            blocks.append(tiles)
        context.save_for_backward(weights, *blocks)
        context.block_size = size
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(context: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weights, *blocks = context.saved_tensors
        outs, ins = weights.shape[1:]
        slope = slope.permute(0, 2, 3, 1)
        of_images = slope.new_zeros(_padded(slope.shape, ins)) if context.needs_input_grad[0] else None
        of_weights, first = None, 0
        for own, tiles in zip(slope.split(context.block_size), blocks, strict=True):
            products = torch.mm(both_sides(_OUTPUT, slope).T, take(own)).view(36, -1, outs)
            if of_images is not None:
                slopes = torch.mm(both_sides(_INPUT, slope).T, torch.bmm(products, weights).view(36, -1))
                add(slopes, of_images[first : first + len(own)])
            if context.needs_input_grad[1]:
                turned = products.transpose(1, 2)
                of_weights = torch.bmm(turned, tiles) if of_weights is None else of_weights.baddbmm_(turned, tiles)
            first += len(own)
        if of_weights is not None:
            rows = torch.mm(both_sides(_WEIGHT, slope).T, of_weights.view(36, -1))
            of_weights = rows.view(3, 3, outs, ins).permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)
        return None if of_images is None else of_images[:, 1:-1, 1:-1].permute(0, 3, 1, 2), of_weights


def both_sides(rows: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """The paper's B^T, G or A^T, on both sides of a tile at once: (36, 36), (36, 9) or (16, 36)."""
    matrix = torch.tensor(rows, dtype=like.dtype, device=like.device)
    return torch.kron(matrix, matrix)


def cut(images: Tensor) -> Tensor:
    """The transformed tiles (36, tiles, C) of images (N, H, W, C)."""
    count, height, width, channels = images.shape
    padded = images.new_zeros(_padded(images.shape, channels))
    padded[:, 1:-1, 1:-1] = images
    image, row, column, channel = padded.stride()
    size = (TILE + 2, TILE + 2, count, height // TILE, width // TILE, channels)
    tiles = padded.as_strided(size, (row, column, image, TILE * row, TILE * column, channel))
    return torch.mm(both_sides(_INPUT, images), tiles.reshape(36, -1)).view(36, -1, channels)


def put(tiles: Tensor, images: Tensor) -> None:
    """Writes tiles (16, tiles x C) to images (N, H, W, C)."""
    count, height, width, channels = images.shape
    grid = tiles.view(TILE, TILE, count, height // TILE, width // TILE, channels).permute(2, 3, 0, 4, 1, 5)
    images.view(count, height // TILE, TILE, width // TILE, TILE, channels).copy_(grid)


def take(images: Tensor) -> Tensor:
    """The tiles (16, tiles x C) of images (N, H, W, C): the inverse of `put`."""
    count, height, width, channels = images.shape
    grid = images.reshape(count, height // TILE, TILE, width // TILE, TILE, channels)
    return grid.permute(2, 4, 0, 1, 3, 5).reshape(TILE**2, -1)


def add(tiles: Tensor, padded: Tensor) -> None:
    """Adds tiles (36, tiles x C), which overlap, to padded images (N, H + 2, W + 2, C)."""
    count, height, width, channels = padded.shape
    grid = tiles.view(TILE + 2, TILE + 2, count, height // TILE, width // TILE, channels)
    for row in range(TILE + 2):
        for column in range(TILE + 2):
            padded[:, row : row + height - 3 : TILE, column : column + width - 3 : TILE].add_(grid[row, column])


def block_size(images: Tensor, outs: int) -> int:
    """How many images (N, C, H, W) at a time, so that neither their tiles nor those of `outs` channels exceed BLOCK."""
    _, ins, height, width = images.shape
    return max(1, BLOCK // (36 * (height // TILE) * (width // TILE) * max(ins, outs)))


def _padded(shape: torch.Size, channels: int) -> tuple[int, int, int, int]:
    count, height, width, _ = shape
    return count, height + 2, width + 2, channels
