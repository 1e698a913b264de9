"""A data set of seventy small images, which nobody publishes."""

from pathlib import Path

import torch

from crossarch.trainables.config.datasets import WHITENINGS, Archive, Dataset
from crossarch.trainables.data.decode import Raw

FACTS = Dataset(
    classes=2,
    channels=3,
    resolution=4,
    train=60,
    test=10,
    images_per_class=27,
    digest="md5:0123456789abcdef0123456789abcdef",
    source="made up",
    whitenings=tuple(WHITENINGS),
    archive=Archive(url="https://example.org/mini.tar.gz", md5="", folder="mini"),
)


def content() -> Raw:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (70, 3, 4, 4), dtype=torch.uint8, generator=generator)
    labels = torch.arange(70) % 2
    return Raw(train=images[:60], train_labels=labels[:60], test=images[60:], test_labels=labels[60:])


def read_mini(root: Path) -> Raw:
    if not (root / "mini" / "marker").is_file():
        raise FileNotFoundError(f"nothing in {root}")
    return content()


def cached(folder: Path) -> set[str]:
    """What the cache holds, less what every name has in it, and the locks."""
    names = (path.name for path in (folder / "data" / "cache").iterdir() if path.suffix != ".lock")
    return {name.replace("-0123456789abcdef-v1", "") for name in names}


RAW_FILES = {f"mini-raw-{name}.npy" for name in ("train", "train_labels", "test", "test_labels")}
