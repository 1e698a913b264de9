"""Networks by name, torchvision's included."""

import torch
from torch import Tensor, nn

from crossarch.trainables.config.datasets import Dataset
from crossarch.trainables.config.run import FREPO_CHANNELS, TORCHVISION, KeepRateConfig, ModelConfig
from crossarch.trainables.methods.drop_path import add_virtual_shortcuts, drops
from crossarch.trainables.models.convnet import ConvNet
from crossarch.trainables.models.layers import Style, make_norm, scaled
from crossarch.trainables.models.resnet import FORMS, ResNet
from crossarch.trainables.models.single_branch import PLANS, SingleBranch

COLOURS = 3
"""Channels that torchvision's networks take."""


def build(config: ModelConfig, dataset: Dataset, keep_rate: KeepRateConfig | None = None) -> nn.Module:
    """The network that `config` describes, for the images and classes of `dataset`, with random weights.

    With `keep_rate`, its blocks can be dropped: residual blocks always can, others get virtual shortcuts, drawn after
    all other weights, so that these are the same with and without. Raises ValueError where the images are too small
    for the network, or a block cannot be bridged.
    """
    model = build_plain(config, dataset)
    if keep_rate is None:
        return model
    blocks = keep_rate.blocks or (model.droppable if isinstance(model, SingleBranch) else ())
    if blocks:
        example = torch.zeros(2, dataset.channels, dataset.resolution, dataset.resolution)
        add_virtual_shortcuts(model, blocks, example, make_norm(config.norm, config))
    if not any(drops(model)):
        raise ValueError(f"keep_rate is given, but {config.architecture} has nothing to drop: name its blocks")
    return model


def build_plain(config: ModelConfig, dataset: Dataset) -> nn.Module:
    """The network without virtual shortcuts."""
    channels, classes, resolution = dataset.channels, dataset.classes, dataset.resolution
    name, width, style = config.architecture, config.width, make_style(config)
    if name.startswith(TORCHVISION):
        return torchvision_network(name.removeprefix(TORCHVISION), channels, classes)
    if name in FORMS:
        kind = config.shortcut or "original"
        return ResNet(name, channels, classes, width=width, shortcut_kind=kind, style=style)
    if name in PLANS:
        return SingleBranch(PLANS[name], channels, classes, resolution, width=width, style=style)
    widths = tuple(scaled(count, width) for count in config.channels or FREPO_CHANNELS)
    return ConvNet(channels, classes, resolution, widths, style)


class Coloured(nn.Module):
    """A network that takes grey images as well: their one channel serves as all three."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """What the network makes of images (N, 1, H, W) or (N, 3, H, W)."""
        return self.network(x.expand(-1, COLOURS, -1, -1))  # type: ignore[no-any-return]


def torchvision_network(name: str, in_channels: int, classes: int) -> nn.Module:
    """Torchvision's classifier of that name with random weights; grey images reach it through `network`.

    Its blocks have torchvision's names, behind `network.` for grey images. Raises ValueError for an unknown name.
    """
    from torchvision import models  # slow, and not on every machine

    if name not in models.list_models(module=models):  # no detectors, no segmenters
        raise ValueError(f"model.architecture = 'torchvision:{name}' is no classifier of torchvision's")
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
    return network if in_channels == COLOURS else Coloured(network)


def make_style(config: ModelConfig) -> Style:
    """What the layers have in common."""
    first = None if config.first_norm is None else make_norm(config.first_norm, config)
    return Style(norm=make_norm(config.norm, config), first_norm=first, bias=config.conv_bias)


def build_on_meta(config: ModelConfig, dataset: Dataset) -> nn.Module:
    """As `build_plain`, but with shapes alone: nothing is allocated, no random number drawn."""
    with torch.device("meta"):
        return build_plain(config, dataset)


def parameter_count(model: nn.Module) -> int:
    """Trained parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
