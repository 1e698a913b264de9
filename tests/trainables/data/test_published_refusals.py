"""What is ambiguous, unknown, or leads elsewhere is refused in one sentence that says what was found."""

import os

import numpy as np
import pytest
import torch
from distilled_sets import hard, images, nhwc, save_pair, soft

from crossarch.trainables.data.published_sets import read_published


def refused(path, message, **options):
    with pytest.raises(ValueError, match=message) as caught:
        read_published(path, **options)
    assert "\n" not in str(caught.value)
    assert str(path.parent) not in str(caught.value)


def test_of_several_sets_the_best_is_taken(tmp_path):
    save_pair(tmp_path, "_1000", of_images=images(1))
    save_pair(tmp_path, "_2000", of_images=images(2))
    refused(tmp_path, r"holds 2 sets \(images_1000.pt, images_2000.pt\): give the file of one of them")
    save_pair(tmp_path, "_best", of_images=images(3))
    assert torch.equal(read_published(tmp_path).images, images(3))
    assert torch.equal(read_published(tmp_path / "images_1000.pt").images, images(1))
    save_pair(tmp_path, "_DM_best")
    refused(tmp_path, r"holds 2 sets \(images_DM_best.pt, images_best.pt\)")


def test_images_with_their_whitening_undone(tmp_path):
    save_pair(tmp_path, "_zca_best")
    (tmp_path / "labels_zca_best.pt").rename(tmp_path / "labels_best.pt")
    refused(tmp_path, "images_zca_best.pt has its whitening undone")
    refused(tmp_path / "images_zca_best.pt", "images_zca_best.pt has its whitening undone")
    save_pair(tmp_path, of_images=images(1))
    assert torch.equal(read_published(tmp_path).images, images(1))


def test_a_link_out_of_the_folder(tmp_path):
    save_pair(tmp_path / "elsewhere")
    folder = save_pair(tmp_path / "set")
    for name in ("images_best.pt", "labels_best.pt"):
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "elsewhere" / name)
        refused(folder, f"{name} is a link that leads out of its folder: refused")
        (folder / name).unlink()
        save_pair(folder)
    (folder / "lr.pt").symlink_to(tmp_path / "elsewhere" / "images_best.pt")
    refused(folder, "lr.pt is a link that leads out")


def test_a_link_within_the_folder_is_followed(tmp_path):
    folder = save_pair(tmp_path / "set", "_1000")
    for name in ("images", "labels"):
        (folder / f"{name}_best.pt").symlink_to(f"{name}_1000.pt")
    assert torch.equal(read_published(folder).images, images())


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "images.pt")
    refused(tmp_path / "images.pt", "images.pt is not a regular file: refused")
    refused(tmp_path, "images.pt is not a regular file: refused")
    refused(tmp_path / "absent.pt", "absent.pt cannot be read: No such file")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "file.pt is empty"),
        (b"hello, world", "unknown form .it begins with b'hello,'.: known are images"),
        (b"PK\x03\x04 and then nothing", "damaged or truncated zip archive"),
        (b"PK\x05\x06" + b"\0" * 18, "holds nothing, and not either image and label"),
        (b"\x93NUMPY\x01\x00\x76\x00{'descr'", "holds no numpy array: its header cannot be read"),
        (b"\x80\x02", "damaged or truncated pickle"),
        (b"\x80\x02K\x01.", "no file that torch.save wrote"),
    ],
)
def test_unknown_empty_and_truncated_files(tmp_path, contents, message):
    (tmp_path / "file.pt").write_bytes(contents)
    refused(tmp_path / "file.pt", message)


def test_an_empty_folder(tmp_path):
    refused(tmp_path, "holds no distilled set: known are images")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"state_dict": torch.zeros(1)}, "a dict with state_dict, an unknown form: known are"),
        ([torch.zeros(1)], "a list, an unknown form"),
        (hard(), r"images.pt holds \(8,\) values, not images: give the file of the images"),
        ({"data": []}, "no list of runs under 'data'"),
        ({"data": [images()]}, "no pair of images and labels"),
        ({"data": [[images(), [0, 1]]]}, "labels in a list, not in a tensor"),
        ({"data": [[images(), soft().to(torch.complex64)]]}, r"holds more than plain tensors \(torch.ComplexFloatSt"),
    ],
)
def test_torch_files_of_something_else(tmp_path, found, message):
    torch.save(found, tmp_path / "images.pt")
    refused(tmp_path / "images.pt", message)


@pytest.mark.parametrize(
    ("of_images", "labels", "message"),
    [
        (images()[0], hard(), r"images of shape \(3, 8, 8\), not of four axes"),
        (images(), hard()[:-1], "8 images, but 7 labels"),
        (images(), soft()[:, 0], "not whole numbers"),
        (images(), soft()[None], r"labels of shape \(1, 8, 4\)"),
        (images().long(), hard(), "neither floats nor uint8"),
        (images()[:, :2], hard(), "1 or 3 channels in neither order"),
        (images()[:0], hard(), "none or over"),
        (torch.zeros(1, 1, 1, 1).expand(8, 3, 2**20, 2**20), hard(), "over 4294967296 bytes"),
    ],
)
def test_images_and_labels_that_are_none(tmp_path, of_images, labels, message):
    save_pair(tmp_path, of_images=of_images, labels=labels)
    refused(tmp_path, message)


def test_labels_that_are_not_there(tmp_path):
    torch.save(images(), tmp_path / "images_best.pt")
    refused(tmp_path, "images without labels, and no labels_best.pt lies beside it")
    torch.save(images(), tmp_path / "synthetic.pt")
    refused(tmp_path / "synthetic.pt", "its name does not begin with images")


def test_keys_of_an_npz(tmp_path):
    np.savez(tmp_path / "a.npz", x=nhwc(images()), y=hard().numpy())
    refused(tmp_path / "a.npz", "a.npz holds x, y, and not either image and label or images and labels")
    np.savez(tmp_path / "b.npz", **dict.fromkeys(("image", "images", "label", "labels"), hard().numpy()))
    refused(tmp_path / "b.npz", "and not either image and label or images and labels")


def test_options(tmp_path, monkeypatch):
    save_pair(tmp_path)
    refused(tmp_path, "channel_order = 'NHCW' is not one of NCHW, NHWC", channel_order="NHCW")
    refused(tmp_path, "run = 1, but images_best.pt holds one run", run=1)
    with monkeypatch.context() as smaller:
        smaller.setattr("crossarch.trainables.data.archives.LIMIT", 1000)
        refused(tmp_path, "images_best.pt has .* bytes, more than the 1000 that are declared")
    torch.save("fast", tmp_path / "lr.pt")
    refused(tmp_path, "lr.pt holds no single number, the learning rate")
