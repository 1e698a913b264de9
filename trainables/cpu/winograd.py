"""Convolutions of 3 x 3 by Winograd's minimal filtering, F(4 x 4, 3 x 3) of Lavin & Gray 2016 (arXiv:1509.09308).

A tile of 4 x 4 outputs takes 36 products for each pair of channels instead of 144, as matrix products; the transforms
around them are small matrix products, too. In double precision the result is the convolution's to rounding; in float32
rounding is some ten times that of a direct convolution. A weight whose gradient is exactly 0, behind units that are
dead, may get one of rounding, of which Lion takes the sign.
"""

import functools
import math
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

TILE = 4
"""Outputs along each side of a tile; it reads TILE + 2 inputs along each side."""
FEWEST_CHANNELS = 64
"""In and out: with fewer, the transforms cost more than the products that they save."""
FEWEST_TILES = 10
"""In a batch: with fewer, the transformed weights cost more than the products that they save."""
BLOCK = 2**21
"""Elements of a transformed block of images, about: so many stay in the processor's cache."""
OUTPUTS = 128
"""Channels of a block of outputs."""

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
            order = (2, 3, 0, 1)  # which is its own inverse
            module.weight.data = module.weight.data.permute(order).contiguous().permute(order)


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
    """`convolve` on blocks of images and of outputs; tiles lie as (36 places, tiles, channels), weights as (36, O, C).

    Transformed weights are 4 times the weights: they are made for a block of outputs at a time, used while they are in
    the processor's cache, and made again for the gradient rather than kept.
    """

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor) -> Tensor:
        taps = weight.permute(2, 3, 0, 1).reshape(9, *weight.shape[:2])
        result = images.new_empty((len(images), *images.shape[2:], len(weight)))
        size, blocks = block_size(images, len(weight)), []
        for own, target in zip(images.permute(0, 2, 3, 1).split(size), result.split(size), strict=True):
            tiles = cut(own)
            for some, part in zip(taps.split(OUTPUTS, 1), target.split(OUTPUTS, 3), strict=True):
                products = scratch("products", (36, tiles.shape[1], some.shape[1]), tiles)
                torch.bmm(tiles, transformed(some).transpose(1, 2), out=products)
                outputs = scratch("tiles", (16, products[0].numel()), tiles)
                put(torch.mm(both_sides(_OUTPUT, tiles), products.view(36, -1), out=outputs), part)
            blocks.append(tiles)
        context.save_for_backward(taps, *blocks)
        context.block_size = size
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(context: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        taps, *blocks = context.saved_tensors
        for_images, for_weights = context.needs_input_grad
        slope = slope.permute(0, 2, 3, 1)
        of_images = slope.new_empty((*slope.shape[:3], taps.shape[2])) if for_images else None
        of_taps = taps.new_empty(taps.shape) if for_weights else None
        first = 0
        for own, tiles in zip(slope.split(context.block_size), blocks, strict=True):
            total = scratch("tiles", tiles.shape, tiles) if for_images else None
            for place in range(0, taps.shape[1], OUTPUTS):
                some = slice(place, place + OUTPUTS)
                products = spread(own[..., some])
                if total is not None:
                    total.baddbmm_(products, transformed(taps[:, some]), beta=1 if place else 0)
                if of_taps is not None:
                    turned = scratch("weights", (36, products.shape[2], taps.shape[2]), taps)
                    torch.bmm(products.transpose(1, 2), tiles, out=turned)
                    sums = of_taps[:, some].view(9, -1)
                    sums.addmm_(both_sides(_WEIGHT, taps).T, turned.view(36, -1), beta=1 if first else 0)
            if of_images is not None and total is not None:
                join(total, of_images[first : first + len(own)])
            first += len(own)
        return (
            None if of_images is None else of_images.permute(0, 3, 1, 2),
            None if of_taps is None else of_taps.view(3, 3, *taps.shape[1:]).permute(2, 3, 0, 1),
        )


def transformed(taps: Tensor) -> Tensor:
    """The weights (36, O, C) of taps (9, O, C), in scratch."""
    weights = scratch("weights", (36, *taps.shape[1:]), taps)
    torch.mm(both_sides(_WEIGHT, taps), taps.flatten(1), out=weights.view(36, -1))
    return weights


def cut(images: Tensor) -> Tensor:
    """The transformed tiles (36, tiles, C) of images (N, H, W, C)."""
    count, height, width, channels = images.shape
    padded = scratch("padded", _padded(images.shape), images).zero_()
    padded[:, 1:-1, 1:-1] = images
    image, row, column, channel = padded.stride()
    size = (TILE + 2, TILE + 2, count, height // TILE, width // TILE, channels)
    view = padded.as_strided(size, (row, column, image, TILE * row, TILE * column, channel), padded.storage_offset())
    tiles = scratch("tiles", size, images).copy_(view)
    return torch.mm(both_sides(_INPUT, images), tiles.view(36, -1)).view(36, -1, channels)


def join(tiles: Tensor, images: Tensor) -> None:
    """Writes to images (N, H, W, C) the sums of what tiles (36, tiles, C) say of them: `cut`'s gradient."""
    count, height, width, channels = images.shape
    down, across = height // TILE, width // TILE
    grid = scratch("products", (TILE + 2, TILE + 2, count, down, across, channels), tiles)
    torch.mm(both_sides(_INPUT, tiles).T, tiles.view(36, -1), out=grid.view(36, -1))
    grid = grid.permute(2, 3, 0, 4, 1, 5)
    padded = scratch("padded", (count, down + 1, TILE, across + 1, TILE, channels), tiles).zero_()
    padded[:, :down, :, :across] = grid[:, :, :TILE, :, :TILE]
    padded[:, 1:, :2, :across] += grid[:, :, TILE:, :, :TILE]
    padded[:, :down, :, 1:, :2] += grid[:, :, :TILE, :, TILE:]
    padded[:, 1:, :2, 1:, :2] += grid[:, :, TILE:, :, TILE:]
    images.copy_(padded.view(count, height + TILE, width + TILE, channels)[:, 1 : height + 1, 1 : width + 1])


def put(tiles: Tensor, images: Tensor) -> None:
    """Writes tiles (16, tiles x C) to images (N, H, W, C)."""
    count, height, width, channels = images.shape
    grid = tiles.view(TILE, TILE, count, height // TILE, width // TILE, channels).permute(2, 3, 0, 4, 1, 5)
    images.view(count, height // TILE, TILE, width // TILE, TILE, channels).copy_(grid)


def spread(images: Tensor) -> Tensor:
    """What images (N, H, W, O) are the slopes of, as products (36, tiles, O), in scratch: `put`'s gradient."""
    count, height, width, outs = images.shape
    grid = images.reshape(count, height // TILE, TILE, width // TILE, TILE, outs).permute(2, 4, 0, 1, 3, 5)
    tiles = scratch("slopes", grid.shape, images).copy_(grid).view(TILE**2, -1)
    products = scratch("products", (36, tiles.shape[1] // outs, outs), images)
    torch.mm(both_sides(_OUTPUT, images).T, tiles, out=products.view(36, -1))
    return products


def block_size(images: Tensor, outs: int) -> int:
    """How many images (N, C, H, W) at a time, so that neither their tiles nor those of `outs` channels exceed BLOCK."""
    _, ins, height, width = images.shape
    return max(1, BLOCK // (36 * (height // TILE) * (width // TILE) * max(ins, outs)))


def both_sides(rows: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """The paper's B^T, G or A^T, on both sides of a tile at once: (36, 36), (36, 9) or (16, 36)."""
    return _both_sides(rows, like.dtype, like.device)


@functools.cache
def _both_sides(rows: tuple[tuple[float, ...], ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    matrix = torch.tensor(rows, dtype=dtype, device=device)
    return torch.kron(matrix, matrix)


def scratch(name: str, shape: Sequence[int], like: Tensor) -> Tensor:
    """Memory of that shape which this thread uses again and again, so that it stays in the processor's cache."""
    size, key = math.prod(shape), f"{name} {like.dtype} {like.device}"
    memory: Tensor | None = getattr(_kept, key, None)
    if memory is None or memory.numel() < size:
        memory = like.new_empty(size)
        setattr(_kept, key, memory)
    return memory[:size].view(shape)


_kept = threading.local()


def _padded(shape: torch.Size) -> tuple[int, int, int, int]:
    count, height, width, channels = shape
    return count, height + 2, width + 2, channels
