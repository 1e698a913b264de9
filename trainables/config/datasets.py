"""Static facts of each data set: shapes, sizes, whitenings and digest."""

from dataclasses import dataclass

WHITENINGS: dict[str, str] = {
    "channel": "mean and standard deviation of the training images, per channel",
    "zca": "ZCA as kornia does it, eps 0.1, on images in [0, 1]: MTT's, and the released code's",
    "frepo": "FRePo's: normalised per channel, then ZCA with ridge 0.1 trace(covariance) / pixels",
    "channel_mtt": "MTT's constants for CIFAR, per channel: mean .4914 .4822 .4465, std .2023 .1994 .2010",
}
"""Whitenings by name, with their meaning. They are applied to a network's input and fitted on all training images."""

FOR_ANY_IMAGES = ("channel", "zca", "frepo")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The publisher's archive of a data set."""

    url: str
    md5: str
    """MD5 of the file, 32 hexadecimal digits."""
    folder: str
    """The archive's only top-level folder."""

    @property
    def file(self) -> str:
        """File name in the URL."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Facts of one data set, in the shape of the networks' input."""

    classes: int
    channels: int
    resolution: int
    """Height and width in pixels."""
    train: int
    """Number of images for training and validation."""
    test: int
    """Number of test images."""
    images_per_class: int
    """Minimum number of training images per class, without the validation images."""
    digest: str
    """Digest of the contents, part of every run's identity: `sha256:...` or `md5:...`.

    SHA-256 is over the decoded images and labels as unsigned bytes, in the order training images, test images, training
    labels, test labels; it is verified on reading. MD5 is the publisher's, of the archive.
    """
    source: str
    brightest: int = 255
    """Largest raw pixel value."""
    whitenings: tuple[str, ...] = FOR_ANY_IMAGES
    """Whitenings allowed for the data set."""
    archive: Archive | None = None
    """The archive to download; None if the data are included in a package."""


DATASETS = {
    "digits": Dataset(
        classes=10,
        channels=1,
        resolution=32,
        train=1000,
        test=797,
        images_per_class=89,
        digest="sha256:87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826",
        source=(
            "scikit-learn's load_digits: 1,797 real handwritten digits of 8 x 8 pixels (UCI optdigits, test part), "
            "enlarged to 32 x 32; the first 1,000 in file order are for training, the last 797 for testing"
        ),
        brightest=16,
    ),
    "cifar10": Dataset(
        classes=10,
        channels=3,
        resolution=32,
        train=50_000,
        test=10_000,
        images_per_class=4500,
        digest="sha256:14a2bd144501de0a338b4c67a69c1d3c335f24e5f4e22c78ea4775ad4d3c9e6a",
        source="Krizhevsky 2009, Learning multiple layers of features from tiny images",
        whitenings=tuple(WHITENINGS),
        archive=Archive(
            url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            md5="c58f30108f718f92721af3b95e74349a",
            folder="cifar-10-batches-py",
        ),
    ),
    "cifar100": Dataset(
        classes=100,
        channels=3,
        resolution=32,
        train=50_000,
        test=10_000,
        images_per_class=450,
        digest="md5:eb9058c3a382ffc7106e4002c42a8d85",
        source="Krizhevsky 2009, with its 100 fine labels",
        whitenings=tuple(WHITENINGS),
        archive=Archive(
            url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            md5="eb9058c3a382ffc7106e4002c42a8d85",
            folder="cifar-100-python",
        ),
    ),
    "tiny_imagenet": Dataset(
        classes=200,
        channels=3,
        resolution=64,
        train=100_000,
        test=10_000,
        images_per_class=450,
        digest="md5:90528d7ca1a48142e341f4ef8d21d0de",
        source="Le & Yang 2015, Tiny ImageNet visual recognition challenge; its 10,000 validation images test",
        archive=Archive(
            url="https://cs231n.stanford.edu/tiny-imagenet-200.zip",
            md5="90528d7ca1a48142e341f4ef8d21d0de",
            folder="tiny-imagenet-200",
        ),
    ),
}


def check_choice(
    dataset: str, whitening: str | None = None, images_per_class: int | None = None, where: str = ""
) -> None:
    """Raises ValueError for an unknown data set, or a whitening or number of images per class that it does not have.

    `where` is the prefix of names in the message. None is not checked.
    """
    if dataset not in DATASETS:
        raise ValueError(f"{where}dataset = {dataset!r} is not one of {', '.join(DATASETS)}")
    facts = DATASETS[dataset]
    if whitening is not None and whitening not in facts.whitenings:
        known = ", ".join(facts.whitenings)
        raise ValueError(f"{where}whitening = {whitening!r} is none of {dataset}: {known}")
    if images_per_class is not None and images_per_class > facts.images_per_class:
        raise ValueError(
            f"{where}images_per_class = {images_per_class} is more than the {facts.images_per_class} "
            f"that every class of {dataset} has for training"
        )
