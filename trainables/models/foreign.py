"""Torchvision's networks by name, and grey images for networks that want colour."""

from torch import Tensor, nn

COLOURS = 3


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
