"""BatchNorm in training, ReLU and 2 x 2 average pooling as one, by a native kernel where there is one.

It goes through memory twice forward and twice backward, and keeps nothing but its input.
"""

from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crossarch.trainables.cpu import native


class NormReluPool(nn.BatchNorm2d):
    """BatchNorm, ReLU and pooling; a `nn.BatchNorm2d` is made one in place, and the two after it identities."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        """(N, C, H/2, W/2) of (N, C, H, W)."""
        values: tuple[Any, ...] = (self.weight, self.bias, self.running_mean, self.running_var)
        if self.training and is_suited(input) and native.kernel("norm_forward", input, *values):
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
            return norm_relu_pool(input, *values, self.eps, self.momentum)
        return F.avg_pool2d(super().forward(input).relu_(), 2)


def use_norm_relu_pool(network: nn.Module) -> None:
    """Joins every BatchNorm of a sequence with the in-place ReLU and the 2 x 2 average pooling after it, in place.

    Layers that the network has twice stay what they are.
    """
    times = Counter(module for _, module in network.named_modules(remove_duplicate=False))
    for sequence in [module for module in network.modules() if type(module).forward is nn.Sequential.forward]:
        modules = list(sequence.children())
        for layers in zip(modules, modules[1:], modules[2:], strict=False):
            norm, *others = layers
            suits = is_norm(norm) and is_relu(others[0]) and is_halving(others[1])
            if suits and all(times[each] == 1 for each in layers):
                norm.__class__ = NormReluPool
                for each in others:
                    each.__class__ = nn.Identity


def is_norm(module: nn.Module) -> bool:
    """Whether it is BatchNorm with weights, and with running statistics by a fixed momentum."""
    return type(module) is nn.BatchNorm2d and all(
        each is not None for each in (module.weight, module.running_mean, module.momentum)
    )


def is_relu(module: nn.Module) -> bool:
    """Whether it is ReLU in place: nothing else needs what goes into it."""
    return type(module) is nn.ReLU and module.inplace


def is_halving(module: nn.Module) -> bool:
    """Whether it is average pooling of 2 x 2 without padding, overlap, or a divisor of its own."""
    if type(module) is not nn.AvgPool2d:
        return False
    return (module.kernel_size, module.stride, module.padding, module.divisor_override) == (2, 2, 0, None)


def is_suited(images: Tensor) -> bool:
    """Whether images (N, C, H, W) lie channels last, and are of whole windows."""
    lie = images.dim() == 4 and images.is_contiguous(memory_format=torch.channels_last)
    return lie and not (images.shape[2] % 2 or images.shape[3] % 2)


def norm_relu_pool(images: Tensor, *values: Any) -> Tensor:
    """Pooled ReLU of BatchNorm of images (N, C, H, W) for which there is a kernel: (N, C, H/2, W/2).

    `values` are weight, bias, running mean and variance, (C,) each, epsilon and momentum; the running ones are updated.
    Differentiable once.
    """
    result: Tensor = _NormReluPool.apply(images, *values)  # type: ignore[no-untyped-call]
    return result


class _NormReluPool(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor, bias: Tensor, *others: Any) -> Tensor:
        *running, epsilon, momentum = others
        kernel, context.kernel = (native.required(f"norm_{way}", images) for way in ("forward", "backward"))
        count, channels, height, width = images.shape
        context.sizes = (count, height, width, channels)
        result = images.new_empty((count, height // 2, width // 2, channels)).permute(0, 3, 1, 2)
        tensors = (images, weight, bias, torch.empty_like(bias), torch.empty_like(bias))
        context.save_for_backward(*tensors)
        kernel(*native.pointers(*tensors, *running, result), *context.sizes, epsilon, momentum)
        return result

    @staticmethod
    @once_differentiable
    def backward(context: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        images, *values = context.saved_tensors
        slope = slope.contiguous(memory_format=torch.channels_last)
        of_weight, of_bias = torch.empty_like(values[0]), torch.empty_like(values[1])
        of_images = torch.empty_like(images) if context.needs_input_grad[0] else None
        context.kernel(*native.pointers(images, slope, *values, of_weight, of_bias, of_images), *context.sizes)
        return of_images, of_weight, of_bias, None, None, None, None
