"""Removes from a storage folder what no run will need again."""

import shutil
from pathlib import Path

from crossarch.platform.record.ledger import Ledger
from crossarch.trainables.files import TEMPORARY_SUFFIX


def clean_storage(root: Path, *, weights: bool) -> int:
    """Removes leftovers, and kept weights where `weights` says so; the bytes that were freed.

    Leftovers are checkpoints of runs that have a result, Tune's files of killed drivers, half-written files. To be
    called while nothing trains there.
    """
    ledger = Ledger(root)
    done = {identity for identity, result in ledger.read().items() if result.is_result}
    unneeded = [folder for folder in (root / "checkpoints").glob("*") if folder.name in done]
    unneeded.append(root / "ray")
    if weights:
        unneeded.append(root / "weights")
    freed = sum(_size(folder) for folder in unneeded)
    for folder in unneeded:
        shutil.rmtree(folder, ignore_errors=True)
    for pattern in ("checkpoints/*", "weights"):
        for path in root.glob(f"{pattern}/.*{TEMPORARY_SUFFIX}"):
            freed += path.stat().st_size
            path.unlink()
    ledger.clean_temporaries()
    return freed


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
