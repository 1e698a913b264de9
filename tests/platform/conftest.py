"""The command line, called in this process, and what a folder holds."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from crossarch.platform.cli import main


class Answer(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def crossarch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """What `crossarch` with these arguments answers."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["crossarch", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
        return Answer(ending.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def listing() -> Callable[[Path], dict[str, tuple[int, int]]]:
    """Every file and folder below a folder, with its size and the instant it was last changed."""

    def look(folder: Path) -> dict[str, tuple[int, int]]:
        return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in sorted(folder.rglob("*"))}

    return look
