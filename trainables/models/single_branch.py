"""AlexNet and VGG11 in CIFAR form (App. C, Models; "as set in MTT"): single-branch networks.

DropPath may drop their blocks of two convolutions, each with a virtual shortcut (Fig. 2 (b)).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from crossarch.trainables.models.layers import Style, activated, scaled


@dataclass(frozen=True, kw_only=True)
class Part:
    """A sequence of convolutions: output channels, kernel size, and whether 2x2 max pooling follows."""

    layers: tuple[tuple[int, int, bool], ...]
    droppable: bool = False


ALEXNET = (
    Part(layers=((128, 5, True),)),
    Part(layers=((192, 5, True), (256, 3, False)), droppable=True),
    Part(layers=((192, 3, False), (192, 3, True)), droppable=True),
)
"""128@5x5, pool, 192@5x5, pool, 256, 192, 192 @3x3, pool."""

VGG11 = (
    Part(layers=((64, 3, True),)),
    Part(layers=((128, 3, True),)),
    Part(layers=((256, 3, False), (256, 3, True)), droppable=True),
    Part(layers=((512, 3, False), (512, 3, True)), droppable=True),
    Part(layers=((512, 3, False), (512, 3, True)), droppable=True),
)
"""64 M 128 M 256 256 M 512 512 M 512 512 M."""

PLANS = {"alexnet": ALEXNET, "vgg11": VGG11}


class SingleBranch(nn.Module):
    """A single-branch network: the parts of a plan, and a linear head on the flattened features."""

    def __init__(
        self,
        plan: Sequence[Part],
        in_channels: int,
        classes: int,
        resolution: int,
        *,
        width: float = 1.0,
        style: Style | None = None,
    ) -> None:
        super().__init__()
        style = style or Style()
        inner, side = in_channels, resolution
        parts: list[nn.Module] = []
        for part in plan:
            layers: list[nn.Module] = []
            for channels, size, pools in part.layers:
                outer = scaled(channels, width)
                layers += activated(inner, outer, size, style, first=not parts and not layers)
                if pools:
                    layers.append(nn.MaxPool2d(2))
                    side //= 2
                inner = outer
            parts.append(nn.Sequential(*layers))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Linear(inner * side * side, classes)
        self.droppable = tuple(f"features.{index}" for index, part in enumerate(plan) if part.droppable)
        """The names of the blocks that DropPath may drop."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, in_channels, resolution, resolution)."""
        return self.classifier(self.features(x).flatten(1))  # type: ignore[no-any-return]
