"""Builds networks by name, including torchvision's."""

import torch
from torch import Tensor, nn

from crossarch.trainables.config.datasets import Dataset
from crossarch.trainables.config.run import (
    TORCHVISION,
    ConvNetConfig,
    KeepRateConfig,
    ModelConfig,
    ResNetConfig,
    SingleBranchConfig,
    TorchvisionConfig,
)
from crossarch.trainables.methods.drop_path import add_virtual_shortcuts, drops
from crossarch.trainables.models.convnet import ConvNet
from crossarch.trainables.models.layers import Style, batch_norm, make_norm, scaled
from crossarch.trainables.models.resnet import ResNet
from crossarch.trainables.models.single_branch import PLANS, SingleBranch

COLOURS = 3
"""Input channels of torchvision's networks."""


def build(config: ModelConfig, dataset: Dataset, keep_rate: KeepRateConfig | None = None) -> nn.Module:
    """The network that `config` describes, for the images and classes of `dataset`, with random weights.

    With `keep_rate`, its blocks can be dropped: residual blocks by DropPath, others by virtual shortcuts. The weights
    of these are drawn last, so that all other weights are the same with and without them. Raises ValueError if the
    images are too small for the network, or a block cannot be bridged.
    """
    model = build_plain(config, dataset)
    if keep_rate is None:
        return model
    own = model.droppable if isinstance(model, SingleBranch) else ()
    blocks = config.drop_path_blocks or own
    if blocks:
        example = torch.zeros(2, dataset.channels, dataset.resolution, dataset.resolution)
        norm = batch_norm if isinstance(config, TorchvisionConfig) else make_norm(config.norm)
        add_virtual_shortcuts(model, blocks, example, norm)
    if not any(drops(model)):
        raise ValueError(f"keep_rate is given, but {config.architecture} has nothing to drop: name its blocks")
    return model


def build_plain(config: ModelConfig, dataset: Dataset) -> nn.Module:
    """The network without virtual shortcuts."""
    channels, classes, resolution = dataset.channels, dataset.classes, dataset.resolution
    match config:
        case TorchvisionConfig(architecture=name):
            return torchvision_network(name.removeprefix(TORCHVISION), channels, classes)
        case ResNetConfig(architecture=name, width=width, shortcut=kind):
            return ResNet(name, channels, classes, width=width, shortcut_kind=kind, style=make_style(config))
        case SingleBranchConfig(architecture=name, width=width):
            return SingleBranch(PLANS[name], channels, classes, resolution, width=width, style=make_style(config))
        case ConvNetConfig(width=width):
            widths = tuple(scaled(count, width) for count in config.channels)
            return ConvNet(channels, classes, resolution, widths, make_style(config))


class Coloured(nn.Module):
    """Lets a network of RGB images take grey ones, by repeating their channel three times."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """The network's output for images (N, 1, H, W) or (N, 3, H, W)."""
        return self.network(x.expand(-1, COLOURS, -1, -1))  # type: ignore[no-any-return]


def torchvision_network(name: str, in_channels: int, classes: int) -> nn.Module:
    """Torchvision's classifier `name` with random weights, wrapped in `Coloured` for grey images.

    Its blocks have torchvision's names, after `network.` if wrapped. Raises ValueError for an unknown name.
    """
    from torchvision import models  # slow, and not on every machine

    if name not in models.list_models(module=models):  # no detectors, no segmenters
        raise ValueError(f"model.architecture = 'torchvision:{name}' is no classifier of torchvision's")
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
    return network if in_channels == COLOURS else Coloured(network)


def make_style(config: ConvNetConfig | ResNetConfig | SingleBranchConfig) -> Style:
    """The norms and biases that all layers of a network share."""
    first = None if config.first_norm is None else make_norm(config.first_norm)
    return Style(norm=make_norm(config.norm), first_norm=first, bias=config.conv_bias)


def build_on_meta(config: ModelConfig, dataset: Dataset) -> nn.Module:
    """`build_plain` on the meta device: shapes only, no memory is allocated and no random number drawn."""
    with torch.device("meta"):
        return build_plain(config, dataset)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
