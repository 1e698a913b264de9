"""Convolution, BatchNorm in training, ReLU and 2 x 2 average pooling as one, by a native kernel where there is one.

Each of them is small beside what it costs to call torch, and memory to go through. The convolution is Winograd's, or a
direct one of images that need no gradient, which is computed anew for the gradient; any other stays what it is.
"""

from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crossarch.trainables.cpu import native
from crossarch.trainables.cpu.winograd import (
    FEW,
    NONE,
    PANEL,
    WINOGRAD,
    WinogradConv2d,
    channels_first,
    channels_last,
    is_plain,
    pays,
    sizes,
    tiles_size,
)


class Later(nn.Conv2d):
    """A convolution that the block after it does; a `nn.Conv2d` is made one in place."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        """The same."""
        return input


class Block(nn.BatchNorm2d):
    """All of them; a `nn.BatchNorm2d` is made one in place, those after it identities, a convolution before it `Later`.

    Where no kernel suits it computes what they did.
    """

    before: tuple[nn.Conv2d, ...] = ()
    """The convolution, if there is one; in a tuple, so that it is no part of this layer."""
    kind = NONE
    """Of the convolution: FEW or WINOGRAD."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        """(N, O, H/2, W/2) of (N, C, H, W)."""
        values: tuple[Any, ...] = (self.weight, self.bias, self.running_mean, self.running_var)
        taps = [each.weight for each in self.before]
        ready = self.training and native.kernel("block_forward", input, *values, *taps) is not None
        suits = bool(ready and taps and is_suited(input))
        suits = suits and (pays(input) if self.kind == WINOGRAD else not input.requires_grad)
        if not suits:
            for each in self.before:
                input = each._conv_forward(input, each.weight, None)  # noqa: A001
        if not ready or not is_suited(input):
            return F.avg_pool2d(super().forward(input).relu_(), 2)
        weight = taps[0] if suits else None
        return block(self.kind, input, weight, *values, self.num_batches_tracked, self.eps, self.momentum)


def use_blocks(network: nn.Module) -> None:
    """Joins every BatchNorm of a sequence with the in-place ReLU and the 2 x 2 average pooling after it, in place.

    And with the convolution before it, where there is a kernel for it. Layers that the network has twice stay what they
    are.
    """
    times = Counter(module for _, module in network.named_modules(remove_duplicate=False))
    for sequence in [module for module in network.modules() if type(module).forward is nn.Sequential.forward]:
        modules = list(sequence.children())
        for before, *layers in zip([nn.Identity(), *modules], modules, modules[1:], modules[2:], strict=False):
            norm, *others = layers
            suits = is_norm(norm) and is_relu(others[0]) and is_halving(others[1])
            if suits and all(times[each] == 1 for each in layers):
                norm.__class__ = Block
                for each in others:
                    each.__class__ = nn.Identity
                if times[before] == 1 and (kind := kind_of(before)) != NONE:
                    vars(norm).update(kind=kind, before=(before,))
                    before.__class__ = Later


def kind_of(module: nn.Module) -> int:
    """FEW or WINOGRAD for a convolution that can be done in a block, else NONE."""
    if not isinstance(module, nn.Conv2d) or module.bias is not None:
        return NONE
    if type(module) is WinogradConv2d:
        return WINOGRAD
    few = module.in_channels in (1, 3) and module.out_channels % PANEL == 0
    return FEW if few and type(module) is nn.Conv2d and is_plain(module) else NONE


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


def block(kind: int, images: Tensor, weight: Tensor | None, *values: Any) -> Tensor:
    """Pooled ReLU of BatchNorm of images (N, C, H, W), or of their convolution: (N, O, H/2, W/2), channels last.

    `kind` is that of the convolution, if there is its weight (O, C, 3, 3). `values` are BatchNorm's weight, bias,
    running mean and variance, (O,) each, number of batches (), epsilon and momentum; running ones and number are
    updated.
    Differentiable once. Raises RuntimeError where there is no kernel for such tensors.
    """
    result: Tensor = _Block.apply(kind, images, weight, *values)  # type: ignore[no-untyped-call]
    return result


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, kind: int, images: Tensor, weight: Tensor | None, *others: Any) -> Tensor:
        *values, epsilon, momentum = others
        images, taps = channels_last(images), None if weight is None else channels_last(weight)
        count, height, width, _ = images.shape
        outs = len(values[0])
        context.sizes = sizes(NONE if taps is None else kind, images, outs)
        result = images.new_empty((count, height // 2, width // 2, outs))
        convolved = count * height * width * outs + tiles_size(images) if context.sizes[0] == WINOGRAD else 0
        kept = images.new_empty(2 * outs + convolved)
        kernel = native.required("block_forward", images)
        kernel(*native.pointers(images, taps, *values, kept, result), *context.sizes, epsilon, momentum)
        context.save_for_backward(images, taps, *values[:2], kept)
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(context: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        saved, slope = context.saved_tensors, channels_last(slope)
        wanted = zip(saved, context.needs_input_grad[1:3], strict=False)
        slopes = [torch.empty_like(each) if each is not None and needs else None for each, needs in wanted]
        others = [torch.empty_like(each) for each in saved[2:4]]
        kernel = native.required("block_backward", slope)
        kernel(*native.pointers(*saved, slope, *slopes, *others), *context.sizes)
        return None, *map(channels_first, slopes), *others, None, None, None, None, None
