"""Layers with a native CPU path, and the functions that switch it on.

The layers are torch's, with torch's parameter names and initial weights. They compute as torch does until `use_native`
or `use_stride_by_slicing` is called on their network, and also afterwards wherever no kernel suits.
"""

from collections.abc import Iterator

import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn

from crossarch.trainables.cpu import fused, native, winograd
from crossarch.trainables.cpu.fused import ConvolutionKind

SAFE_CHANNELS = 8
"""Fewest input channels of a strided 1x1 convolution whose gradient torch 2.13 computes without a crash."""
GROUP = 4
"""Layers in a group of a `ConvNormReluPoolStack`."""


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` that can run by Winograd's algorithm, or take its stride by slicing the images."""

    native: bool = False
    """Whether a suited 3x3 convolution runs by the native Winograd kernel. Set by `use_native`."""

    stride_by_slicing: bool = False
    """Whether the images are sliced by the stride and convolved with stride 1. For 1x1 convolutions without padding and
    groups alone. Set by `use_stride_by_slicing`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        """(N, out_channels, H', W') of (N, in_channels, H, W)."""
        if self.native and self._uses_winograd(input):
            convolved = winograd.convolve(input, self.weight)
            return convolved if self.bias is None else convolved + self.bias[:, None, None]
        if self.stride_by_slicing:
            return F.conv2d(input[:, :, :: self.stride[0], :: self.stride[1]], self.weight, self.bias)
        return super().forward(input)

    def _uses_winograd(self, images: Tensor) -> bool:
        return (
            winograd.is_suited(self)
            and winograd.is_faster(images)
            and native.find_kernel("winograd_forward", images, self.weight) is not None
        )


class ConvNormReluPoolStack(nn.Sequential):
    """Groups of a convolution, a norm, ReLU and average pooling, one after another.

    The layers are flat children, four per group, named as those of `nn.Sequential`: "0" to "3" are the first group. Any
    of them may be replaced by another module; what a group cannot fuse then, it calls. In a fused group the forward
    hooks of the children are not called.
    """

    native: bool = False
    """Whether suited groups run by the fused native kernel in training. Set by `use_native`."""

    def __init__(self, *layers: nn.Module) -> None:
        """Raises ValueError if `layers` are not groups of four."""
        super().__init__(*layers)
        if len(self) % GROUP:
            raise ValueError(f"{len(self)} layers are not groups of convolution, norm, ReLU and pooling")

    def groups(self) -> Iterator[tuple[nn.Module, nn.Module, nn.Module, nn.Module]]:
        """Convolution, norm, ReLU and pooling of each group."""
        layers = list(self)
        for start in range(0, len(layers), GROUP):
            conv, norm, relu, pool = layers[start : start + GROUP]
            yield conv, norm, relu, pool

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        """(N, O, H / 2^groups, W / 2^groups) of (N, C, H, W), for poolings of 2x2."""
        if not self.native:
            return super().forward(input)  # type: ignore[no-untyped-call, no-any-return]
        features = input
        for conv, norm, relu, pool in self.groups():
            features = conv_norm_relu_pool(conv, norm, relu, pool, features)
        return features


def conv_norm_relu_pool(conv: nn.Module, norm: nn.Module, relu: nn.Module, pool: nn.Module, images: Tensor) -> Tensor:
    """`pool(relu(norm(conv(images))))`, as far as possible by the fused native kernel.

    The kernel computes all four layers, or norm, ReLU and pooling after a convolution that it cannot compute. In
    evaluation, and where the layers or the images do not suit, the layers are called.

    Args:
        conv: The convolution, or any module in its place.
        norm: The norm, or any module in its place.
        relu: The ReLU, or any module in its place.
        pool: The pooling, or any module in its place.
        images: (N, C, H, W).
    """
    if not (isinstance(norm, nn.BatchNorm2d) and norm.training and is_fusable(norm, relu, pool)):
        return pool(relu(norm(conv(images))))  # type: ignore[no-any-return]
    kind = convolution_kind(conv)
    if isinstance(conv, Conv2d) and fused.is_supported(kind, images, conv.weight, norm):
        return fused.conv_norm_relu_pool(kind, images, conv.weight, norm)
    images = conv(images)
    if fused.is_supported(ConvolutionKind.NONE, images, None, norm):
        return fused.conv_norm_relu_pool(ConvolutionKind.NONE, images, None, norm)
    return pool(relu(norm(images)))  # type: ignore[no-any-return]


def is_fusable(norm: nn.Module, relu: nn.Module, pool: nn.Module) -> bool:
    """True for the layers that the fused kernel computes.

    These are a BatchNorm with scale, shift and running statistics of fixed momentum; ReLU in place, which shows that
    its input is not needed elsewhere; 2x2 average pooling with stride 2 and without padding.
    """
    return (
        type(norm) is nn.BatchNorm2d
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and type(relu) is nn.ReLU
        and relu.inplace
        and type(pool) is nn.AvgPool2d
        and (pool.kernel_size, pool.stride, pool.padding, pool.divisor_override) == (2, 2, 0, None)
    )


def convolution_kind(conv: nn.Module) -> ConvolutionKind:
    """How the fused kernel computes `conv`; NONE if it cannot."""
    if type(conv) is not Conv2d or conv.bias is not None:
        return ConvolutionKind.NONE
    if winograd.is_suited(conv):
        return ConvolutionKind.WINOGRAD
    if conv.in_channels in (1, 3) and conv.out_channels % winograd.PANEL == 0 and winograd.is_plain(conv):
        return ConvolutionKind.DIRECT
    return ConvolutionKind.NONE


def use_native(network: nn.Module) -> None:
    """Switches on the native kernels of all `Conv2d` and `ConvNormReluPoolStack` of the network.

    Convolutions that a stack can fuse stay off on their own: the fused kernel computes them in training, torch in
    evaluation.
    """
    for module in network.modules():
        if isinstance(module, Conv2d | ConvNormReluPoolStack):
            module.native = True
    for stack in network.modules():
        if isinstance(stack, ConvNormReluPoolStack):
            for conv, norm, relu, pool in stack.groups():
                fuses = is_fusable(norm, relu, pool) and convolution_kind(conv) != ConvolutionKind.NONE
                if fuses and isinstance(conv, Conv2d):
                    conv.native = False


def use_stride_by_slicing(network: nn.Module) -> None:
    """Works around a crash: lets strided 1x1 `Conv2d` of few input channels take their stride by slicing.

    On processors with AVX2 but not AVX-512, torch 2.13's gradient of a strided 1x1 convolution with fewer than
    SAFE_CHANNELS input channels ends the process if the images are channels last.
    """
    for module in network.modules():
        if isinstance(module, Conv2d) and module.in_channels < SAFE_CHANNELS:
            pointwise = (module.kernel_size, module.padding, module.groups) == ((1, 1), (0, 0), 1)
            module.stride_by_slicing = pointwise and module.stride != (1, 1)
