"""No pickle runs code, whatever it is wrapped in; none allocates more than its file has."""

import collections
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from distilled_sets import Code, Handmade, hard, images, rewrite_zip, save_dc, save_pair

from crossarch.trainables.data import pickles
from crossarch.trainables.data.archives import load_npy
from crossarch.trainables.data.pickles import load_torch
from crossarch.trainables.data.published_sets import read_published

LEGACY = {"_use_new_zipfile_serialization": False}


def handmade(path, shape, stride):
    """A torch file of one float that calls itself a tensor of that shape."""
    stream = io.BytesIO()
    Handmade(stream, 2).dump(Handmade.Tensor(shape, stride))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", stream.getvalue())
        archive.writestr("a/data/0", b"\0" * 4)
        archive.writestr("a/version", b"3\n")
    return path


@pytest.mark.parametrize("options", [{}, LEGACY], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrap", [lambda code: code, lambda code: {"data": [[images(), hard()]], "accs": code}])
def test_code_is_named_and_not_run(tmp_path, wrap, options):
    torch.save(wrap(Code(tmp_path / "ran")), tmp_path / "images.pt", **options)
    with pytest.raises(ValueError, match=r"^images.pt holds a pickle with code in it \((io|_io).open\): refused$"):
        read_published(tmp_path / "images.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_bare_pickle_with_code(tmp_path, protocol):
    (tmp_path / "images.pt").write_bytes(pickle.dumps(Code(tmp_path / "ran"), protocol))
    with pytest.raises(ValueError, match=r"^images.pt (holds a pickle with code|is no file|is of an unknown)[^\n]*$"):
        read_published(tmp_path / "images.pt")
    with pytest.raises(ValueError, match=r"^images.pt [^\n]*$"):
        load_torch(tmp_path / "images.pt")
    assert not (tmp_path / "ran").exists()


def test_code_in_labels_learning_rates_and_arrays(tmp_path):
    code = Code(tmp_path / "ran")
    for name in ("labels", "lr"):
        save_pair(tmp_path, "")
        torch.save(code, tmp_path / f"{name}.pt")
        with pytest.raises(ValueError, match=rf"^{name}.pt holds a pickle with code in it"):
            read_published(tmp_path)
        (tmp_path / f"{name}.pt").unlink()
    np.save(tmp_path / "images.npy", np.array([code]))
    with pytest.raises(ValueError, match=r"images.npy holds Python objects, not numbers: refused"):
        load_npy(tmp_path / "images.npy")
    assert not (tmp_path / "ran").exists()


def test_torchs_own_wall_stands_behind_ours(tmp_path, monkeypatch):
    torch.save(Code(tmp_path / "ran"), tmp_path / "images.pt")
    monkeypatch.setattr(pickles, "_check_names", lambda *_: False)
    with pytest.raises(ValueError, match=r"^images.pt is damaged, or no file of tensors: torch cannot load it$"):
        load_torch(tmp_path / "images.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("found", [bytearray(8), {1, 2}, collections.Counter(), torch.Size([1]), torch.float32, 1j])
def test_only_what_tensors_need_is_let_in(tmp_path, found):
    torch.save(found, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a.pt holds (a pickle with code in it|more than plain tensors) "):
        load_torch(tmp_path / "a.pt")


def test_numbers_of_numpy_are_let_in_by_stand_ins_for_that_file_alone(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    found = load_torch(save_dc(tmp_path / "a.pt"))
    assert found["accs_all_exps"] == {"ConvNet": [None, None]}
    assert set(torch.serialization.get_safe_globals()) == before


def test_bytes_are_let_in_only_beside_numbers_of_numpy(tmp_path):
    torch.save(b"abc", tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"_codecs.encode"):
        load_torch(tmp_path / "a.pt")


@pytest.mark.parametrize("kind", ["code", "array"])
def test_other_things_of_numpy_are_not(tmp_path, kind):
    found = {"code": np.ufunc, "array": np.zeros(3)}[kind]
    torch.save({"data": [], "accs": [np.float64(1), found]}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a.pt holds a pickle with code in it \(numpy"):
        load_torch(tmp_path / "a.pt")


@pytest.mark.parametrize(("shape", "stride"), [((2**40,), (1,)), ((2**12, 2**28), (2**28, 1))])
def test_a_tensor_beyond_its_storage(tmp_path, shape, stride):
    with pytest.raises(ValueError, match=r"a.pt is damaged, or no file of tensors"):
        load_torch(handmade(tmp_path / "a.pt", shape, stride))


def test_a_tensor_that_repeats_one_value_is_not_spread_out(tmp_path):
    handmade(tmp_path / "images.pt", (8, 3, 2**20, 2**20), (0, 0, 0, 0))
    torch.save(hard(), tmp_path / "labels.pt")
    with pytest.raises(ValueError, match=r"images of shape \(8, 3, 1048576, 1048576\), none or over \d+ bytes"):
        read_published(tmp_path)


def test_a_legacy_file_that_speaks_of_more_than_it_has(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(torch.arange(1000.0), path, **LEGACY)
    assert len(load_torch(path)) == 1000
    thousand, many = b"M\xe8\x03", b"J\x00\x00\x00\x70"  # as pickles write 1000 and 1,879,048,192
    assert path.read_bytes().count(thousand) >= 2
    path.write_bytes(path.read_bytes().replace(thousand, many))
    with pytest.raises(ValueError, match=r"a.pt speaks of 1879048192 values in a file of \d+ bytes: refused"):
        load_torch(path)


def test_archives_that_torch_did_not_write(tmp_path, monkeypatch):
    path = save_pair(tmp_path) / "images_best.pt"
    rewrite_zip(path, lambda name, data: [(name, data)], zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="packed in an unexpected way"):
        load_torch(path)
    save_pair(tmp_path)
    rewrite_zip(path, lambda name, data: [(name, data), (f"b/{name}", data)])
    with pytest.raises(ValueError, match=r"not one of tensors that torch.save wrote"):
        load_torch(path)
    save_pair(tmp_path)
    monkeypatch.setattr(pickles, "PICKLE_BYTES", 10)
    with pytest.raises(ValueError, match=r"holds a pickle of \d+ bytes, more than 10: refused"):
        load_torch(path)


@pytest.mark.parametrize("options", [{}, LEGACY], ids=["zip", "legacy"])
def test_every_truncation_is_noticed(tmp_path, options):
    path = save_pair(tmp_path, of_images=images(side=2), **options) / "images_best.pt"
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^images_best.pt [^\n]*$"):
            read_published(path)


def test_a_changed_value_is_noticed_by_its_checksum(tmp_path):
    path = save_pair(tmp_path) / "images_best.pt"
    data = bytearray(path.read_bytes())
    data[data.index(images().numpy().tobytes()) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"images_best.pt is damaged: '.*data/0' does not have the bytes"):
        read_published(path)
