"""Safe reading of torch's files: the names that their pickles import are checked before anything is loaded."""

import io
import mmap
import pickletools
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from crossarch.trainables.data.archives import check_zip, check_zip_contents, regular_file

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""Beginning of torch's files that are not zip archives, as written before torch 1.6."""

PICKLE_BYTES = 64 * 2**20
"""Maximum bytes of the pickle in a zip archive, which does not include the tensors' values."""

_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
TENSORS = {
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "collections.OrderedDict",
    *(f"torch.{kind}Storage" for kind in _STORAGES),
}
"""The names that a pickle of tensors imports."""


class NumpyType:
    """Replaces a numpy type while a dictionary of DC, DSA or DM is read. It is empty."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def numpy_number(*_: object) -> None:
    """Replaces a numpy number while a dictionary of DC, DSA or DM is read: its accuracies are not needed."""


NUMPY_NUMBERS: dict[str, Any] = {
    "numpy.core.multiarray.scalar": numpy_number,
    "numpy._core.multiarray.scalar": numpy_number,
    "numpy.dtype": NumpyType,
}
"""Replacements of further names that the dictionaries of DC, DSA and DM import, for the accuracies in them.

numpy's own classes are not allowed, as their `__setstate__` does not check its argument.
"""
BYTES = "_codecs.encode"
"""The name by which bytes are pickled, here those of a numpy number; torch allows it."""


def load_torch(path: Path) -> Any:
    """Loads a file of `torch.save` on the CPU; tensors of a zip archive are memory-mapped.

    Raises ValueError, before anything is loaded, if the file is damaged, too large, or imports any class or function
    other than those of tensors and of numpy's numbers.
    """
    size = regular_file(path)
    with path.open("rb") as stream:
        zipped = stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    numpy_numbers = _check_zipped(path) if zipped else _check_legacy(path, size)
    allowed: list[Any] = [(stand_in, name) for name, stand_in in NUMPY_NUMBERS.items()] if numpy_numbers else []
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a damaged or hostile file may fail in any way
        raise ValueError(f"{path.name} is damaged, or no file of tensors: torch cannot load it") from error


def is_torch(path: Path) -> bool:
    """Whether a file has the form of torch's files, by its beginning or its zip members."""
    with path.open("rb") as stream:
        head = stream.read(len(LEGACY_MAGIC))
    if not head.startswith(ZIP_MAGIC):
        return head[:1] == LEGACY_MAGIC[:1]
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return path.suffix != ".npz"


def _check_zipped(path: Path) -> bool:
    """Checks the archive and its pickle. Returns whether it has numbers of numpy."""
    names = check_zip(path, packed=False)
    pickles = [name for name in names if name.endswith("data.pkl")]
    if len(pickles) != 1 or any(name.endswith("constants.pkl") for name in names):
        raise ValueError(f"{path.name} is a zip archive, but not one of tensors that torch.save wrote")
    check_zip_contents(path)
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(pickles[0]).file_size
        if size > PICKLE_BYTES:
            raise ValueError(f"{path.name} holds a pickle of {size} bytes, more than {PICKLE_BYTES}: refused")
        return _check_names(path.name, _read_names(path.name, io.BytesIO(archive.read(pickles[0]))))


def _check_legacy(path: Path, size: int) -> bool:
    """Checks the pickles of a file from before torch 1.6. Returns whether they have numbers of numpy."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        if view[: len(LEGACY_MAGIC)] != LEGACY_MAGIC:
            names = _read_names(path.name, view) if view[:1] == LEGACY_MAGIC[:1] else set()
            _check_names(path.name, names)
            raise ValueError(f"{path.name} is no file that torch.save wrote")
        # Magic number, protocol, machine, object, keys of the storages: five pickles, then the values.
        first = [_read_names(path.name, view) for _ in range(3)]
        last = [_read_names(path.name, view, largest=size) for _ in range(2)]
    return _check_names(path.name, set().union(*first, *last))


def _check_names(file: str, names: Iterable[str]) -> bool:
    names = set(names)
    numpy_numbers = bool(names & set(NUMPY_NUMBERS))
    allowed = set(TENSORS)
    if numpy_numbers:
        allowed |= {*NUMPY_NUMBERS, BYTES}
    if names - allowed:
        others = sorted(names - allowed)
        ours = all(name.startswith("torch.") for name in others)
        what = "more than plain tensors" if ours else "a pickle with code in it"
        raise ValueError(f"{file} holds {what} ({', '.join(others[:3])[:120]}): refused")
    return numpy_numbers


def _read_names(file: str, stream: Any, largest: int | None = None) -> set[str]:
    """The names that the next pickle of a stream would import; nothing is executed.

    Raises ValueError if the pickle is damaged, or has an integer above `largest`, the file's size: no tensor in it can
    have more values.
    """
    names = set()
    for code, value in _operations(file, stream):
        if code in ("GLOBAL", "INST"):
            names.add(str(value).replace(" ", ".", 1))
        elif code in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            names.add(f"by {code}, which torch.save does not write")
        elif largest is not None and isinstance(value, int) and value > largest and "PUT" not in code:
            raise ValueError(f"{file} speaks of {value} values in a file of {largest} bytes: refused")
    return names


def _operations(file: str, stream: Any) -> Iterator[tuple[str, Any]]:
    try:
        for operation, value, _ in pickletools.genops(stream):
            yield operation.name, value
    except ValueError as error:
        raise ValueError(f"{file} holds a damaged or truncated pickle") from error
