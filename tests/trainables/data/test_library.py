"""Data sets are fetched, decoded and whitened once, and each part only when it is asked for."""

import contextlib
import dataclasses
import functools
import hashlib
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from mini_dataset import FACTS, RAW_FILES, cached, content
from torch import Tensor

from crossarch.trainables.config.datasets import DATASETS, WHITENINGS, Archive
from crossarch.trainables.data.decode import READERS, to_unit
from crossarch.trainables.data.library import PARTS, Library, Tenths
from crossarch.trainables.data.subsets import validation_split
from crossarch.trainables.data.whitening import fit

pytestmark = pytest.mark.usefixtures("mini")


@pytest.mark.parametrize("whitening", WHITENINGS)
def test_parts_are_whitened_by_a_fit_on_all_training_images(library: Library, whitening: str) -> None:
    raw = content()
    fitted = fit(whitening, raw.train / 255)
    train, validation = validation_split(raw.train_labels)
    images = library.images("mini", whitening)

    for found, labels, expected, truth in (
        (images.train, images.train_labels, raw.train[train], raw.train_labels[train]),
        (images.validation, images.validation_labels, raw.train[validation], raw.train_labels[validation]),
        (images.test, images.test_labels, raw.test, raw.test_labels),
    ):
        torch.testing.assert_close(found, fitted.apply(expected / 255), rtol=0, atol=1e-5)
        assert torch.equal(labels, truth)
    assert (len(images.train), len(images.validation)) == (54, 6)


def test_only_the_part_asked_for_is_made(tmp_path: Path, library: Library, told: list[str]) -> None:
    library.part("mini", "zca", "test")

    assert cached(tmp_path) == RAW_FILES | {"mini-zca-fit.npz", "mini-zca-test.npy"}
    assert told == [
        f"mini: reading it from {tmp_path / 'given'}",
        "mini: fitting zca",
        "mini: whitening 10 test images (zca)",
    ]


def test_what_was_made_is_neither_decoded_nor_whitened_again(
    tmp_path: Path, library: Library, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = library.images("mini", "zca")
    told.clear()
    monkeypatch.delitem(READERS, "mini")
    again = Library(tmp_path / "data", None, on_progress=told.append).images("mini", "zca")

    assert told == []
    for name, tensor in vars(first).items():
        assert torch.equal(getattr(again, name), tensor)


def test_another_whitening_decodes_nothing_again(library: Library, told: list[str]) -> None:
    library.part("mini", "zca", "test")
    told.clear()
    library.part("mini", "channel", "test")

    assert told == ["mini: fitting channel", "mini: whitening 10 test images (channel)"]


def test_the_fit_is_read_back_whole(tmp_path: Path, library: Library) -> None:
    for name in WHITENINGS:
        first, again = (each.whitening("mini", name) for each in (library, Library(tmp_path / "data")))
        for field, value in vars(first).items():
            other = getattr(again, field)
            assert torch.equal(other, value) if isinstance(value, Tensor) else other == value


@contextlib.contextmanager
def publisher(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """Serves `folder` on this machine, without a word."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *arguments: None)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_data_that_lie_nowhere_are_downloaded_once(
    tmp_path: Path, raw: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "mini.tar.gz"
    with tarfile.open(packed, "w:gz") as out:
        out.add(raw / "mini", "mini")
    digest = hashlib.md5(packed.read_bytes(), usedforsecurity=False).hexdigest()
    with publisher(tmp_path, monkeypatch) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/mini.tar.gz"
        archive = Archive(url=url, md5=digest, folder="mini")
        monkeypatch.setitem(DATASETS, "mini", dataclasses.replace(FACTS, archive=archive))
        library = Library(tmp_path / "data", tmp_path / "empty", on_progress=told.append)
        library.part("mini", "channel", "test")

    own = tmp_path / "data" / "raw"
    assert told[:3] == [f"mini: downloading {url}", "mini: 100 % downloaded", f"mini: reading it from {own}"]
    assert [path.relative_to(own).as_posix() for path in own.rglob("*")] == ["mini", "mini/marker"]
    for path in (tmp_path / "data" / "cache").glob("*raw*"):
        path.unlink()
    library.part("mini", "channel", "validation")  # the server is gone: read from where it was unpacked


def test_a_zip_that_lies_there_is_not_downloaded(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped = Archive(url="https://example.org/mini.zip", md5="", folder="mini")
    monkeypatch.setitem(DATASETS, "mini", dataclasses.replace(FACTS, archive=zipped))
    monkeypatch.setitem(READERS, "mini", lambda root: content())
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "mini.zip").touch()
    Library(tmp_path / "data", tmp_path / "given", on_progress=told.append).decoded("mini")

    assert told == [f"mini: reading it from {tmp_path / 'given'}"]


def test_downloads_tell_of_every_tenth_once() -> None:
    shares: list[int] = []
    tenths = Tenths(shares.append)
    for done in range(0, 1001, 7):
        tenths(done, 1000)
    tenths(1000, 1000)
    tenths(5, None)

    assert shares == list(range(10, 101, 10))


@pytest.mark.parametrize("whitening", DATASETS["digits"].whitenings)
def test_digits_need_no_folder(tmp_path: Path, whitening: str) -> None:
    library = Library(tmp_path / "data")
    images = library.images("digits", whitening)

    assert list(tmp_path.iterdir()) == []
    assert [len(getattr(images, part)) for part in PARTS] == [905, 95, 797]
    unit = to_unit("digits", library.decoded("digits").test)
    assert torch.equal(library.whitening("digits", whitening).apply(unit), images.test)


@pytest.mark.parametrize(
    ("dataset", "whitening", "part", "message"),
    [
        ("mnist", "channel", "train", "data.dataset = 'mnist' is not one of digits, cifar10"),
        ("digits", "channel_mtt", "train", "data.whitening = 'channel_mtt' is none of digits: channel, zca, frepo"),
        ("tiny_imagenet", "pca", "train", "data.whitening = 'pca' is none of tiny_imagenet"),
        ("digits", "zca", "all", "part = 'all' is not one of train, validation, test"),
    ],
)
def test_unknown_names_are_refused(tmp_path: Path, dataset: str, whitening: str, part: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Library(tmp_path).part(dataset, whitening, part)
    assert list(tmp_path.iterdir()) == []
