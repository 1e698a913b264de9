"""DropPath (Eq. 1, Fig. 2 (a)) and virtual shortcuts for single-branch networks (Sec. 3.1, Fig. 2 (b))."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

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
    """Base class of modules that drop a path in training, independently for each sample.

    `keep_rate` is set every epoch by `set_keep_rate`; at 1 all paths are kept and no random number is drawn. `ahead`,
    if set, is the mask (N,) for the next passes, drawn in advance. `kept` and `drawn` count paths; `kept` is on the
    input's device, so that it is not synchronised.
    """

    kept: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.keep_rate = 1.0
        self.drawn = 0
        self.ahead: Tensor | None = None
        self.register_buffer("kept", torch.zeros(()), persistent=False)

    def draw(self, x: Tensor) -> Tensor | None:
        """The mask m (N,) for `x` (N, ...), of its type; None if all are kept: in evaluation, and at keep rate 1."""
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
        """The keep rate, for printing the network."""
        return f"keep_rate={self.keep_rate:g}"


class DropPath(PathDrop):
    """Drops its input, the main path of a residual block."""

    def forward(self, x: Tensor) -> Tensor:
        """`x` (N, ...) in evaluation; Eq. 1 of it in training."""
        mask = self.draw(x)
        return x if mask is None else drop_path(x, mask, self.keep_rate)


def drops(model: nn.Module) -> Iterator[PathDrop]:
    """All modules of a network that may drop a path."""
    return (module for module in model.modules() if isinstance(module, PathDrop))


def set_keep_rate(model: nn.Module, keep_rate: float) -> None:
    """Sets the keep rate of every path of the network that may be dropped. Raises ValueError outside (0, 1]."""
    if not 0 < keep_rate <= 1:
        raise ValueError(f"keep_rate = {keep_rate} is outside (0, 1]")
    for module in drops(model):
        module.keep_rate = keep_rate


def pop_observed(model: nn.Module) -> float | None:
    """The share of paths kept since the last call, in [0, 1]; None if none was drawn. Synchronises the device."""
    drawn = sum(module.drawn for module in drops(model))
    kept = sum(float(module.kept) for module in drops(model))
    for module in drops(model):
        module.drawn = 0
        module.kept.zero_()
    return kept / drawn if drawn else None


Norm = Callable[[int], nn.Module]
"""A function that makes the normalisation layer for a number of channels."""

Shapes = dict[str, tuple[torch.Size, torch.Size]]
"""Shapes of a block's input and output, by the block's name."""


def switch(main: Tensor, shortcut: Tensor, mask: Tensor) -> Tensor:
    """The main path where m = 1, the virtual shortcut where m = 0, without a factor (notes).

    `main` and `shortcut` are (N, ...), `mask` (N,) of zeros and ones, one m per sample. The expectation over m is
    p * main + (1 - p) * shortcut; with every m = 1 the network is the single-branch one.
    """
    return torch.where(mask.view(-1, *[1] * (main.dim() - 1)).bool(), main, shortcut)


class VirtualShortcut(PathDrop):
    """A block of a single-branch network with a shortcut that replaces it for samples that drop it in training."""

    def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """The block's output in evaluation; in training, per sample, the block's output or the shortcut's."""
        main = self.main(x)
        mask = self.draw(main)
        return main if mask is None else switch(main, self.shortcut(x), mask)


def shortcut_between(inner: torch.Size, outer: torch.Size, norm: Norm = nn.BatchNorm2d) -> nn.Module:
    """A shortcut from features of shape `inner` to `outer`, both (N, C, H, W).

    The identity if the shapes are equal. Otherwise max pooling, if the block makes the features smaller, 1x1
    convolution and norm. Raises ValueError if no pooling by whole pixels leads from one shape to the other.
    """
    if inner == outer:
        return nn.Identity()
    if len(inner) != 4 or len(outer) != 4 or inner[2] % outer[2] or inner[3] % outer[3]:
        raise ValueError(f"no shortcut by pooling leads from features of shape {tuple(inner)} to {tuple(outer)}")
    stride = (inner[2] // outer[2], inner[3] // outer[3])
    layers: list[nn.Module] = []
    if stride != (1, 1):
        layers.append(nn.MaxPool2d(stride))
    layers += [nn.Conv2d(inner[1], outer[1], 1, bias=False), norm(outer[1])]
    return nn.Sequential(*layers)


def add_virtual_shortcuts(
    model: nn.Module, blocks: Sequence[str], example: Tensor, norm: Norm = nn.BatchNorm2d
) -> None:
    """Wraps each of `blocks`, named as in `model.named_modules()`, in a VirtualShortcut, in place.

    Shapes are determined by a pass of `example` (N, C, H, W) in evaluation mode, which changes nothing. The network's
    outputs differ from before only in training at keep rates below 1. Raises ValueError, and leaves the network
    unchanged, for a block that does not exist, is not run, is inside another block, or cannot be bridged.
    """
    _check_names(model, blocks)
    shapes = _shapes(model, blocks, example)
    bridges = {name: _bridge(name, shapes, norm).to(next(model.parameters())) for name in blocks}
    for name, bridge in bridges.items():
        parent, _, last = name.rpartition(".")
        block = model.get_submodule(name)
        bridged = VirtualShortcut(block, bridge.train(block.training))
        bridged.training = block.training
        setattr(model.get_submodule(parent), last, bridged)


def _check_names(model: nn.Module, blocks: Sequence[str]) -> None:
    names = dict(model.named_modules())
    for index, name in enumerate(blocks):
        if name not in names or not name:
            raise ValueError(f"block {name!r} is not in the network; it has {', '.join(filter(None, names))}")
        if name in blocks[:index]:
            raise ValueError(f"block {name!r} is named twice")
        if any(name.startswith(f"{other}.") for other in blocks):
            raise ValueError(f"block {name!r} lies within another block")


def _bridge(name: str, shapes: Shapes, norm: Norm) -> nn.Module:
    if name not in shapes:
        raise ValueError(f"block {name!r} is not run as a whole, so that nothing can take its place")
    try:
        return shortcut_between(*shapes[name], norm)
    except ValueError as error:
        raise ValueError(f"block {name!r}: {error}") from error


def _shapes(model: nn.Module, blocks: Sequence[str], example: Tensor) -> Shapes:
    """Shapes of input and output of each block that is run."""
    shapes: Shapes = {}
    versions: dict[str, int] = {}

    def before(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], name: str) -> None:
        if len(given) != 1 or keywords or not isinstance(given[0], Tensor):
            raise ValueError(f"block {name!r} takes more than one tensor, and a shortcut only that")
        versions[name] = given[0]._version

    def after(module: nn.Module, given: tuple[Tensor], result: Any, name: str) -> None:
        if not isinstance(result, Tensor):
            raise ValueError(f"block {name!r} returns {type(result).__name__}, and a shortcut only one tensor")
        if given[0]._version != versions[name]:
            raise ValueError(f"block {name!r} changes its input in place, which its shortcut could then not see")
        shapes[name] = (given[0].shape, result.shape)

    handles = []
    training = {module: module.training for module in model.modules()}
    try:
        for name in blocks:
            block = model.get_submodule(name)
            handles.append(block.register_forward_pre_hook(partial(before, name=name), with_kwargs=True))
            handles.append(block.register_forward_hook(partial(after, name=name)))
        model.eval()
        with torch.no_grad():
            model(example)
    finally:
        for module, was_training in training.items():
            module.training = was_training
        for handle in handles:
            handle.remove()
    return shapes
