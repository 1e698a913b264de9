"""Reads real data sets in their publishers' formats, decoded to unsigned bytes."""

import contextlib
import hashlib
import io
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor

from crossarch.trainables.config.datasets import DATASETS, Archive
from crossarch.trainables.data.download import file_md5

LARGEST_FILE = 1 << 20
"""Maximum bytes of a file of Tiny ImageNet: its JPEGs have about 2,000, its largest list about 300,000."""


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Images (N, C, H, W) in uint8, in the publisher's order; labels (N,) in int64."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


def read(dataset: str, root: Path) -> Raw:
    """Reads and verifies the data set of that name from `root`.

    Raises ValueError if it does not have the catalog's number of images or digest, FileNotFoundError if it is missing.
    """
    raw = READERS[dataset](root)
    facts = DATASETS[dataset]
    found, promised = (len(raw.train), len(raw.test)), (facts.train, facts.test)
    if found != promised:
        raise ValueError(f"data.dataset = {dataset!r} has {found} training and test images, not {promised}")
    kind, _, expected = facts.digest.partition(":")
    if kind == "sha256":
        digest = raw_sha256(raw)
        if digest != expected:
            raise ValueError(
                f"data.dataset = {dataset!r}: its SHA-256 is {digest}, not {expected}: the data have changed"
            )
    return raw


def raw_sha256(raw: Raw) -> str:
    """SHA-256 over training images, test images, training labels, test labels, as unsigned bytes."""
    digest = hashlib.sha256()
    for part in (raw.train, raw.test, raw.train_labels, raw.test_labels):
        digest.update(part.numpy().astype(np.uint8, copy=False).data)
    return digest.hexdigest()


def to_unit(dataset: str, images: Tensor) -> Tensor:
    """Raw `images` (N, C, h, w) as float32 in [0, 1], enlarged bilinearly to the catalog's resolution."""
    facts = DATASETS[dataset]
    images = images.to(torch.float32) / facts.brightest
    if images.shape[-1] == facts.resolution:
        return images
    return F.interpolate(images, (facts.resolution, facts.resolution), mode="bilinear", align_corners=False)


def read_digits(root: Path) -> Raw:
    """Grey values 0 to 16, 8 x 8, in scikit-learn's order. Part of that package, so `root` is not used."""
    from sklearn.datasets import load_digits  # slow to import, and not needed for other data

    digits = load_digits()
    images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    train = DATASETS["digits"].train
    return Raw(train=images[:train], train_labels=labels[:train], test=images[train:], test_labels=labels[train:])


def read_cifar(dataset: str, root: Path) -> Raw:
    """CIFAR-10, or CIFAR-100 with its fine labels, by torchvision from the folder of its archive in `root`.

    torchvision verifies each file's MD5. Raises ValueError if one differs, FileNotFoundError if the folder is missing.
    """
    from torchvision import datasets

    folder = root / archive_of(dataset).folder
    if not folder.is_dir():
        raise FileNotFoundError(missing(dataset, root))
    parts = []
    for train in (True, False):
        try:
            part = getattr(datasets, dataset.upper())(root, train=train, download=False)
        except RuntimeError as error:
            raise ValueError(f"data.dataset = {dataset!r}: files in {folder} are missing or damaged (MD5)") from error
        parts += [torch.from_numpy(np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))), torch.tensor(part.targets)]
    return Raw(train=parts[0], train_labels=parts[1], test=parts[2], test_labels=parts[3])


def read_tiny_imagenet(root: Path) -> Raw:
    """Tiny ImageNet from `root`/tiny-imagenet-200, or from the zip archive beside it; grey images become RGB.

    Classes are numbered by their WordNet names in order, training images lie class by class in the order of their
    numbers, and the official validation images, in the order of theirs, are the test part. Raises ValueError where
    the archive is not the publisher's or a file is not what it should be, FileNotFoundError where there is neither.
    """
    with _tiny_files(root) as (names, content):
        wnids = sorted(content("wnids.txt").decode().split())
        lines = content("val/val_annotations.txt").decode().splitlines()
        found: dict[str, list[str]] = defaultdict(list)
        for name in names:
            parts = PurePosixPath(name).parts
            if len(parts) == 4 and parts[0] == "train" and parts[2] == "images":
                found[parts[1]].append(name)
        unknown = sorted(set(found) ^ set(wnids))
        if unknown:
            raise ValueError(f"data.dataset = 'tiny_imagenet': wnids.txt and the training images differ in {unknown}")
        train = [(name, label) for label, wnid in enumerate(wnids) for name in sorted(found[wnid], key=_number)]
        pairs = sorted((line.split("\t")[:2] for line in lines), key=lambda pair: _number(pair[0]))
        test = [(f"val/images/{name}", wnids.index(wnid)) for name, wnid in pairs]
        return Raw(
            train=_decode([name for name, _ in train], content),
            train_labels=torch.tensor([label for _, label in train]),
            test=_decode([name for name, _ in test], content),
            test_labels=torch.tensor([label for _, label in test]),
        )


def _number(name: str) -> int:
    """The number at the end of `n01443537_12.JPEG` or `val_12.JPEG`."""
    return int(PurePosixPath(name).stem.rpartition("_")[2])


def _decode(names: list[str], content: Callable[[str], bytes]) -> Tensor:
    """The JPEGs of those names, (N, 3, H, W) in uint8. Raises ValueError for one of another size or format."""
    from PIL import Image, UnidentifiedImageError

    side = DATASETS["tiny_imagenet"].resolution
    images = np.empty((len(names), 3, side, side), dtype=np.uint8)
    for target, name in zip(images, names, strict=True):
        try:
            with Image.open(io.BytesIO(content(name)), formats=("JPEG",)) as image:
                if image.size != (side, side):
                    raise ValueError(f"data.dataset = 'tiny_imagenet': {name} is {image.size}, not {(side, side)}")
                target[:] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        except UnidentifiedImageError as error:
            raise ValueError(f"data.dataset = 'tiny_imagenet': {name} is no JPEG") from error
    return torch.from_numpy(images)


@contextlib.contextmanager
def _tiny_files(root: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The names below `tiny-imagenet-200/`, and a function that reads one of them. Nothing is unpacked to disk."""
    archive = archive_of("tiny_imagenet")
    folder, file = root / archive.folder, root / archive.file
    if folder.is_dir():
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
        yield names, lambda name: _bounded(name, (folder / name).stat().st_size, (folder / name).read_bytes)
    elif file.is_file():
        digest = file_md5(file)
        if digest != archive.md5:
            raise ValueError(f"data.dataset = 'tiny_imagenet': the MD5 of {file} is {digest}, not {archive.md5}")
        with zipfile.ZipFile(file) as opened:
            start = f"{archive.folder}/"
            members = {name.removeprefix(start): name for name in opened.namelist()}
            outside = [n for n in opened.namelist() if not n.startswith(start) or ".." in PurePosixPath(n).parts]
            if outside:
                raise ValueError(f"data.dataset = 'tiny_imagenet': {file} has {outside[0]!r} outside {start}")
            yield list(members), lambda name: _read_member(opened, members, name)
    else:
        raise FileNotFoundError(missing("tiny_imagenet", root))


def _read_member(opened: zipfile.ZipFile, members: dict[str, str], name: str) -> bytes:
    if name not in members:
        raise ValueError(f"data.dataset = 'tiny_imagenet': the archive has no {name}")
    return _bounded(name, opened.getinfo(members[name]).file_size, lambda: opened.read(members[name]))


def _bounded(name: str, size: int, content: Callable[[], bytes]) -> bytes:
    if size > LARGEST_FILE:
        raise ValueError(f"data.dataset = 'tiny_imagenet': {name} has {size} bytes, more than {LARGEST_FILE}")
    return content()


def archive_of(dataset: str) -> Archive:
    """The archive of a data set. Raises ValueError for one that comes with a package."""
    archive = DATASETS[dataset].archive
    if archive is None:
        raise ValueError(f"data.dataset = {dataset!r} has no archive: it comes with a package")
    return archive


def missing(dataset: str, root: Path) -> str:
    """The error message for a data set that is not in `root`."""
    return f"data.dataset = {dataset!r} is not in {root}: --data-root names the folder of {archive_of(dataset).folder}"


READERS: dict[str, Callable[[Path], Raw]] = {
    "digits": read_digits,
    "cifar10": partial(read_cifar, "cifar10"),
    "cifar100": partial(read_cifar, "cifar100"),
    "tiny_imagenet": read_tiny_imagenet,
}
