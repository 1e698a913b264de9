"""What is known of each data set before anything is read: shapes, sizes, and the digest that makes it itself."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Facts of one data set, as the networks see it.

    `sha256` is the digest of the raw images and labels as unsigned bytes (training, then test): it enters every
    run's identity, and reading the data verifies it.
    """

    classes: int
    channels: int
    resolution: int
    """Height and width in pixels."""
    train: int
    """Training images."""
    test: int
    """Test images."""
    images_per_class: int
    """Training images that every class has at least."""
    sha256: str
    source: str


DATASETS = {
    "digits": Dataset(
        classes=10,
        channels=1,
        resolution=32,
        train=1000,
        test=797,
        images_per_class=98,
        sha256="87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826",
        source=(
            "scikit-learn's load_digits: 1,797 real handwritten digits of 8 x 8 pixels (UCI optdigits, test part), "
            "enlarged to 32 x 32; the first 1,000 in file order are for training, the last 797 for testing"
        ),
    ),
}
