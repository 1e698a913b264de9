"""Archives and arrays from outside: judged by their tables of contents and headers, before anything is allocated."""

import io
import struct
import zipfile

import numpy as np
import pytest
import torch
from distilled_sets import hard, images, nhwc, rewrite_zip, save_pair

from crossarch.trainables.data import archives
from crossarch.trainables.data.archives import check_zip, load_npy, load_npz
from crossarch.trainables.data.published_sets import read_published


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def header(shape, dtype="<f4", version=1):
    stream = io.BytesIO()
    write = np.lib.format.write_array_header_1_0 if version == 1 else np.lib.format.write_array_header_2_0
    write(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    "name", ["../images.npy", "/images.npy", "a/../../b.npy", "..\\b.npy", "C:\\b.npy", "C:/b.npy"]
)
@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_a_member_that_leads_out(tmp_path, kind, name):
    if kind == "npz":
        path = npz(tmp_path / "a.npz", image=nhwc(images()), label=hard().numpy())
    else:
        path = save_pair(tmp_path) / "images_best.pt"
    rewrite_zip(path, lambda old, data: [(old, data)])
    read_published(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"")
    with pytest.raises(ValueError, match=r"has a member that leads out of it \('[^\n]*\): refused$"):
        read_published(path)


def test_more_bytes_than_declared(tmp_path, monkeypatch):
    path = npz(tmp_path / "a.npz", image=np.zeros((100, 8, 8, 3), np.float32), label=np.zeros(100, np.int64))
    assert set(load_npz(path)) == {"image", "label"}
    monkeypatch.setattr("crossarch.trainables.data.archives.LIMIT", 1000)
    with pytest.raises(ValueError, match=r"a.npz has \d+ bytes, more than the 1000 that are declared: refused"):
        load_npz(path)
    np.savez_compressed(path, image=np.zeros((100, 8, 8, 3), np.float32))
    assert path.stat().st_size < 1000
    with pytest.raises(ValueError, match=r"a.npz unpacks to 76928 bytes, more than the 1000 that are declared"):
        load_npz(path)


def test_a_zip_bomb_is_refused_unopened(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("image.npy", "w") as member:
        for _ in range(archives.RATIO_FROM // 2**20 + 1):
            member.write(bytes(2**20))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(ValueError, match=r"unpacks from \d+ bytes to \d+, over 200 times as many: refused"):
        check_zip(path)


def test_a_small_archive_may_pack_well(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", label=np.eye(1000))
    assert len(load_npz(tmp_path / "a.npz")["label"]) == 1000


def test_members_of_one_name_and_too_many(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("image.npy", b"")
    with pytest.raises(ValueError, match="2 members, of which 1 differ"):
        check_zip(path)
    monkeypatch.setattr(archives, "MEMBERS", 1)
    with pytest.raises(ValueError, match="2 members, of which 2 differ"):
        check_zip(npz(tmp_path / "b.npz", a=np.zeros(1), b=np.zeros(1)))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_odd_packing(tmp_path, compression):
    path = npz(tmp_path / "a.npz", image=np.zeros(9))
    rewrite_zip(path, lambda name, data: [(name, data)], compression)
    with pytest.raises(ValueError, match="packed in an unexpected way"):
        load_npz(path)


def test_an_encrypted_member(tmp_path):
    path = npz(tmp_path / "a.npz", image=np.zeros(9))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="encrypted member"):
        load_npz(path)


@pytest.mark.parametrize("allocate", [np.frombuffer, np.fromfile, np.empty])
@pytest.mark.parametrize("shape", [(2**40,), (2**62, 2**62), (0, 3), (-1, -4), ()])
def test_an_array_larger_than_declared_is_refused_unread(tmp_path, monkeypatch, shape, allocate):
    monkeypatch.setattr(np, allocate.__name__, lambda *_, **__: pytest.fail("it was allocated"))
    (tmp_path / "a.npy").write_bytes(header(shape) + b"\0" * 16)
    with pytest.raises(ValueError, match=r"a.npy has shape .* bytes; 1 to \d+ are declared: refused"):
        load_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("more", [-1, 1])
def test_an_array_of_another_length_than_its_header_says(tmp_path, more):
    (tmp_path / "a.npy").write_bytes(header((4,)) + b"\0" * (16 + more))
    with pytest.raises(ValueError, match=rf"its shape \(4,\) needs 16 bytes, and {16 + more} follow"):
        load_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["a"]), np.zeros(2, "f4,O"), np.zeros(2, "c8")])
def test_objects_and_what_is_no_number(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", image=array)
    for name, load in (("a.npy", load_npy), ("a.npz", load_npz)):
        with pytest.raises(ValueError, match=r"a.np.* holds (Python objects|values of type .*), not numbers: refused"):
            load(tmp_path / name)


@pytest.mark.parametrize("version", [1, 2])
def test_versions_of_the_header(tmp_path, version):
    (tmp_path / "a.npy").write_bytes(header((2,), version=version) + struct.pack("<2f", 1, 2))
    assert load_npy(tmp_path / "a.npy").tolist() == [1, 2]


def test_a_header_that_is_no_literal(tmp_path):
    data = header((2,)).replace(b"False", b"eval()")
    (tmp_path / "a.npy").write_bytes(data + b"\0" * 8)
    with pytest.raises(ValueError, match=r"a.npy holds no numpy array: its header cannot be read"):
        load_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_damage_goes_unnoticed(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, image=nhwc(images(side=2)), label=hard().numpy())
    whole = path.read_bytes()
    noticed = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            found = read_published(path)
        except ValueError:
            noticed += 1
        else:
            assert torch.equal(found.images, images(side=2))
            assert torch.equal(found.labels, hard())
    assert noticed > len(whole) / 2
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^a.npz [^\n]*$"):
            read_published(path)
