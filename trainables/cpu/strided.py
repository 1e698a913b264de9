"""Convolutions of 1 x 1 with a stride: torch 2.13's gradient for fewer than 8 channels that lie last ends the process.

So it does on processors with AVX2 and no more.
"""

import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn

ENOUGH = 8
"""Channels in, with which torch's own is sound."""


class StridedConv2d(nn.Conv2d):
    """A convolution of 1 x 1 of those pixels alone; a `nn.Conv2d` is made one in place."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002, torch's name
        return F.conv2d(input[:, :, :: self.stride[0], :: self.stride[1]], weight, bias)


def use_strided(network: nn.Module) -> None:
    """Makes each such convolution of the network a StridedConv2d, in place."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.in_channels < ENOUGH:
            shape = (module.kernel_size, module.padding, module.groups)
            if shape == ((1, 1), (0, 0), 1) and module.stride != (1, 1):
                module.__class__ = StridedConv2d
