"""The cache is shared safely by many processes, and made anew where its files are spoilt."""

import dataclasses
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mini_dataset import FACTS, cached, content

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.data.decode import READERS
from crossarch.trainables.data.library import Library

pytestmark = pytest.mark.usefixtures("mini")


def test_what_a_run_does_to_its_images_stays_its_own(library: Library) -> None:
    mine, _ = library.part("mini", "channel", "test")
    before = mine.clone()
    mine.zero_()

    assert torch.equal(library.part("mini", "channel", "test")[0], before)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY" + bytes(200))


def another_shape(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, mean=np.zeros((3, 1, 1)), scale=np.ones((3, 1, 1)), matrix=np.eye(5))
    if path.suffix == ".npy":
        np.save(path, np.zeros((10, 3, 4, 5), dtype=np.float32))


def another_type(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, mean=np.zeros((3, 1, 1), dtype=np.float32), scale=np.ones((3, 1, 1)))
    if path.suffix == ".npy":
        np.save(path, np.zeros((10, 3, 4, 4)))


@pytest.mark.parametrize("spoil", [cut, empty, noise, another_shape, another_type, Path.unlink])
@pytest.mark.parametrize("what", ["zca-*test.npy", "zca-*fit.npz", "raw-*-test.npy", "raw-*-train_labels.npy"])
def test_a_spoilt_file_is_made_anew(
    tmp_path: Path, library: Library, told: list[str], spoil: Callable[[Path], None], what: str
) -> None:
    before, labels = library.part("mini", "zca", "test")
    before = before.clone()
    (path,) = (tmp_path / "data" / "cache").glob(f"mini-{what}")
    spoil(path)
    told.clear()
    library.whitening("mini", "zca")
    found, again = library.part("mini", "zca", "test")

    assert len(told) == 1
    torch.testing.assert_close(found, before, rtol=0, atol=1e-6)
    assert torch.equal(labels, again)


def test_data_of_another_digest_are_not_taken_from_the_cache(
    library: Library, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library.part("mini", "channel", "test")
    told.clear()
    changed = dataclasses.replace(content(), test=content().test.flip(0))
    monkeypatch.setitem(READERS, "mini", lambda root: changed)
    monkeypatch.setitem(DATASETS, "mini", dataclasses.replace(FACTS, digest="md5:" + "f" * 32))
    found, _ = library.part("mini", "channel", "test")

    assert len(told) == 3
    torch.testing.assert_close(found, library.whitening("mini", "channel").apply(changed.test / 255))


def test_data_of_another_digest_are_refused_and_leave_nothing(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "mini", dataclasses.replace(FACTS, digest="sha256:0123456789abcdef" + "0" * 48))
    with pytest.raises(ValueError, match=r"'mini': its SHA-256 is .* the data have changed"):
        library.part("mini", "channel", "test")
    assert cached(tmp_path) == set()


RACE = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import mini_dataset as here
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.data.library import Library
from crossarch.trainables.data.decode import READERS
DATASETS["mini"], READERS["mini"] = here.FACTS, here.read_mini
folder, given = Path(sys.argv[2]), Path(sys.argv[3])
start, go = os.pipe()
for number in range(8):
    if os.fork() == 0:
        os.close(go)
        os.read(start, 1)  # returns for all at once, when the parent closes its end
        log = os.open(folder / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        library = Library(folder, given, on_progress=lambda message: os.write(log, (message + chr(10)).encode()))
        images, labels = library.part("mini", "zca", "test")
        os.write(log, f"sum {float(images.double().sum()):.3f}{chr(10)}".encode())
        os._exit(0)
os.close(go)
sys.exit(any(os.wait()[1] for _ in range(8)))
"""


def test_many_processes_at_once_do_the_work_once(tmp_path: Path, raw: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    tests = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", RACE, tests, str(folder), str(raw)], check=True, timeout=120)
    lines = (folder / "log").read_text().splitlines()

    assert len(lines) == 3 + 8
    assert {line for line in lines[:3] if line.startswith("mini: ")} == set(lines[:3])
    assert len({line for line in lines if line.startswith("sum ")}) == 1


def test_a_process_that_dies_hands_the_lock_on(tmp_path: Path, library: Library) -> None:
    lock = tmp_path / "data" / "cache" / "mini-raw-0123456789abcdef-v1-decoded.lock"
    lock.parent.mkdir(parents=True)
    code = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print('held', flush=True); sys.stdin.read()"
    )
    held: list[bool] = []
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        waiting = threading.Thread(target=lambda: library.part("mini", "channel", "test"))
        waiting.start()
        waiting.join(0.2)
        held.append(waiting.is_alive())
        holder.kill()
        waiting.join(60)
        held.append(waiting.is_alive())

    assert held == [True, False]
    assert "mini-channel-test.npy" in cached(tmp_path)


def test_what_killed_processes_left_is_removed(tmp_path: Path, library: Library) -> None:
    cache = tmp_path / "data" / "cache"
    cache.mkdir(parents=True)
    stale = [cache / f".mini-{name}.0123.partial" for name in ("raw-0123456789abcdef-v1-train.npy", "other.npy")]
    for path in stale:
        path.touch()
    library.part("mini", "channel", "test")

    assert [path.exists() for path in stale] == [False, True]
