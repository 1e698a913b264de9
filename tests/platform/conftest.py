"""The command line, called in this process, what a folder holds, and storage on a real S3 server."""

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from s3 import S3, serving

from crossarch.platform.cli.main import main
from crossarch.platform.store.object_storage import ENDPOINTS, open_files
from crossarch.platform.store.storage import open_storage


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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with serving(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The server, and an environment in which it is reached."""
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    open_files.cache_clear()
    yield s3_server
    open_files.cache_clear()


@pytest.fixture
def uri(s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A storage of the test's own; its working copy is in the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"{s3.bucket('results')}/{random.Random(request.node.nodeid).getrandbits(64):x}"


@pytest.fixture
def machine(uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """The working copy that a machine of that name has of the storage."""

    def at(name: str) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return open_storage(uri)

    return at
