"""BatchNorm in training, ReLU and 2 x 2 average pooling as one, by a native kernel where there is one.

It goes through memory twice forward and twice backward, and keeps nothing but its input.
"""

import itertools
from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crossarch.trainables.cpu import native

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


class NormRelu(nn.BatchNorm2d):
    """BatchNorm and ReLU; a `nn.BatchNorm2d` is made one in place, and the ReLU after it an identity."""

    pooled = False
    """Whether 2 x 2 average pooling follows."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        """(N, C, H, W) of (N, C, H, W), or pooled (N, C, H/2, W/2)."""
        values: tuple[Any, ...] = (self.weight, self.bias, self.running_mean, self.running_var)
        if self.training and is_suited(input, self.pooled) and native.kernel("norm_forward", input, *values):
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
            return norm_relu_pool(input, *values, self.pooled, self.eps, self.momentum)
        rectified = super().forward(input).relu_()
        return F.avg_pool2d(rectified, 2) if self.pooled else rectified


class NormReluPool(NormRelu):
    """`NormRelu` and 2 x 2 average pooling, which is made an identity, too."""

    pooled = True


def use_norm_relu(network: nn.Module) -> None:
    """Joins every BatchNorm of a sequence with the in-place ReLU after it, and 2 x 2 pooling after that, in place.

    Layers that the network has twice, or that a hook looks at, stay what they are.
    """
    times = Counter(module for _, module in network.named_modules(remove_duplicate=False))
    for sequence in [module for module in network.modules() if type(module).forward is nn.Sequential.forward]:
        modules = list(sequence.children())
        for first, second, third in itertools.zip_longest(modules, modules[1:], modules[2:]):
            layers = [first, second, third] if is_halving(third) else [first, second]
            if is_norm(first) and is_relu(second) and all(times[each] == 1 and is_free(each) for each in layers):
                first.__class__ = NormReluPool if len(layers) == 3 else NormRelu
                for each in layers[1:]:
                    each.__class__ = nn.Identity


def is_norm(module: nn.Module) -> bool:
    """Whether it is BatchNorm with weights, and with running statistics by a fixed momentum."""
    return type(module) is nn.BatchNorm2d and all(
        each is not None for each in (module.weight, module.running_mean, module.momentum)
    )


def is_relu(module: nn.Module) -> bool:
    """Whether it is ReLU in place: nothing else needs what goes into it."""
    return type(module) is nn.ReLU and module.inplace


def is_halving(module: nn.Module | None) -> bool:
    """Whether it is average pooling of 2 x 2 without padding, overlap, or a divisor of its own."""
    if type(module) is not nn.AvgPool2d:
        return False
    return (module.kernel_size, module.stride, module.padding, module.divisor_override) == (2, 2, 0, None)


def is_free(module: nn.Module) -> bool:
    """Whether no hook looks at what goes into a module or comes out of it, or at their gradients."""
    return not any(getattr(module, hooks) for hooks in _HOOKS)


def is_suited(images: Tensor, pooled: bool) -> bool:
    """Whether images (N, C, H, W) lie channels last, are more than a pixel, and if pooled, of whole windows."""
    return (
        images.dim() == 4
        and images.is_contiguous(memory_format=torch.channels_last)
        and images.numel() > images.shape[1]
        and not (pooled and (images.shape[2] % 2 or images.shape[3] % 2))
    )


def norm_relu_pool(images: Tensor, *values: Any) -> Tensor:
    """ReLU of BatchNorm, maybe pooled, of images (N, C, H, W) for which there is a kernel.

    `values` are weight, bias, running mean and variance, (C,) each, whether to pool, epsilon and momentum; the running
    ones are updated. Differentiable once.
    """
    result: Tensor = _NormReluPool.apply(images, *values)  # type: ignore[no-untyped-call]
    return result


class _NormReluPool(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor, bias: Tensor, *others: Any) -> Tensor:
        *running, pooled, epsilon, momentum = others
        kernel, context.kernel = (native.required(f"norm_{way}", images) for way in ("forward", "backward"))
        count, channels, height, width = images.shape
        context.sizes = (count, height, width, channels, pooled)
        shape = (count, channels, height // 2, width // 2) if pooled else images.shape
        result = torch.empty(shape, dtype=images.dtype, memory_format=torch.channels_last)
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
        return of_images, of_weight, of_bias, None, None, None, None, None
