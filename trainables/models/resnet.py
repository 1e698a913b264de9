"""ResNet18 in CIFAR form with DropPath (Fig. 2 (a)) and the original or the improved shortcut (Fig. 2 (c), (d))."""

from torch import Tensor, nn

from crossarch.trainables.methods.drop_path import DropPath
from crossarch.trainables.models.norm import norm_layer, scaled


def shortcut(inner: int, outer: int, stride: int, kind: str, norm: str) -> nn.Module:
    """The residual shortcut from (N, inner, H, W) to (N, outer, H/stride, W/stride); the identity where it can be.

    `original`: 1x1 convolution of that stride and norm. `improved`: max pooling stride x stride, 1x1 convolution of
    stride 1 and norm, so that no pixel is thrown away unseen.
    """
    if inner == outer and stride == 1:
        return nn.Identity()
    if kind == "original" or stride == 1:
        return nn.Sequential(nn.Conv2d(inner, outer, 1, stride=stride, bias=False), norm_layer(norm, outer))
    return nn.Sequential(nn.MaxPool2d(stride), nn.Conv2d(inner, outer, 1, bias=False), norm_layer(norm, outer))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions whose output DropPath may drop, added to the shortcut."""

    def __init__(self, inner: int, outer: int, stride: int, shortcut_kind: str, norm: str) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False),
            norm_layer(norm, outer),
            nn.ReLU(inplace=True),
            nn.Conv2d(outer, outer, 3, padding=1, bias=False),
            norm_layer(norm, outer),
        )
        self.drop_path = DropPath()
        self.shortcut = shortcut(inner, outer, stride, shortcut_kind, norm)

    def forward(self, x: Tensor) -> Tensor:
        """(N, outer, H/stride, W/stride) of (N, inner, H, W)."""
        return (self.drop_path(self.main(x)) + self.shortcut(x)).relu_()  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """A 3x3 stem without pooling, four stages of residual blocks, global average pooling, a linear head."""

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        in_channels: int,
        classes: int,
        *,
        width: float = 1.0,
        shortcut: str = "original",
        norm: str = "batch",
    ) -> None:
        super().__init__()
        stages = [scaled(channels, width) for channels in (64, 128, 256, 512)]
        inner = stages[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, inner, 3, padding=1, bias=False), norm_layer(norm, inner), nn.ReLU(inplace=True)
        )
        layers: list[nn.Module] = []
        for stage, (outer, count) in enumerate(zip(stages, blocks, strict=True)):
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(BasicBlock(inner, outer, stride, shortcut, norm))
                inner = outer
        self.blocks = nn.Sequential(*layers)
        self.classifier = nn.Linear(inner, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, in_channels, H, W)."""
        return self.classifier(self.blocks(self.stem(x)).mean((2, 3)))  # type: ignore[no-any-return]


def resnet18(in_channels: int, classes: int, *, width: float, shortcut: str, norm: str) -> ResNet:
    """ResNet18: two basic blocks a stage."""
    return ResNet((2, 2, 2, 2), in_channels, classes, width=width, shortcut=shortcut, norm=norm)
