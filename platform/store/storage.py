"""Storage of results: a folder, or remote storage at a URI with a local working copy.

A working copy is a folder whose file `origin` holds the URI, so that code that is given the folder finds the storage.
It is only a cache, and can be deleted while nothing runs.
"""

import hashlib
import tempfile
from pathlib import Path

from crossarch.platform.errors import BadInputError
from crossarch.platform.store.object_storage import open_files, parse
from crossarch.trainables.files import cache_folder, write_atomically, writing
from crossarch.trainables.working_copy import WorkingCopy

ORIGIN = "origin"
SETS, WEIGHTS = "data/distilled/", "weights/"


def open_storage(place: str | Path) -> Path:
    """The folder of a storage: the path itself, or for a URI its working copy, with all distilled sets fetched.

    Raises BadInputError if the URI is malformed, or its storage cannot be read.
    """
    if isinstance(place, Path) or "://" not in place:
        return Path(place)
    uri = str(parse(place))
    open_files(uri).check()
    copy = working_copy(uri)
    try:
        copy.pull(SETS)
    except OSError as error:
        raise BadInputError(str(error)) from error
    return copy.root


def working_copy(uri: str) -> WorkingCopy:
    """The working copy on this machine of the storage at `uri`, created if need be; nothing is fetched.

    It is in crossarch's folder below XDG_CACHE_HOME, or ~/.cache. Raises BadInputError if it cannot be written.
    """
    cache = cache_folder()
    root = cache / hashlib.sha256(uri.encode()).hexdigest()[:16]
    mark = root / ORIGIN
    try:
        if not mark.exists():
            write_atomically(mark, writing(uri))
    except OSError as error:
        raise BadInputError(f"XDG_CACHE_HOME = {str(cache.parent)!r} cannot be written to: {error.strerror}") from error
    return WorkingCopy(root.resolve(), open_files(uri))


def copy_of(root: Path) -> WorkingCopy:
    """The working copy at `root`, with its origin; without an origin where `root` is the storage itself."""
    uri = origin_of(root)
    return WorkingCopy(root, open_files(uri) if uri else None)


def origin_of(root: Path) -> str | None:
    """The URI of the remote storage of which `root` is a working copy; None where `root` is the storage itself."""
    try:
        return (root / ORIGIN).read_text(encoding="utf-8")
    except OSError:
        return None


def place_of(root: Path) -> str:
    """The storage as a user names it: its URI, or its folder."""
    return origin_of(root) or str(root)


def weights_elsewhere(root: Path) -> frozenset[str]:
    """File names of the weights kept in the remote storage of which `root` is a working copy; empty without one.

    Raises OSError if it does not answer.
    """
    copy = copy_of(root)
    return frozenset(name.removeprefix(WEIGHTS) for name in copy.names(WEIGHTS)) if copy.origin else frozenset()


def require_writable(folder: Path, option: str = "storage") -> Path:
    """The absolute path of `folder`, the value of `option`, after checking that it can be written or created.

    The check leaves no file in the folder. Raises BadInputError if it fails.
    """
    try:
        path = folder.expanduser().resolve()
        existing = next(parent for parent in (path, *path.parents) if parent.exists())
        if not existing.is_dir():
            raise BadInputError(f"{option} = {str(folder)!r} is not a folder: {str(existing)!r} is a file")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: an unknown user's home, or a link to itself
        reason = getattr(error, "strerror", None) or error
        raise BadInputError(f"{option} = {str(folder)!r} cannot be written to: {reason}") from error
    uri = origin_of(path)
    if uri:
        open_files(uri).check_writable()
    return path
