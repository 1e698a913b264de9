"""Real data sets of a machine: downloaded, decoded and whitened once, and shared by all runs as memory-mapped files."""

import functools
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from crossarch.trainables.config.datasets import DATASETS, check_choice
from crossarch.trainables.data.decode import Raw, archive_of, read, to_unit
from crossarch.trainables.data.download import extract, fetch
from crossarch.trainables.data.images import Images, Part
from crossarch.trainables.data.subsets import validation_split
from crossarch.trainables.data.whitening import CHUNK, Whitening, fit, threads
from crossarch.trainables.files import TEMPORARY_SUFFIX, locked, write_atomically

CACHE_VERSION = 1
"""Incremented when the same data are cached in another form, so that older caches are not read."""

PARTS = ("train", "validation", "test")

DAMAGED = (ValueError, EOFError, TypeError, zipfile.BadZipFile)
"""Exceptions of numpy for truncated files."""

Found = TypeVar("Found")
Array = np.ndarray[Any, Any]


class Library:
    """The real data sets of the catalog, in two folders.

    Args:
        folder: Written to: `raw` below it has downloads, `cache` decoded and whitened data. These are mapped
            copy-on-write, so that all runs of a machine share one copy and none can change it.
        raw: A folder that has data sets already, in torchvision's layout; only read.
        on_progress: Called with sentences before steps that take long.
    """

    def __init__(
        self, folder: Path, raw: Path | None = None, *, on_progress: Callable[[str], None] = lambda message: None
    ) -> None:
        self._folder = folder
        self._given = raw
        self._tell = on_progress

    def images(self, dataset: str, whitening: str) -> Images:
        """All three parts of a data set, whitened. Raises as `part` does."""
        return Images.of(*(self.part(dataset, whitening, part) for part in PARTS))

    def part(self, dataset: str, whitening: str, part: str) -> Part:
        """Whitened images (N, C, H, W) and labels (N,) of `train`, `validation` or `test`.

        Raises ValueError for names that the catalog does not have or data that do not match it, and OSError if data
        cannot be downloaded or written.
        """
        check_names(dataset, whitening, part)
        if DATASETS[dataset].archive is None:
            return _packaged_part(dataset, whitening, part)
        decoded = self.decoded(dataset)
        images, labels, chosen = choose(decoded, part)
        facts = DATASETS[dataset]
        shape = (len(chosen), facts.channels, facts.resolution, facts.resolution)
        path = self._cache(dataset, whitening, f"{part}.npy")

        def make() -> None:
            fitted = self.whitening(dataset, whitening)
            self._tell(f"{dataset}: whitening {len(chosen)} {part} images ({whitening})")
            blocks = (fitted.apply(to_unit(dataset, images[block])).numpy() for block in chosen.split(CHUNK))
            with threads():
                write_array(path, blocks, shape, np.dtype(np.float32))

        return once(path, lambda: map_array(path, shape, np.dtype(np.float32)), make), labels[chosen]

    def whitening(self, dataset: str, name: str) -> Whitening:
        """The whitening `name`, fitted on all training images, including those for validation.

        Published distilled sets were made with such a fit; it does not use labels. Raises as `part` does.
        """
        check_names(dataset, name)
        path = self._cache(dataset, name, "fit.npz")

        def make() -> None:
            images = self.decoded(dataset).train
            self._tell(f"{dataset}: fitting {name}")
            write_fit(path, fit(name, images, functools.partial(to_unit, dataset)))

        return once(path, lambda: self.fitted(dataset, name), make)

    def fitted(self, dataset: str, name: str) -> Whitening | None:
        """As `whitening`, but None if it has not been fitted yet and needs data that are not part of a package."""
        check_names(dataset, name)
        if DATASETS[dataset].archive is None:
            return _packaged_whitening(dataset, name)
        pixels = DATASETS[dataset].channels * DATASETS[dataset].resolution ** 2
        return read_fit(self._cache(dataset, name, "fit.npz"), name, pixels)

    def decoded(self, dataset: str) -> Raw:
        """Images and labels in the publisher's order, as unsigned bytes. Raises as `part` does."""
        if DATASETS[dataset].archive is None:
            return read(dataset, self._folder)
        facts = DATASETS[dataset]
        paths = {name: self._cache(dataset, "raw", f"{name}.npy") for name in Raw.__dataclass_fields__}

        def find() -> Raw | None:
            parts = {}
            for name, path in paths.items():
                count = facts.train if name.startswith("train") else facts.test
                shape = (count, facts.channels, facts.resolution, facts.resolution)
                is_labels = name.endswith("labels")
                form = (shape[:1], np.dtype(np.int64)) if is_labels else (shape, np.dtype(np.uint8))
                parts[name] = map_array(path, *form)
            present = {name: part for name, part in parts.items() if part is not None}
            return Raw(**present) if len(present) == len(parts) else None

        def make() -> None:
            root = self._locate(dataset)
            self._tell(f"{dataset}: reading it from {root}")
            raw = read(dataset, root)
            for name, path in paths.items():
                array = getattr(raw, name).numpy()
                write_array(path, [array], array.shape, array.dtype)

        return once(self._cache(dataset, "raw", "decoded"), find, make)

    def _locate(self, dataset: str) -> Path:
        """The folder that has the data set: the given one, or else our own, to which it is downloaded if missing."""
        archive, own = archive_of(dataset), self._folder / "raw"
        zipped = archive.file.endswith(".zip")
        for root in (self._given, own):
            if root and ((root / archive.folder).is_dir() or (zipped and (root / archive.file).is_file())):
                return root
        self._tell(f"{dataset}: downloading {archive.url}")
        tenths = Tenths(lambda share: self._tell(f"{dataset}: {share} % downloaded"))
        fetch(archive.url, own / archive.file, archive.md5, on_progress=tenths)
        if not zipped:
            extract(own / archive.file, own, archive.folder)
            (own / archive.file).unlink()
        return own

    def _cache(self, dataset: str, whitening: str, what: str) -> Path:
        """The path of a cache file; its name contains everything that its contents depend on."""
        digest = DATASETS[dataset].digest.partition(":")[2][:16]
        return self._folder / "cache" / f"{dataset}-{whitening}-{digest}-v{CACHE_VERSION}-{what}"


class Tenths:
    """Calls `tell` with each further tenth of a download in %; never if the server does not give its size."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._last = 0

    def __call__(self, done: int, total: int | None) -> None:
        """`done` of `total` bytes have been received."""
        share = 10 * done // total if total else 0
        if share > self._last:
            self._last = share
            self._tell(10 * share)


def check_names(dataset: str, whitening: str, part: str = PARTS[0]) -> None:
    """Raises ValueError for an unknown data set, whitening or part."""
    check_choice(dataset, whitening, where="data.")
    if part not in PARTS:
        raise ValueError(f"part = {part!r} is not one of {', '.join(PARTS)}")


def choose(raw: Raw, part: str) -> tuple[Tensor, Tensor, Tensor]:
    """Raw images and labels of the file that has `part`, and the indices of `part` in it."""
    if part == "test":
        return raw.test, raw.test_labels, torch.arange(len(raw.test))
    train, validation = validation_split(raw.train_labels)
    return raw.train, raw.train_labels, train if part == "train" else validation


@functools.lru_cache(maxsize=8)
def _packaged_part(dataset: str, whitening: str, part: str) -> Part:
    images, labels, chosen = choose(read(dataset, Path()), part)
    prepare = functools.partial(to_unit, dataset)
    return _packaged_whitening(dataset, whitening).apply(images[chosen], prepare), labels[chosen]


@functools.lru_cache(maxsize=4)
def _packaged_whitening(dataset: str, name: str) -> Whitening:
    return fit(name, read(dataset, Path()).train, functools.partial(to_unit, dataset))


def once(target: Path, find: Callable[[], Found | None], make: Callable[[], None]) -> Found:
    """The result of `find`; if that is None, one process runs `make` while others wait, and then `find` is repeated.

    The lock is released if its holder dies. Raises OSError if `find` still returns None.
    """
    found = find()
    if found is None:
        with locked(target.with_name(f"{target.name}.lock")):
            found = find()
            if found is None:
                make()
                found = find()
    if found is None:
        raise OSError(f"{target} cannot be read, though it has just been written")
    return found


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """`write_atomically`, for the holder of the file's lock: removes temporary files of killed processes first."""
    for stale in path.parent.glob(f".{path.name}.*{TEMPORARY_SUFFIX}"):
        stale.unlink(missing_ok=True)
    write_atomically(path, write)


def write_array(path: Path, blocks: Iterable[Array], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Writes an array as `.npy` from `blocks` of rows, which are not in memory all at once."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype=dtype).data)

    write_whole(path, write)


def map_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor | None:
    """The array of a `.npy` file, mapped copy-on-write; None if missing, truncated, or of another shape or type."""
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return torch.from_numpy(array) if (array.shape, array.dtype) == (shape, dtype) else None


def write_fit(path: Path, fitted: Whitening) -> None:
    """Writes a whitening's mean, scale, matrix and inverse, in float64."""
    arrays: dict[str, Any] = {name: value.numpy() for name, value in vars(fitted).items() if isinstance(value, Tensor)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)

    write_whole(path, write)


def read_fit(path: Path, name: str, pixels: int) -> Whitening | None:
    """The whitening in a file of `write_fit`; None if missing, damaged, or not for `pixels` = C H W."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: torch.from_numpy(file[key]) for key in file.files}
        fitted = Whitening(name=name, **arrays)
    except (FileNotFoundError, *DAMAGED):
        return None
    good = {each.dtype for each in arrays.values()} == {torch.float64}
    return fitted if good and (fitted.matrix is None or fitted.matrix.shape == (pixels, pixels)) else None
