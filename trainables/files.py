"""Atomic writing of files, lock files, and the user's cache folder."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".partial"


def cache_folder() -> Path:
    """The user's cache folder: `crossarch` below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossarch"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file atomically and durably: `write` makes a temporary file beside `path`, which is then moved there.

    A process that is killed leaves the old file or the new one, and possibly a `*.partial` beside it. Creates the
    folder. Raises OSError if the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        write(temporary)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def writing(content: str | bytes) -> Callable[[Path], None]:
    """A function, for `write_atomically` and the like, that writes `content` to a file; texts as UTF-8."""
    raw = content.encode() if isinstance(content, str) else content

    def write(path: Path) -> None:
        path.write_bytes(raw)

    return write


def write_json(path: Path, document: Any) -> None:
    """Writes `document` as JSON, by `write_atomically`."""
    write_atomically(path, writing(json.dumps(document, indent=1) + "\n"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file `path`, waiting for other holders. Creates the file and its folder."""
    import fcntl  # not available on Windows, where runs can be trained without locks

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
