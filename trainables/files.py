"""Files that are there whole or not at all, and where a user's cache lies."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".partial"


def cache_folder() -> Path:
    """The user's folder for what can be made again: `crossarch` below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossarch"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` make a temporary file beside `path` and moves it into place, durably.

    A process killed at any moment leaves the old file or the new one, and at worst a `*.partial` beside it.
    Creates the folder. Raises OSError where the disk refuses.
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
    """Writes a file of `content`, text as UTF-8; for `write_atomically` and its like."""
    raw = content.encode() if isinstance(content, str) else content

    def write(path: Path) -> None:
        path.write_bytes(raw)

    return write


def write_json(path: Path, document: Any) -> None:
    """Writes `document` as JSON, as `write_atomically` does."""
    write_atomically(path, writing(json.dumps(document, indent=1) + "\n"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path` against other processes and threads, waiting for it. Creates it and its folder."""
    import fcntl  # not on Windows, where a run can be trained all the same

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
