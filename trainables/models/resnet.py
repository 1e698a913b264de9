"""ResNets in CIFAR form with DropPath (Fig. 2 (a)) and the original or the improved shortcut (Fig. 2 (c), (d))."""

from torch import Tensor, nn

from crossarch.trainables.methods.drop_path import DropPath
from crossarch.trainables.models.layers import Style, activated, convolution, scaled


def shortcut(inner: int, outer: int, stride: int, kind: str, style: Style) -> nn.Module:
    """The residual shortcut from (N, inner, H, W) to (N, outer, H/stride, W/stride); the identity if shapes are equal.

    `original`: 1x1 convolution with the stride, and norm. `improved` (Fig. 2 (d)): max pooling stride x stride, 1x1
    convolution with stride 1, and norm, so that no pixel is discarded without being read.
    """
    if inner == outer and stride == 1:
        return nn.Identity()
    if kind == "original" or stride == 1:
        return nn.Sequential(*convolution(inner, outer, 1, style, stride=stride))
    return nn.Sequential(nn.MaxPool2d(stride), *convolution(inner, outer, 1, style))


class ResidualBlock(nn.Module):
    """A main path that DropPath may drop, added to the shortcut, and ReLU."""

    def __init__(self, main: nn.Module, bridge: nn.Module) -> None:
        super().__init__()
        self.main = main
        self.drop_path = DropPath()
        self.shortcut = bridge

    def forward(self, x: Tensor) -> Tensor:
        """(N, outer, H/stride, W/stride) of (N, inner, H, W)."""
        return (self.drop_path(self.main(x)) + self.shortcut(x)).relu_()  # type: ignore[no-any-return]


def basic(inner: int, outer: int, stride: int, style: Style) -> nn.Module:
    """ResNet18's main path: two 3x3 convolutions."""
    return nn.Sequential(
        *convolution(inner, outer, 3, style, stride=stride),
        nn.ReLU(inplace=True),
        *convolution(outer, outer, 3, style),
    )


def bottleneck(inner: int, outer: int, stride: int, style: Style) -> nn.Module:
    """ResNet50's main path: 1x1 to a quarter of the channels, 3x3 with the stride, 1x1 to all of them."""
    narrow = outer // EXPANSION
    return nn.Sequential(
        *activated(inner, narrow, 1, style),
        *convolution(narrow, narrow, 3, style, stride=stride),
        nn.ReLU(inplace=True),
        *convolution(narrow, outer, 1, style),
    )


EXPANSION = 4
"""Output channels of a bottleneck over those of its 3x3 convolution."""

FORMS = {"resnet18": (basic, 1, (2, 2, 2, 2)), "resnet50": (bottleneck, EXPANSION, (3, 4, 6, 3))}
"""Main path, expansion, and blocks of each of the four stages."""


class ResNet(nn.Module):
    """A 3x3 stem without pooling, four stages of residual blocks, global average pooling, a linear head."""

    def __init__(
        self,
        form: str,
        in_channels: int,
        classes: int,
        *,
        width: float = 1.0,
        shortcut_kind: str = "original",
        style: Style | None = None,
    ) -> None:
        """`form` is one of FORMS."""
        super().__init__()
        style = style or Style()
        main, expansion, blocks = FORMS[form]
        stages = [scaled(channels, width) for channels in (64, 128, 256, 512)]
        inner = stages[0]
        self.stem = nn.Sequential(*activated(in_channels, inner, 3, style, first=True))
        layers: list[nn.Module] = []
        for stage, (channels, count) in enumerate(zip(stages, blocks, strict=True)):
            outer = channels * expansion
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                bridge = shortcut(inner, outer, stride, shortcut_kind, style)
                layers.append(ResidualBlock(main(inner, outer, stride, style), bridge))
                inner = outer
        self.blocks = nn.Sequential(*layers)
        self.classifier = nn.Linear(inner, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, in_channels, H, W)."""
        return self.classifier(self.blocks(self.stem(x)).mean((2, 3)))  # type: ignore[no-any-return]
