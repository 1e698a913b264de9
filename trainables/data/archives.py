"""Safe reading of untrusted files: no code in them is run, and no memory is allocated before sizes are checked."""

import hashlib
import math
import os
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

LIMIT = 4 * 2**30
"""Maximum bytes of a file, packed and unpacked."""

MEMBERS = 10_000
"""Maximum members of an archive."""
RATIO = 200
"""Maximum ratio of the unpacked size of all members to the file's size..."""
RATIO_FROM = 64 * 2**20
"""...if they have more than this many bytes together: small sets with few distinct values compress very well."""

_PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def regular_file(path: Path) -> int:
    """The size of a file in bytes.

    Raises ValueError if `path` is not a regular file (a folder, a pipe, a device), is empty, or is larger than LIMIT.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {os.strerror(error.errno or 0)}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError(f"{path.name} is not a regular file: refused")
    if facts.st_size == 0:
        raise ValueError(f"{path.name} is empty")
    if facts.st_size > LIMIT:
        raise ValueError(f"{path.name} has {facts.st_size} bytes, more than the {LIMIT} that are declared: refused")
    return facts.st_size


def refuse_links_out(path: Path, folder: Path) -> None:
    """Raises ValueError if `path`, with links resolved, is not in `folder`."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path.name} is a link that leads out of its folder: refused")


def files_digest(paths: Sequence[Path]) -> str:
    """SHA-256 of a file's bytes; of several, that of the lines `sha256sum` prints of them in order of their names."""
    digests = {}
    for path in paths:
        with path.open("rb") as stream:
            digests[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def check_zip(path: Path, packed: bool = True) -> list[str]:
    """Checks a zip archive by its table of contents, without unpacking, and returns the names of its members.

    Raises ValueError if the table is damaged; if a name occurs twice or leads out of the archive; if a member is
    encrypted or compressed in an unusual way (or at all, unless `packed`); or if the members have more than LIMIT
    bytes, or implausibly many for the file's size.
    """
    size = regular_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path.name} is a damaged or truncated zip archive") from error
    names = [member.orig_filename for member in members]
    if len(names) > MEMBERS or len(set(names)) < len(names):
        raise ValueError(f"{path.name} has {len(names)} members, of which {len(set(names))} differ: refused")
    for member in members:
        _check_member(path.name, member, packed)
    total = sum(member.file_size for member in members)
    if total > LIMIT:
        raise ValueError(f"{path.name} unpacks to {total} bytes, more than the {LIMIT} that are declared: refused")
    if not packed and total > size:
        raise ValueError(f"{path.name} has {size} bytes, but members of {total} bytes that are not packed: refused")
    if total > max(RATIO * size, RATIO_FROM):
        raise ValueError(f"{path.name} unpacks from {size} bytes to {total}, over {RATIO} times as many: refused")
    return names


def _check_member(file: str, member: zipfile.ZipInfo, packed: bool) -> None:
    name = member.orig_filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name:
        raise ValueError(f"{file} has a member that leads out of it ({name[:80]!r}): refused")
    if member.flag_bits & _ENCRYPTED:
        raise ValueError(f"{file} has an encrypted member ({name[:80]!r}): refused")
    if member.compress_type not in (_PACKED if packed else {zipfile.ZIP_STORED}):
        raise ValueError(f"{file} has a member packed in an unexpected way ({name[:80]!r}): refused")


def check_zip_contents(path: Path) -> None:
    """Reads every member once. Raises ValueError if one does not match its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except Exception as error:  # damage shows in any of zipfile's and zlib's ways
        raise ValueError(f"{path.name} is damaged: not all of its members can be read") from error
    if bad is not None:
        raise ValueError(f"{path.name} is damaged: {bad[:80]!r} does not have the bytes its checksum says")


def load_npy(path: Path) -> Tensor:
    """The array of a .npy file: floats as float32, uint8 and bool unchanged, other integers as int64.

    Raises ValueError if it is damaged, of another type (objects would need unpickling), or too large.
    """
    size = regular_file(path)
    with path.open("rb") as stream:
        return _read_array(stream, size, path.name)


def load_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of an .npz file by name, converted as by `load_npy`. Raises ValueError as that and `check_zip`."""
    arrays: dict[str, Tensor] = {}
    for name in check_zip(path):
        key = name.removesuffix(".npy")
        try:
            with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
                arrays[key] = _read_array(stream, archive.getinfo(name).file_size, f"{path.name}[{key!r}]")
        except ValueError:
            raise
        except Exception as error:  # damage shows in any of zipfile's and zlib's ways
            raise ValueError(f"{path.name} is damaged: {key[:80]!r} cannot be unpacked") from error
    return arrays


def _read_array(stream: IO[bytes], size: int, name: str) -> Tensor:
    """The array in a stream of `size` bytes. Its header is checked before memory is allocated."""
    shape, fortran, dtype = _read_header(stream, name)
    if dtype.hasobject or dtype.kind not in "biuf":
        kind = "Python objects" if dtype.hasobject else f"values of type {dtype}"
        raise ValueError(f"{name} holds {kind}, not numbers: refused")
    expected, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if not shape or min(shape) < 1 or expected > LIMIT:
        raise ValueError(f"{name} has shape {shape}, {expected} bytes; 1 to {LIMIT} are declared: refused")
    if expected != there:
        raise ValueError(f"{name} is damaged: its shape {shape} needs {expected} bytes, and {there} follow")
    array = np.frombuffer(stream.read(), dtype).reshape(shape, order="F" if fortran else "C")
    target: np.dtype[Any] = np.dtype(np.int64)
    if dtype.kind == "b" or dtype == np.uint8:
        target = dtype
    elif dtype.kind == "f":
        target = np.dtype(np.float32)
    with np.errstate(over="ignore"):  # becomes infinite, which check_set refuses
        values = array.astype(target, order="C")
    return torch.from_numpy(values)


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, "np.dtype[np.generic]"]:
    try:
        read = _HEADERS[npy.read_magic(stream)]
        header: tuple[tuple[int, ...], bool, np.dtype[np.generic]] = read(stream)
    except Exception as error:  # a damaged header may fail in any way
        raise ValueError(f"{name} holds no numpy array: its header cannot be read") from error
    return header
