"""A group of a ConvNormReluPoolStack, the same group of torch's layers, and what a pass through them gives."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from crossarch.trainables.cpu import native
from crossarch.trainables.cpu.layers import ConvNormReluPoolStack, use_native


def group(channels: int, dtype: torch.dtype = torch.float64, conv: nn.Module | None = None) -> nn.Sequential:
    """`conv`, or else no convolution; and norm, ReLU and pooling with random parameters."""
    norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.3)
    with torch.no_grad():
        for values in (norm.weight, norm.bias, norm.running_mean):
            assert values is not None
            values.copy_(torch.randn(channels))
    return nn.Sequential(conv or nn.Identity(), norm, nn.ReLU(inplace=True), nn.AvgPool2d(2)).to(dtype)


def native_stack(network: nn.Sequential) -> ConvNormReluPoolStack:
    """A stack of copies of the network's layers, with native kernels switched on."""
    stack = ConvNormReluPoolStack(*copy.deepcopy(network))
    use_native(stack)
    return stack


def channels_last(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)


def passed(network: nn.Module, images: Tensor, gradient: Tensor | None = None) -> dict[str, Tensor]:
    """Result, gradients and state, of a pass forward and back."""
    network.zero_grad()
    images = images.clone().requires_grad_()
    result = network(images)
    torch.manual_seed(1)
    result.backward(torch.randn(result.shape).to(result) if gradient is None else gradient)
    found = {f"gradient of {name}": value.grad for name, value in network.named_parameters() if value.grad is not None}
    assert images.grad is not None
    return {"result": result.detach(), "gradient": images.grad, **found, **network.state_dict()}


def close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 1e-11) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=tolerance, atol=tolerance, equal_nan=True)


FALLBACKS: dict[str, Callable[[nn.Sequential, Tensor, pytest.MonkeyPatch], Tensor | None]] = {
    "no library": lambda network, images, patch: patch.setattr(native, "library", lambda: None),
    "two threads": lambda network, images, patch: patch.setattr(torch, "get_num_threads", lambda: 2),
    "evaluation": lambda network, images, patch: network.eval() and None,
    "another layout": lambda network, images, patch: images.contiguous(),
    "another type": lambda network, images, patch: network.bfloat16() and images.bfloat16(),
    "odd sides": lambda network, images, patch: images[:, :, 1:].contiguous(memory_format=torch.channels_last),
}
"""Why the layers are called: each changes network or images, or returns other images."""
