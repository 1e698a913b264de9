"""DropPath for single-branch networks: virtual shortcuts around blocks (Sec. 3.1, Fig. 2 (b))."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from crossarch.trainables.methods.drop_path import PathDrop
from crossarch.trainables.models.norm import Norm, batch_norm

Shapes = dict[str, tuple[torch.Size, torch.Size]]
"""Shape of what goes into a block and of what comes out of it, by its name."""


def switch(main: Tensor, shortcut: Tensor, mask: Tensor) -> Tensor:
    """The main path where m = 1, the virtual shortcut where m = 0, without a factor (notes).

    `main` and `shortcut` are (N, ...), `mask` (N,) of zeros and ones, one m per sample. The expectation over m is
    p * main + (1 - p) * shortcut; with every m = 1 the network is the single-branch one.
    """
    return torch.where(mask.view(-1, *[1] * (main.dim() - 1)).bool(), main, shortcut)


class VirtualShortcut(PathDrop):
    """A block of a single-branch network with a shortcut that is used only where the block is dropped in training."""

    def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """The block's output in evaluation; in training, for each sample, the block's or the shortcut's."""
        main = self.main(x)
        mask = self.draw(main)
        return main if mask is None else switch(main, self.shortcut(x), mask)


def shortcut_between(inner: torch.Size, outer: torch.Size, norm: Norm = batch_norm) -> nn.Module:
    """A shortcut from features of shape `inner` to `outer`, both (N, C, H, W): nothing where they are alike.

    Otherwise max pooling, where the block makes the features smaller, 1x1 convolution and norm (notes). Raises
    ValueError where no pooling by whole pixels leads from the one to the other.
    """
    if inner == outer:
        return nn.Identity()
    if len(inner) != 4 or len(outer) != 4 or inner[2] % outer[2] or inner[3] % outer[3]:
        raise ValueError(f"no shortcut by pooling leads from features of shape {tuple(inner)} to {tuple(outer)}")
    stride = (inner[2] // outer[2], inner[3] // outer[3])
    pooling = [] if stride == (1, 1) else [nn.MaxPool2d(stride)]
    return nn.Sequential(*pooling, nn.Conv2d(inner[1], outer[1], 1, bias=False), norm(outer[1]))


def add_virtual_shortcuts(model: nn.Module, blocks: Sequence[str], example: Tensor, norm: Norm = batch_norm) -> None:
    """Puts each of `blocks`, named as in `model.named_modules()`, into a VirtualShortcut, in place.

    The shapes are taken from a pass of `example` (N, C, H, W) in evaluation mode, which changes nothing. The network
    computes the same as before but in training at keep rates below 1. Raises ValueError, and leaves the network as it
    was, for a block that is not there, is not run, lies within another one, or cannot be bridged.
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
