"""Networks by name."""

import torch
from torch import nn

from crossarch.trainables.config import ModelConfig
from crossarch.trainables.data.catalog import Dataset
from crossarch.trainables.models.convnet import ConvNet
from crossarch.trainables.models.norm import scaled
from crossarch.trainables.models.resnet import resnet18

FREPO_CHANNELS = (128, 256, 512)


def build(config: ModelConfig, dataset: Dataset) -> nn.Module:
    """The network that `config` describes, for the images and classes of `dataset`, with random weights.

    Raises ValueError where the images are too small for it.
    """
    if config.architecture == "convnet":
        channels = tuple(scaled(count, config.width) for count in config.channels or FREPO_CHANNELS)
        return ConvNet(dataset.channels, dataset.classes, dataset.resolution, channels, config.norm)
    return resnet18(
        dataset.channels, dataset.classes, width=config.width, shortcut=config.shortcut or "original", norm=config.norm
    )


def build_on_meta(config: ModelConfig, dataset: Dataset) -> nn.Module:
    """As `build`, but with shapes alone: nothing is allocated, no random number drawn."""
    with torch.device("meta"):
        return build(config, dataset)


def parameter_count(model: nn.Module) -> int:
    """Trained parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
