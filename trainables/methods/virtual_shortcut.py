"""DropPath for single-branch networks: virtual shortcuts around blocks (Sec. 3.1, Fig. 2 (b))."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crossarch.trainables.methods.drop_path import PathDrop
from crossarch.trainables.models.norm import Norm, batch_norm


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
    computes the same as before but in training at keep rates below 1. Raises ValueError for a block that is not
    there, lies within another one, or cannot be bridged.
    """
    shapes = _shapes(model, blocks, example)
    for name in blocks:
        parent, _, last = name.rpartition(".")
        block = model.get_submodule(name)
        bridge = shortcut_between(*shapes[name], norm).to(next(model.parameters()))
        setattr(model.get_submodule(parent), last, VirtualShortcut(block, bridge))


def _shapes(model: nn.Module, blocks: Sequence[str], example: Tensor) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Shapes of input and output of each block."""
    shapes: dict[str, tuple[torch.Size, torch.Size]] = {}
    handles = []
    names = dict(model.named_modules())
    for name in blocks:
        if name not in names or not name:
            raise ValueError(f"block {name!r} is not in the network; it has {', '.join(filter(None, names))}")
        if any(name.startswith(f"{other}.") for other in blocks):
            raise ValueError(f"block {name!r} lies within another block")

        def note(module: nn.Module, given: tuple[Tensor, ...], result: Tensor, name: str = name) -> None:
            shapes[name] = (given[0].shape, result.shape)

        handles.append(names[name].register_forward_hook(note))
    was_training = model.training
    try:
        model.eval()
        with torch.no_grad():
            model(example)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return shapes
