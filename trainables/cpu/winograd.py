"""Convolutions of 3 x 3 by Winograd's minimal filtering, F(4 x 4, 3 x 3) of Lavin & Gray 2016 (arXiv:1509.09308).

A tile of 4 x 4 outputs takes 36 products for each pair of channels instead of 144; kernels/winograd.cpp computes it. In
double precision the result is the convolution's to rounding; in float32 rounding is some ten times that of a direct
convolution. A weight whose gradient is exactly 0, behind units that are dead, may get one of rounding, of which Lion
takes the sign.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crossarch.trainables.cpu import native

TILE = 4
"""Outputs along each side of a tile; it reads TILE + 2 inputs along each side."""
PANEL = 32
"""Channels in and out are multiples of it: every processor's vectors divide it."""
FEWEST_CHANNELS = 64
"""In and out: with fewer, the transforms cost more than the products that they save."""
FEWEST_TILES = 10
"""In a batch: with fewer, the transformed weights cost more than the products that they save."""
BLOCK = 256
"""Tiles, about, of the images that are transformed together and stay in the processor's cache."""
NONE, FEW, WINOGRAD = range(3)
"""What convolves, as kernels/block.cpp has it."""


class WinogradConv2d(nn.Conv2d):
    """A convolution that goes by `convolve` where it is the faster; a `nn.Conv2d` of 3 x 3 is made one in place."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002, torch's name
        if not pays(input) or native.kernel("winograd_forward", input, weight) is None:
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
    """Whether it is plain, and wide enough."""
    channels = (convolution.in_channels, convolution.out_channels)
    return is_plain(convolution) and min(channels) >= FEWEST_CHANNELS and not any(count % PANEL for count in channels)


def is_plain(convolution: nn.Conv2d) -> bool:
    """Whether it is of 3 x 3, stride 1, padding 1 with zeros, neither dilated nor in groups."""
    shape = (convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation)
    plain = shape == ((3, 3), (1, 1), (1, 1), (1, 1)) and convolution.groups == 1
    return plain and convolution.padding_mode == "zeros"


def pays(images: Tensor) -> bool:
    """Whether images (N, C, H, W) are of whole tiles, and of enough of them."""
    count, _, height, width = images.shape
    tiles = count * height * width // TILE**2
    return height % TILE == 0 and width % TILE == 0 and tiles >= FEWEST_TILES


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """`F.conv2d(images, weight, padding=1)` of images (N, C, H, W) and weight (O, C, 3, 3), by the native kernel.

    H and W are multiples of TILE, C and O of PANEL; both are best channels last. Differentiable once. Raises
    RuntimeError where there is no kernel for such tensors.
    """
    convolved: Tensor = _Convolution.apply(images, weight)  # type: ignore[no-untyped-call]
    return convolved


class _Convolution(torch.autograd.Function):
    """`convolve`, whose transformed tiles are kept for the gradient."""

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor) -> Tensor:
        images, taps = channels_last(images), channels_last(weight)
        kernel = native.required("winograd_forward", images, taps)
        context.sizes = sizes(WINOGRAD, images, len(taps))
        result = images.new_empty((*images.shape[:3], len(taps)))
        tiles = images.new_empty(tiles_size(images))
        kernel(*native.pointers(images, taps, tiles, result), *context.sizes)
        context.save_for_backward(taps, tiles)
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(context: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        taps, tiles = context.saved_tensors
        slope = channels_last(slope)
        shape = (*slope.shape[:3], taps.shape[3])
        of_images = slope.new_empty(shape) if context.needs_input_grad[0] else None
        of_taps = torch.empty_like(taps) if context.needs_input_grad[1] else None
        kernel = native.required("winograd_backward", slope, taps)
        kernel(*native.pointers(slope, taps, tiles, of_images, of_taps), *context.sizes)
        return channels_first(of_images), channels_first(of_taps)


def sizes(kind: int, images: Tensor, outs: int) -> tuple[int, ...]:
    """What the kernels are told: what convolves images (N, H, W, C), their sizes, channels out, images at a time."""
    return kind, *images.shape, outs, block_size(images)


def channels_last(tensor: Tensor) -> Tensor:
    """(N, H, W, C) of (N, C, H, W), without gaps."""
    return tensor.permute(0, 2, 3, 1).contiguous()


def channels_first(tensor: Tensor | None) -> Tensor | None:
    """The view (N, C, H, W) of (N, H, W, C)."""
    return None if tensor is None else tensor.permute(0, 3, 1, 2)


def tiles_size(images: Tensor) -> int:
    """Numbers of the transformed tiles of images (N, H, W, C): in each block 36 places, PANEL apart at most."""
    return 36 * (images.numel() // TILE**2 + PANEL * -(-len(images) // block_size(images)))


def block_size(images: Tensor) -> int:
    """How many images (N, H, W, C) at a time: one at least."""
    return max(1, BLOCK * TILE**2 // (images.shape[1] * images.shape[2]))
