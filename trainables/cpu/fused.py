"""Convolution, batch normalisation in training mode, ReLU and 2x2 average pooling as one native operation.

Separately, each of them is small compared to the overhead of calling it and to the memory traffic of its result.
kernels/conv_norm_relu_pool.cpp computes them together.
"""

from enum import IntEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crossarch.trainables.cpu import native, winograd
from crossarch.trainables.cpu.winograd import sizes, tile_buffer_size, to_nchw, to_nhwc


class ConvolutionKind(IntEnum):
    """The convolution in front of the normalisation; the numbers are those of kernels/conv_norm_relu_pool.cpp."""

    NONE = 0
    """No convolution: the images are normalised as they are."""
    DIRECT = 1
    """A direct 3x3 convolution of 1 or 3 input channels; it is recomputed in the backward pass."""
    WINOGRAD = 2
    """A 3x3 convolution by Winograd's algorithm (winograd.py)."""


def is_supported(kind: ConvolutionKind, images: Tensor, conv_weight: Tensor | None, norm: nn.BatchNorm2d) -> bool:
    """True if `conv_norm_relu_pool` can compute these tensors, and is faster than torch.

    Args:
        kind: How the convolution would be computed.
        images: (N, C, H, W): channels last, with even H and W; for WINOGRAD also enough whole tiles; for DIRECT
            without a gradient, which that kernel does not compute.
        conv_weight: (O, C, 3, 3), present exactly if `kind` is not NONE.
        norm: The norm of O channels.
    """
    if (conv_weight is None) != (kind == ConvolutionKind.NONE):
        return False
    if images.dim() != 4 or not images.is_contiguous(memory_format=torch.channels_last):
        return False
    if images.shape[2] % 2 or images.shape[3] % 2:
        return False
    if kind == ConvolutionKind.DIRECT and images.requires_grad:
        return False
    if kind == ConvolutionKind.WINOGRAD and not winograd.is_faster(images):
        return False
    tensors = (images, conv_weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    given = [tensor for tensor in tensors if tensor is not None]
    return native.find_kernel("conv_norm_relu_pool_forward", *given) is not None


def conv_norm_relu_pool(
    kind: ConvolutionKind, images: Tensor, conv_weight: Tensor | None, norm: nn.BatchNorm2d
) -> Tensor:
    """`F.avg_pool2d(F.relu(norm(F.conv2d(images, conv_weight, padding=1))), 2)`; differentiable once.

    Args:
        kind: How the convolution is computed.
        images: (N, C, H, W), H and W even; what `kind` requires of C, H and W is not checked. No gradient of the
            images is computed with DIRECT. Copied unless channels last.
        conv_weight: (O, C, 3, 3); None with kind NONE, where O is C. Copied unless channels last.
        norm: The norm of O channels, in training mode, with scale, shift and running statistics of fixed momentum. Its
            running statistics and batch counter are updated.

    Returns:
        (N, O, H/2, W/2), channels last.

    Raises:
        RuntimeError: There is no kernel for such tensors (see `native.find_kernel`).
    """
    norm_tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.num_batches_tracked)
    result: Tensor = _ConvNormReluPool.apply(  # type: ignore[no-untyped-call]
        kind, images, conv_weight, *norm_tensors, norm.eps, norm.momentum
    )
    return result


class _ConvNormReluPool(torch.autograd.Function):
    """Saves the mean and inverse deviation of each channel and, with WINOGRAD, the convolution and its tiles."""

    @staticmethod
    def forward(
        context: Any,
        kind: ConvolutionKind,
        images: Tensor,
        conv_weight: Tensor | None,
        norm_weight: Tensor,
        norm_bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        num_batches_tracked: Tensor,
        epsilon: float,
        momentum: float,
    ) -> Tensor:
        images = to_nhwc(images)
        conv_weight = None if conv_weight is None else to_nhwc(conv_weight)
        count, height, width, _ = images.shape
        out_channels = len(norm_weight)
        context.sizes = (kind, *sizes(images, out_channels))
        saved_size = 2 * out_channels
        if kind == ConvolutionKind.WINOGRAD:
            saved_size += count * height * width * out_channels + tile_buffer_size(images)
        saved = images.new_empty(saved_size)
        result = images.new_empty((count, height // 2, width // 2, out_channels))
        kernel = native.require_kernel("conv_norm_relu_pool_forward", images)
        addresses = native.pointers(
            images, conv_weight, norm_weight, norm_bias, running_mean, running_var, num_batches_tracked, saved, result
        )
        kernel(*addresses, *context.sizes, epsilon, momentum)
        context.save_for_backward(images, conv_weight, norm_weight, norm_bias, saved)
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, conv_weight, norm_weight, norm_bias, saved = context.saved_tensors
        gradient = to_nhwc(gradient)
        images_gradient = torch.empty_like(images) if context.needs_input_grad[1] else None
        conv_gradient = torch.empty_like(conv_weight) if context.needs_input_grad[2] else None
        weight_gradient, bias_gradient = torch.empty_like(norm_weight), torch.empty_like(norm_bias)
        kernel = native.require_kernel("conv_norm_relu_pool_backward", gradient)
        addresses = native.pointers(
            images,
            conv_weight,
            norm_weight,
            norm_bias,
            saved,
            gradient,
            images_gradient,
            conv_gradient,
            weight_gradient,
            bias_gradient,
        )
        kernel(*addresses, *context.sizes)
        gradients = (to_nchw(images_gradient), to_nchw(conv_gradient), weight_gradient, bias_gradient)
        return None, *gradients, None, None, None, None, None
