"""Deletes files of a storage folder that no run needs any more."""

from pathlib import Path

from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import WEIGHTS, copy_of
from crossarch.trainables.files import TEMPORARY_SUFFIX
from crossarch.trainables.working_copy import WorkingCopy


def clean_storage(root: Path, *, weights: bool) -> int:
    """Deletes leftovers, and the weights kept for students if `weights`. Returns the bytes freed.

    Leftovers are checkpoints of runs that have a result, Ray Tune's files of killed drivers, and temporary files that
    were never moved into place. Call it while nothing trains in this storage.
    """
    ledger = Ledger(root)
    done = {identity for identity, result in ledger.read().items() if result.is_result}
    copy = copy_of(root)
    held = {name.split("/")[1] for name in copy.names("checkpoints/")}
    held |= {folder.name for folder in (root / "checkpoints").glob("*")}
    unneeded = [f"checkpoints/{name}/" for name in sorted(held & done)]
    if weights:
        unneeded.append(WEIGHTS)
    freed = sum(_size(copy, name) for name in unneeded) + _size(WorkingCopy(root), "ray/")
    for name in unneeded:
        copy.drop(name)
    copy.forget("ray/")
    for pattern in ("checkpoints/*", "weights"):
        for path in root.glob(f"{pattern}/.*{TEMPORARY_SUFFIX}"):
            freed += path.stat().st_size
            path.unlink()
    ledger.clean_temporaries()
    return freed


def _size(copy: WorkingCopy, name: str) -> int:
    """Bytes of all files of the storage below `name`."""
    if copy.origin is not None:
        return sum(stamp.size for stamp in copy.origin.stamps(name).values())
    return sum(path.stat().st_size for path in (copy.root / name).rglob("*") if path.is_file())
