"""Every published form is read as the same tensors, and the real sets are what the notes say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from distilled_sets import CLASSES, hard, images, nhwc, rewrite_zip, save_dc, save_pair, soft

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.data.archives import files_digest
from crossarch.trainables.data.published_sets import balance_note, check_set, label_form, read_published

REAL = Path(__file__).parents[4] / "shared" / "data" / "distilled" / "cifar10"
LEGACY = {"_use_new_zipfile_serialization": False}


def same(published, labels, of_images=None):
    wanted = images() if of_images is None else of_images
    assert published.images.dtype == torch.float32
    assert published.images.is_contiguous()
    assert torch.equal(published.images, wanted)
    assert published.labels.dtype == labels.dtype
    assert torch.equal(published.labels, labels)
    return published


@pytest.mark.parametrize("options", [{}, LEGACY], ids=["zip", "legacy"])
@pytest.mark.parametrize("labels", [hard(), soft()], ids=["hard", "soft"])
@pytest.mark.parametrize("tag", ["_best", "", "_5000", "_DC_CIFAR10_1_best"])
def test_two_torch_files(tmp_path, tag, labels, options):
    save_pair(tmp_path, tag, labels=labels, **options)
    for path in (tmp_path, tmp_path / f"images{tag}.pt"):
        found = same(read_published(path), labels)
        assert (found.form, found.channel_order, found.runs, found.facts) == ("pt files", "NCHW", 1, {})
        assert [file.name for file in found.files] == [f"images{tag}.pt", f"labels{tag}.pt"]


@pytest.mark.parametrize("rate", [0.25, torch.tensor(0.25), torch.tensor([0.25], requires_grad=True)])
@pytest.mark.parametrize(("tag", "name"), [("", "lr.pt"), ("_best", "lr_best.pt"), ("_best", "lr.pt")])
def test_a_learned_learning_rate(tmp_path, tag, name, rate):
    save_pair(tmp_path, tag)
    torch.save(rate, tmp_path / name)
    found = same(read_published(tmp_path), hard())
    assert found.facts == {"learning_rate": 0.25}
    assert {file.name for file in found.files} == {f"images{tag}.pt", f"labels{tag}.pt", name}


@pytest.mark.parametrize("wrap", [torch.nn.Parameter, lambda tensor: tensor.requires_grad_() * 1])
def test_learned_tensors_are_let_go_of_their_gradients(tmp_path, wrap):
    save_pair(tmp_path, of_images=wrap(images()), labels=wrap(soft()))
    found = same(read_published(tmp_path), soft())
    assert not found.images.requires_grad
    assert not found.labels.requires_grad


@pytest.mark.parametrize("options", [{}, LEGACY], ids=["zip", "legacy"])
def test_a_dictionary_of_dc(tmp_path, options):
    path = save_dc(tmp_path / "res_DC_CIFAR10_ConvNet_2ipc.pt", **options)
    last = same(read_published(path), hard(), images(2))
    assert (last.form, last.runs, last.facts) == ("dc dictionary", 3, {"run": 2})
    for run in range(3):
        assert same(read_published(path, run=run), hard(), images(run)).facts == {"run": run}
    same(read_published(tmp_path), hard(), images(2))
    with pytest.raises(ValueError, match=r"run = 3 is not one of 0 to 2, which res_DC"):
        read_published(path, run=3)
    with pytest.raises(ValueError, match=r"run = -1 is not one of 0 to 2"):
        read_published(path, run=-1)


def test_a_dictionary_of_dc_written_under_an_older_numpy(tmp_path):
    path = save_dc(tmp_path / "old.pt")
    rewrite_zip(path, lambda name, data: [(name, data.replace(b"numpy._core.", b"numpy.core."))])
    same(read_published(path, run=0), hard(), images(0))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("keys", [("image", "label"), ("images", "labels")])
def test_an_npz(tmp_path, keys, save):
    save(tmp_path / "set.npz", **dict(zip(keys, (nhwc(images()), soft().numpy()), strict=True)))
    found = same(read_published(tmp_path / "set.npz"), soft())
    assert (found.form, found.channel_order, found.runs) == ("npz", "NHWC", 1)


def test_a_folder_of_npy(tmp_path):
    np.save(tmp_path / "images.npy", nhwc(images()))
    np.save(tmp_path / "labels.npy", soft().numpy())
    assert same(read_published(tmp_path), soft()).form == "npy files"


def test_the_form_is_told_by_the_contents_not_the_name(tmp_path):
    np.savez(tmp_path / "set.npz", images=nhwc(images()), labels=hard().numpy())
    (tmp_path / "set.npz").rename(tmp_path / "set.pt")
    assert same(read_published(tmp_path / "set.pt"), hard()).form == "npz"
    save_dc(tmp_path / "dictionary.npz", runs=1)
    assert same(read_published(tmp_path / "dictionary.npz"), hard()).form == "dc dictionary"


@pytest.mark.parametrize("dtype", [">f4", "<f8", "f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_byte_order_layout_and_precision_of_numpy(tmp_path, dtype, order):
    np.savez(tmp_path / "a.npz", image=np.asarray(nhwc(images()), dtype=dtype, order=order), label=soft().numpy())
    same(read_published(tmp_path / "a.npz"), soft())


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, ">i8", np.float64])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_whole_numbers_are_classes_whatever_their_type(tmp_path, dtype, shape):
    np.savez(tmp_path / "a.npz", image=nhwc(images()), label=hard().numpy().astype(dtype).reshape(shape))
    same(read_published(tmp_path / "a.npz"), hard())


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_one_hot_labels_stay_rows(tmp_path, dtype):
    np.savez(tmp_path / "a.npz", image=nhwc(images()), label=np.eye(CLASSES, dtype=dtype)[hard().numpy()])
    same(read_published(tmp_path / "a.npz"), torch.eye(CLASSES)[hard()])


def test_bytes_become_0_to_1(tmp_path):
    pixels = torch.arange(8 * 3 * 8 * 8).reshape(8, 3, 8, 8).to(torch.uint8)
    save_pair(tmp_path, of_images=pixels)
    found = read_published(tmp_path)
    assert torch.equal(found.images, pixels / 255)
    assert found.facts == {"uint8": True}


def test_a_stated_order_is_honoured(tmp_path):
    torch.save(images().permute(0, 2, 3, 1), tmp_path / "images.pt")
    torch.save(hard(), tmp_path / "labels.pt")
    with pytest.raises(ValueError, match=r'\(8, 8, 8, 3\), which looks like NHWC where NCHW.*channel_order="NHWC"'):
        read_published(tmp_path)
    assert same(read_published(tmp_path, channel_order="NHWC"), hard()).channel_order == "NHWC"

    np.savez(tmp_path / "a.npz", image=images().numpy(), label=hard().numpy())
    with pytest.raises(ValueError, match=r'looks like NCHW where NHWC.*channel_order="NCHW" states it'):
        read_published(tmp_path / "a.npz")
    same(read_published(tmp_path / "a.npz", channel_order="NCHW"), hard())


def test_what_is_read_outlives_its_file(tmp_path):
    save_pair(tmp_path)
    found = read_published(tmp_path)
    for path in found.files:
        path.write_bytes(b"\0" * path.stat().st_size)
    same(found, hard())


def test_the_digest_of_files_is_what_sha256sum_says(tmp_path):
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files_digest([tmp_path / "b"]) == abc
    both = files_digest([tmp_path / "b", tmp_path / "a"])
    assert both == files_digest([tmp_path / "a", tmp_path / "b"])
    # sha256sum a b | sha256sum
    assert both == "bf6e2103d6cbead28abb7d3fec372bc25d03a35b1647e83e090248eb08d0adae"


@pytest.mark.skipif(not REAL.is_dir(), reason="the paper's distilled sets are not at hand (../shared/data/distilled)")
@pytest.mark.parametrize(
    ("name", "per_class", "form"),
    [("frepo_ipc1", 1, "centred"), ("frepo_ipc10", 10, "logits"), ("mtt_ipc1", 1, "hard"), ("mtt_ipc10", 10, "hard")],
)
def test_the_sets_of_the_paper(name, per_class, form):
    found = read_published(REAL / name)
    assert check_set(found.images, found.labels, DATASETS["cifar10"], per_class) == per_class
    assert label_form(found.labels) == form
    assert balance_note(found.labels, 10) == ""
    if name == "frepo_ipc10":  # about probabilities, but not quite
        assert (found.labels.sum(1) - 1).abs().max() < 0.1
        assert found.labels.min() < -0.1
