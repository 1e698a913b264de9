"""The 3-layer CNN of dataset distillation (App. C, Models): the network that distils, and that teaches."""

from torch import Tensor, nn

from crossarch.trainables.cpu.layers import ConvNormReluPoolStack
from crossarch.trainables.models.layers import Style, activated


class ConvNet(nn.Module):
    """Blocks of 3x3 convolution, norm, ReLU and 2x2 average pooling, then a linear head on the flattened features.

    `channels` holds each block's output channels: (128, 256, 512) is FRePo's, (128, 128, 128) MTT's.
    """

    def __init__(
        self, in_channels: int, classes: int, resolution: int, channels: tuple[int, ...], style: Style | None = None
    ) -> None:
        """Raises ValueError if the resolution is too low for the number of poolings."""
        super().__init__()
        style = style or Style()
        side = resolution // 2 ** len(channels)
        if side < 1:
            raise ValueError(
                f"model.channels: {len(channels)} blocks are too many for {resolution} x {resolution} pixels"
            )
        layers: list[nn.Module] = []
        for inner, outer in zip((in_channels, *channels), channels, strict=False):
            layers += [*activated(inner, outer, 3, style, first=not layers), nn.AvgPool2d(2)]
        self.features = ConvNormReluPoolStack(*layers)
        self.classifier = nn.Linear(channels[-1] * side * side, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, in_channels, resolution, resolution)."""
        return self.classifier(self.features(x).flatten(1))  # type: ignore[no-any-return]
