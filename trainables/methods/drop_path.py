"""DropPath (Eq. 1, Fig. 2 (a)): whole residual branches dropped at random while training."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def drop_path(x: Tensor, mask: Tensor, keep_rate: float) -> Tensor:
    """Eq. 1: (m / p) * x, with one m per sample.

    `x` is (N, ...), `mask` (N,) of zeros and ones, `keep_rate` p in (0, 1]. The expectation over m is x.
    """
    return x * (mask / keep_rate).view(-1, *[1] * (x.dim() - 1))


def draw_mask(x: Tensor, keep_rate: float) -> Tensor:
    """m (N,) for the samples of `x` (N, ...), of its type: 1 with probability `keep_rate`, else 0."""
    return torch.bernoulli(torch.full((len(x),), keep_rate, dtype=x.dtype, device=x.device))


class PathDrop(nn.Module):
    """What decides, for each sample on its own, whether a path is kept while training.

    `keep_rate` is set from outside, every epoch (`set_keep_rate`); 1 keeps everything and draws nothing. `ahead`,
    where it is set, is the mask (N,) of the next passes, drawn beforehand.
    `kept` and `drawn` count paths on the input's device, without waiting for it.
    """

    kept: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.keep_rate = 1.0
        self.drawn = 0
        self.ahead: Tensor | None = None
        self.register_buffer("kept", torch.zeros(()), persistent=False)

    def draw(self, x: Tensor) -> Tensor | None:
        """m for each sample of `x` (N, ...), of its type; None where all are kept: in evaluation, and at rate 1."""
        if not self.training:
            return None
        self.drawn += len(x)
        if self.keep_rate == 1:
            self.kept += len(x)
            return None
        mask = draw_mask(x, self.keep_rate) if self.ahead is None else self.ahead.to(x.dtype)
        self.kept += mask.sum()
        return mask

    def extra_repr(self) -> str:
        """Shown when the network is printed."""
        return f"keep_rate={self.keep_rate:g}"


class DropPath(PathDrop):
    """Drops its input, the main path of a residual block."""

    def forward(self, x: Tensor) -> Tensor:
        """`x` (N, ...) in evaluation; Eq. 1 of it in training."""
        mask = self.draw(x)
        return x if mask is None else drop_path(x, mask, self.keep_rate)


def drops(model: nn.Module) -> Iterator[PathDrop]:
    """Everything in a network that may drop a path."""
    return (module for module in model.modules() if isinstance(module, PathDrop))


def set_keep_rate(model: nn.Module, keep_rate: float) -> None:
    """Sets the keep rate of every path of the network that may be dropped. Raises ValueError outside (0, 1]."""
    if not 0 < keep_rate <= 1:
        raise ValueError(f"keep_rate = {keep_rate} is outside (0, 1]")
    for module in drops(model):
        module.keep_rate = keep_rate


def pop_observed(model: nn.Module) -> float | None:
    """The share of paths kept since the last call; None where no path was drawn. Waits for the device."""
    drawn = sum(module.drawn for module in drops(model))
    kept = sum(float(module.kept) for module in drops(model))
    for module in drops(model):
        module.drawn = 0
        module.kept.zero_()
    return kept / drawn if drawn else None
