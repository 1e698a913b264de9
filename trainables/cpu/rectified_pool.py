"""ReLU and 2 x 2 average pooling in one, whose gradient goes through memory once instead of four times."""

import itertools
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class RectifiedPool(nn.ReLU):
    """`rectified_pool`; an in-place ReLU is made one in place, and the pooling after it an identity."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        """(N, C, H/2, W/2) of (N, C, H, W), which it overwrites."""
        return rectified_pool(input)


def use_rectified_pool(network: nn.Module) -> None:
    """Joins every in-place ReLU of a sequence with the 2 x 2 average pooling that follows it, in place."""
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for first, second in itertools.pairwise(sequence):
            if type(first) is nn.ReLU and first.inplace and is_halving(second):
                first.__class__, second.__class__ = RectifiedPool, nn.Identity


def is_halving(module: nn.Module) -> bool:
    """Whether it is average pooling of 2 x 2 without padding, overlap, or a divisor of its own."""
    if type(module) is not nn.AvgPool2d:
        return False
    return (module.kernel_size, module.stride, module.padding, module.divisor_override) == (2, 2, 0, None)


def rectified_pool(images: Tensor) -> Tensor:
    """`F.avg_pool2d(images.relu_(), 2)` of images (N, C, H, W) that only this call needs.

    Differentiable once, to the same bits.
    """
    if images.shape[-1] % 2 or images.shape[-2] % 2:
        return F.avg_pool2d(images.relu_(), 2)
    pooled: Tensor = _RectifiedPool.apply(images)  # type: ignore[no-untyped-call]
    return pooled


class _RectifiedPool(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor) -> Tensor:
        context.save_for_backward(images.relu_())
        return F.avg_pool2d(images, 2)

    @staticmethod
    @once_differentiable
    def backward(context: Any, slope: Tensor) -> Tensor:
        rows = context.saved_tensors[0].permute(0, 2, 3, 1)
        count, height, width, channels = rows.shape
        shape = (count, height // 2, 2, width // 2, 2, channels)
        spread = (slope / 4).permute(0, 2, 3, 1)[:, :, None, :, None].expand(shape)
        slopes: Tensor = torch.ops.aten.threshold_backward(spread, rows.reshape(shape), 0)
        return slopes.view(rows.shape).permute(0, 3, 1, 2)
