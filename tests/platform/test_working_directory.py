"""What `ray job submit --working-dir .` uploads: all that a run needs, and no results, environment, `.git` or data."""

import shutil
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROOMS = ("platform", "search_spaces", "trainables")


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """The package that Ray's own code makes of this working tree, with results and an environment lying about."""
    from ray._private.runtime_env.packaging import create_package

    tree = tmp_path / "tree"
    passed_over = shutil.ignore_patterns(".venv", "__pycache__", ".*_cache", "crossarch-results")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=passed_over)
    for name in ("crossarch-results/weights/a.pt", ".venv/lib/python/b.so", "mlflow.db", "tests/c.bin"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(bytes(100_000))
    create_package(str(tree), tmp_path / "package.zip", include_gitignore=True)
    return tmp_path / "package.zip"


def test_it_holds_the_rooms_alone(packed):
    with zipfile.ZipFile(packed) as package:
        names = {Path(name) for name in package.namelist()}
    top = {name.parts[0] for name in names}
    assert "crossarch" in top
    assert not top & {"tests", ".git", ".venv", "k8s", "crossarch-results", "mlflow.db", *ROOMS}, "the rooms once"
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert "crossarch" / path.relative_to(ROOT) in names
