"""The publishers' files are read in the right order, verified, and refused where they are not what they should be."""

import dataclasses
import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.data import decode as readers
from crossarch.trainables.data.decode import Raw, raw_sha256, read, to_unit

CIFAR10 = Path(__file__).resolve().parents[4] / "shared" / "data"
WNIDS = ("n03", "n01", "n02")
GREY = "train/n02/images/n02_1.JPEG"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def jpeg(colour: tuple[int, int, int] | int, size: tuple[int, int] = (64, 64)) -> bytes:
    out = io.BytesIO()
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(out, "JPEG", quality=100)
    return out.getvalue()


def tiny_files() -> dict[str, bytes]:
    """A miniature in the publisher's layout: three classes of twelve images, six for testing, one image grey.

    Colours tell class (red) and number (green).
    """
    files = {"wnids.txt": "\n".join(WNIDS).encode(), "words.txt": b"n01\ta thing\n"}
    for wnid in WNIDS:
        files[f"train/{wnid}/{wnid}_boxes.txt"] = b""
        for number in range(12):
            files[f"train/{wnid}/images/{wnid}_{number}.JPEG"] = jpeg((80 * WNIDS.index(wnid), 20 * number, 0))
    files[GREY] = jpeg(99)
    lines = [f"val_{number}.JPEG\t{WNIDS[number % 3]}\t0\t0\t62\t62" for number in (0, 1, 10, 11, 2, 3)]
    files["val/val_annotations.txt"] = "\n".join(lines).encode()
    for number in (0, 1, 2, 3, 10, 11):
        files[f"val/images/val_{number}.JPEG"] = jpeg((0, 20 * number, 200))
    return files


def zipped(files: dict[str, bytes], folder: str = "tiny-imagenet-200/") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files, reverse=True):
            archive.writestr(folder + name, files[name])
    return out.getvalue()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog describes the miniature."""
    monkeypatch.setitem(DATASETS, "tiny_imagenet", dataclasses.replace(DATASETS["tiny_imagenet"], train=36, test=6))


def put_zip(root: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive, with the MD5 that the catalog promises."""
    facts = DATASETS["tiny_imagenet"]
    assert facts.archive is not None
    archive = dataclasses.replace(facts.archive, md5=md5(content))
    monkeypatch.setitem(DATASETS, "tiny_imagenet", dataclasses.replace(facts, archive=archive))
    (root / archive.file).write_bytes(content)


def put_folder(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = root / "tiny-imagenet-200" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_tiny_imagenet_is_read(tmp_path: Path, tiny: None, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    if form == "zip":
        put_zip(tmp_path, zipped(tiny_files()), monkeypatch)
    else:
        put_folder(tmp_path, tiny_files())
    raw = read("tiny_imagenet", tmp_path)

    assert (raw.train.shape, raw.test.shape) == ((36, 3, 64, 64), (6, 3, 64, 64))
    assert raw.train.dtype == torch.uint8
    assert raw.train_labels.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    means = raw.train.double().mean((2, 3))
    for label, wnid in enumerate(sorted(WNIDS)):
        for number in range(12):
            expected = (99, 99, 99) if wnid == "n02" and number == 1 else (80 * WNIDS.index(wnid), 20 * number, 0)
            assert means[12 * label + number].tolist() == pytest.approx(expected, abs=3)
    assert [round(green / 20) for green in raw.test.double().mean((2, 3))[:, 1].tolist()] == [0, 1, 2, 3, 10, 11]
    wnids = [WNIDS[number % 3] for number in (0, 1, 2, 3, 10, 11)]
    assert raw.test_labels.tolist() == [sorted(WNIDS).index(wnid) for wnid in wnids]


def test_archive_of_another_md5_is_refused(tmp_path: Path, tiny: None) -> None:
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(zipped(tiny_files()))
    with pytest.raises(ValueError, match=r"the MD5 of .*zip is [0-9a-f]{32}, not 90528d7ca1a48142e341f4ef8d21d0de"):
        read("tiny_imagenet", tmp_path)


@pytest.mark.parametrize("name", ["../evil.JPEG", "tiny-imagenet-200/../../evil", "/etc/evil"])
def test_members_outside_the_folder_are_refused(
    tmp_path: Path, tiny: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    files = {f"tiny-imagenet-200/{inner}": content for inner, content in tiny_files().items()} | {name: b"evil"}
    put_zip(tmp_path, zipped(files, folder=""), monkeypatch)
    with pytest.raises(ValueError, match=r"evil.* outside tiny-imagenet-200/"):
        read("tiny_imagenet", tmp_path)
    assert not (tmp_path.parent / "evil.JPEG").exists()


@pytest.mark.parametrize("form", ["zip", "folder"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({GREY: b"\0" * (readers.LARGEST_FILE + 1)}, f"{GREY} has 1048577 bytes, more than 1048576"),
        ({GREY: b"text"}, f"{GREY} is no JPEG"),
        ({GREY: jpeg(1, (64, 65))}, rf"{GREY} is \(64, 65\), not \(64, 64\)"),
        ({"wnids.txt": b"n01\nn02\nn03\nn04"}, r"differ in \['n04'\]"),
        ({"train/n03/images/n03_12.JPEG": jpeg(1)}, r"has \(37, 6\) training and test images, not \(36, 6\)"),
    ],
    ids=["large", "text", "size", "wnids", "count"],
)
def test_spoilt_tiny_imagenet_is_refused(
    tmp_path: Path,
    tiny: None,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    changes: dict[str, bytes],
    message: str,
) -> None:
    files = tiny_files() | changes
    if form == "zip":
        put_zip(tmp_path, zipped(files), monkeypatch)
    else:
        put_folder(tmp_path, files)
    with pytest.raises(ValueError, match=message):
        read("tiny_imagenet", tmp_path)


def test_an_image_that_the_archive_lacks_is_named(tmp_path: Path, tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tiny_files()
    del files["val/images/val_3.JPEG"]
    put_zip(tmp_path, zipped(files), monkeypatch)
    with pytest.raises(ValueError, match=r"the archive has no val/images/val_3.JPEG"):
        read("tiny_imagenet", tmp_path)


@pytest.fixture
def cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A miniature of ten training and five test images in the publisher's layout, its MD5s told to torchvision."""
    from torchvision.datasets import CIFAR100

    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    generator = np.random.default_rng(0)
    known: dict[str, str] = {}
    for name, count in (("train", 10), ("test", 5)):
        content = {
            "data": generator.integers(0, 256, (count, 3072), dtype=np.uint8),
            "fine_labels": [99 - each for each in range(count)],
            "coarse_labels": [0] * count,
        }
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(each) for each in range(100)]}))
    for path in folder.iterdir():
        known[path.name] = md5(path.read_bytes())
    monkeypatch.setattr(CIFAR100, "train_list", [["train", known["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", known["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": known["meta"]})
    monkeypatch.setitem(DATASETS, "cifar100", dataclasses.replace(DATASETS["cifar100"], train=10, test=5))
    return tmp_path


def test_cifar100_has_its_fine_labels_and_red_comes_first(cifar100: Path) -> None:
    raw = read("cifar100", cifar100)
    pixels = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)

    assert raw.train_labels.tolist() == list(range(99, 89, -1))
    assert raw.test_labels.tolist() == list(range(99, 94, -1))
    assert torch.equal(raw.train, torch.from_numpy(pixels).view(10, 3, 32, 32))
    assert raw.test.shape == (5, 3, 32, 32)


def test_damaged_cifar_is_refused(cifar100: Path) -> None:
    path = cifar100 / "cifar-100-python" / "test"
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ValueError, match=r"'cifar100': files in .*cifar-100-python are missing or damaged"):
        read("cifar100", cifar100)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "tiny_imagenet"])
def test_missing_data_are_named_with_the_way_out(tmp_path: Path, dataset: str) -> None:
    folder = readers.archive_of(dataset).folder
    with pytest.raises(FileNotFoundError) as caught:
        read(dataset, tmp_path)
    assert str(caught.value) == (
        f"data.dataset = {dataset!r} is not in {tmp_path}: --data-root names the folder of {folder}"
    )


@pytest.mark.skipif(not (CIFAR10 / "cifar-10-batches-py").is_dir(), reason="CIFAR-10 is not at hand")
def test_cifar10_is_the_catalog_s() -> None:
    """SHA-256 of what torchvision decodes, as the catalog pins it: `read` compares."""
    raw = read("cifar10", CIFAR10)

    assert raw.train_labels[:5].tolist() == [6, 9, 9, 4, 1]  # frog, truck, truck, deer, automobile
    assert torch.bincount(raw.train_labels).tolist() == [5000] * 10
    assert torch.bincount(raw.test_labels).tolist() == [1000] * 10


def test_changed_bytes_make_another_digest() -> None:
    raw = readers.read_digits(Path())
    assert f"sha256:{raw_sha256(raw)}" == DATASETS["digits"].digest

    for name in Raw.__dataclass_fields__:
        changed = {each: getattr(raw, each).clone() for each in Raw.__dataclass_fields__}
        changed[name][-1] += 1
        assert raw_sha256(Raw(**changed)) != raw_sha256(raw)


def test_changed_digits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = readers.read_digits(Path())
    changed = dataclasses.replace(raw, test_labels=raw.test_labels.flip(0))
    monkeypatch.setitem(readers.READERS, "digits", lambda root: changed)
    with pytest.raises(ValueError, match=r"'digits': its SHA-256 is .* not 87ff.*: the data have changed"):
        read("digits", Path())


def test_another_digest_in_the_catalog_refuses_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "digits", dataclasses.replace(DATASETS["digits"], digest="sha256:" + "0" * 64))
    with pytest.raises(ValueError, match="not 0000"):
        read("digits", Path())


def test_pixels_become_zero_to_one_at_the_catalog_s_resolution() -> None:
    digits = torch.full((2, 1, 8, 8), 16, dtype=torch.uint8)
    colour = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(1, 3, 2, 2)

    assert torch.equal(to_unit("digits", digits), torch.ones(2, 1, 32, 32))
    assert torch.equal(to_unit("cifar10", colour) * 255, colour.float())
    assert (float(to_unit("cifar10", colour).min()), float(to_unit("cifar10", colour).max())) == (0, 1)


@pytest.mark.parametrize("dataset", DATASETS)
def test_facts_of_the_catalog_fit_together(dataset: str) -> None:
    facts = DATASETS[dataset]
    kind, _, digest = facts.digest.partition(":")
    assert len(digest) == {"sha256": 64, "md5": 32}[kind]
    if facts.archive:
        assert facts.archive.url.startswith("https://")
        assert facts.archive.url.endswith(f"/{facts.archive.file}")
        assert facts.images_per_class == facts.train // facts.classes * 9 // 10
        assert kind == "sha256" or digest == facts.archive.md5
