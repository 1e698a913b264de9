"""Implements `crossarch data list`, without torch, which the other data commands import."""

from pathlib import Path

from rich.console import Console

from crossarch.platform.report.terminal import render_sets
from crossarch.platform.scheduling.data import manifests


def list_sets(root: Path) -> None:
    """Prints the distilled sets in the storage, and the damaged ones."""
    sets = manifests(root)
    Console().print(render_sets(sets.manifests(), sets.damaged()))
