"""A library of a miniature, and what it tells."""

from pathlib import Path

import pytest
from mini_dataset import FACTS, read_mini

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.data.decode import READERS
from crossarch.trainables.data.library import Library


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog knows the miniature."""
    monkeypatch.setitem(DATASETS, "mini", FACTS)
    monkeypatch.setitem(READERS, "mini", read_mini)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Where the data set already lies."""
    (tmp_path / "given" / "mini").mkdir(parents=True)
    (tmp_path / "given" / "mini" / "marker").touch()
    return tmp_path / "given"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def library(tmp_path: Path, mini: None, raw: Path, told: list[str]) -> Library:
    return Library(tmp_path / "data", raw, on_progress=told.append)
