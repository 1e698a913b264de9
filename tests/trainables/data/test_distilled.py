"""Our own form: what was written comes back, to the bit, or not at all."""

import hashlib
import struct

import numpy as np
import pytest
import torch
from distilled_sets import hard, images, manifest, nhwc, save_pair, soft

from crossarch.trainables.data.distilled_sets import content_digest, read_set, write_set
from crossarch.trainables.data.manifest import read_manifest
from crossarch.trainables.data.published_sets import read_published


@pytest.mark.parametrize("labels", [hard(), soft()], ids=["hard", "soft"])
def test_round_trip(tmp_path, labels):
    path, written = tmp_path / "new" / "small.safetensors", manifest(images(), labels)
    write_set(path, written, images(), labels)
    read, read_images, read_labels = read_set(path)
    assert read == read_manifest(path) == written
    assert torch.equal(read_images, images())
    assert torch.equal(read_labels, labels)
    assert read_labels.dtype == labels.dtype
    assert list(path.parent.iterdir()) == [path]


def test_the_digest_does_not_depend_on_the_file(tmp_path):
    save_pair(tmp_path / "pt", labels=soft())
    save_pair(tmp_path / "legacy", labels=soft(), _use_new_zipfile_serialization=False)
    np.savez_compressed(tmp_path / "a.npz", image=nhwc(images()), label=soft().numpy().astype(">f4"))
    found = [read_published(tmp_path / name) for name in ("pt", "legacy", "a.npz")]
    assert {content_digest(each.images, each.labels) for each in found} == {content_digest(images(), soft())}


def test_the_digest_is_fixed():
    """It is in ledgers: if this fails, every run on a distilled set becomes another."""
    grid = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).reshape(2, 3, 2, 2)
    first = b"images torch.float32 (2, 3, 2, 2)\n" + struct.pack("<24f", *range(24))
    hard_labels = b"labels torch.int64 (2,)\n" + struct.pack("<2q", 0, 1)
    soft_labels = b"labels torch.float32 (2, 2)\n" + struct.pack("<4f", 1, 0, 0, 1)
    assert content_digest(grid, torch.tensor([0, 1])) == hashlib.sha256(first + hard_labels).hexdigest()
    assert content_digest(grid, torch.eye(2)) == hashlib.sha256(first + soft_labels).hexdigest()


def test_the_digest_does_not_depend_on_the_layout_in_memory():
    spread = images().to(memory_format=torch.channels_last)
    assert not spread.is_contiguous()
    assert content_digest(spread, soft().T.contiguous().T) == content_digest(images(), soft())


def test_the_digest_depends_on_all_else():
    one = images().clone()
    one[3, 1, 2, 2] = torch.nextafter(one[3, 1, 2, 2], torch.tensor(9.0))
    sets = [
        (images(), hard()),
        (one, hard()),
        (images().reshape(8, 3, 4, 16), hard()),
        (images(), hard().flip(0)),
        (images(), hard().float()),
        (images(), hard()[:, None]),
        (images().permute(0, 1, 3, 2), hard()),
    ]
    assert len({content_digest(*each) for each in sets}) == len(sets)


@pytest.mark.parametrize(
    ("of_images", "labels"), [(images().double(), hard()), (images(), hard().int()), (images(), soft().half())]
)
def test_other_types_are_refused(of_images, labels):
    with pytest.raises(ValueError, match=r"(images|labels) have type torch\.\w+, not torch\.float32"):
        content_digest(of_images, labels)


def test_a_manifest_of_another_set_is_not_written(tmp_path):
    path = tmp_path / "small.safetensors"
    with pytest.raises(ValueError, match=r"contents have changed: SHA-256 is [0-9a-f]{64}, the manifest says [0-9a-f]"):
        write_set(path, manifest(images(1), hard()), images(), hard())
    with pytest.raises(ValueError, match="labels are whole numbers, but label_form = 'logits'"):
        write_set(path, manifest(images(), hard(), label_form="logits"), images(), hard())
    with pytest.raises(ValueError, match="8 images are no multiple of images_per_class = 3"):
        write_set(path, manifest(images(), hard(), images_per_class=3), images(), hard())
    assert not path.exists()


def test_no_damage_goes_unnoticed(tmp_path):
    """A changed byte is noticed, or it is in a part of the manifest that says nothing of the contents."""
    path, written = tmp_path / "small.safetensors", manifest(images(side=2), hard())
    write_set(path, written, images(side=2), hard())
    whole = path.read_bytes()
    values = len(whole) - images(side=2).numel() * 4 - len(hard()) * 8
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x04
        path.write_bytes(damaged)
        try:
            read, read_images, read_labels = read_set(path)
        except ValueError:
            continue
        assert position < values
        assert torch.equal(read_images, images(side=2))
        assert torch.equal(read_labels, hard())
        assert read.sha256 == written.sha256


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "small.safetensors"
    write_set(path, manifest(images(side=2), hard()), images(side=2), hard())
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        for read in (read_set, read_manifest):
            with pytest.raises(ValueError, match=r"small.safetensors is no undamaged distilled set"):
                read(path)
