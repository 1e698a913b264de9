"""3x3 convolution by Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin & Gray 2016, arXiv:1509.09308).

A tile of 4 x 4 outputs needs 36 products per pair of channels instead of 144; kernels/winograd.h computes it. In
float64 the result equals the direct convolution's up to rounding; in float32 the rounding error is about ten times that
of a direct convolution. A weight whose gradient is exactly 0, behind dead units, may get a gradient of rounding size,
whose sign Lion follows.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crossarch.trainables.cpu import native

TILE = 4
"""Side of a tile of outputs, in pixels; a tile reads (TILE + 2) x (TILE + 2) inputs."""
PANEL = 32
"""Input and output channels must be multiples of it: it is a multiple of every processor's vector length."""
FEWEST_CHANNELS = 64
"""Minimum of input and output channels: with fewer, the transforms cost more than the saved products."""
FEWEST_TILES = 10
"""Minimum of tiles in a batch: with fewer, transforming the weights costs more than the saved products."""
BLOCK = 256
"""Approximate number of tiles that are transformed together, so that they stay in the processor's cache."""


def is_suited(convolution: nn.Conv2d) -> bool:
    """True if the convolution is plain (see `is_plain`) and its channels are enough and multiples of PANEL."""
    channels = (convolution.in_channels, convolution.out_channels)
    return (
        is_plain(convolution)
        and min(channels) >= FEWEST_CHANNELS
        and channels[0] % PANEL == 0
        and channels[1] % PANEL == 0
    )


def is_plain(convolution: nn.Conv2d) -> bool:
    """True for 3x3, stride 1, padding 1 with zeros, no dilation and no groups."""
    return (
        convolution.kernel_size == (3, 3)
        and convolution.stride == (1, 1)
        and convolution.padding == (1, 1)
        and convolution.dilation == (1, 1)
        and convolution.groups == 1
        and convolution.padding_mode == "zeros"
    )


def is_faster(images: Tensor) -> bool:
    """True if H and W of images (N, C, H, W) are multiples of TILE and the batch has at least FEWEST_TILES tiles."""
    count, _, height, width = images.shape
    tiles = count * height * width // TILE**2
    return height % TILE == 0 and width % TILE == 0 and tiles >= FEWEST_TILES


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """`F.conv2d(images, weight, padding=1)` by the native kernel; differentiable once.

    Args:
        images: (N, C, H, W), H and W multiples of TILE and C of PANEL. Copied unless channels last.
        weight: (O, C, 3, 3), O a multiple of PANEL. Copied unless channels last.

    Returns:
        (N, O, H, W), channels last.

    Raises:
        RuntimeError: There is no kernel for such tensors (see `native.find_kernel`).
    """
    convolved: Tensor = _Convolution.apply(images, weight)  # type: ignore[no-untyped-call]
    return convolved


class _Convolution(torch.autograd.Function):
    """Saves the transformed tiles, from which the gradient of the weight is computed."""

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor) -> Tensor:
        images, weight = to_nhwc(images), to_nhwc(weight)
        kernel = native.require_kernel("winograd_forward", images, weight)
        context.sizes = sizes(images, len(weight))
        result = images.new_empty((*images.shape[:3], len(weight)))
        tiles = images.new_empty(tile_buffer_size(images))
        kernel(*native.pointers(images, weight, tiles, result), *context.sizes)
        context.save_for_backward(weight, tiles)
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weight, tiles = context.saved_tensors
        gradient = to_nhwc(gradient)
        images_shape = (*gradient.shape[:3], weight.shape[3])
        images_gradient = gradient.new_empty(images_shape) if context.needs_input_grad[0] else None
        weight_gradient = torch.empty_like(weight) if context.needs_input_grad[1] else None
        kernel = native.require_kernel("winograd_backward", gradient, weight)
        kernel(*native.pointers(gradient, weight, tiles, images_gradient, weight_gradient), *context.sizes)
        return to_nchw(images_gradient), to_nchw(weight_gradient)


def sizes(images: Tensor, out_channels: int) -> tuple[int, ...]:
    """The kernels' size arguments for images (N, H, W, C): N, H, W, C, output channels, images per block."""
    return *images.shape, out_channels, images_per_block(images)


def to_nhwc(tensor: Tensor) -> Tensor:
    """(N, H, W, C) of (N, C, H, W), contiguous: a view of a channels-last tensor, else a copy."""
    return tensor.permute(0, 2, 3, 1).contiguous()


def to_nchw(tensor: Tensor | None) -> Tensor | None:
    """The view (N, C, H, W) of (N, H, W, C); None of None."""
    return None if tensor is None else tensor.permute(0, 3, 1, 2)


def tile_buffer_size(images: Tensor) -> int:
    """Number of elements of the transformed tiles of images (N, H, W, C).

    Per block and channel, 36 numbers for each tile, plus a gap of at most PANEL after each of the 36 places.
    """
    blocks = -(-len(images) // images_per_block(images))
    return 36 * (images.numel() // TILE**2 + PANEL * blocks)


def images_per_block(images: Tensor) -> int:
    """How many images (N, H, W, C) are transformed together: about BLOCK tiles, at least one image."""
    return max(1, BLOCK * TILE**2 // (images.shape[1] * images.shape[2]))
