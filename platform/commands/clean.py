"""Implements `crossarch clean`."""

from pathlib import Path

import typer

from crossarch.platform.store.cleaning import clean_storage
from crossarch.platform.store.storage import require_writable


def clean(storage: Path, *, weights: bool) -> None:
    """Removes files that no run needs from the storage, optionally teachers' weights too, and prints their size."""
    freed = clean_storage(require_writable(storage), weights=weights)
    typer.echo(f"{freed / 1e6:,.1f} MB freed")
