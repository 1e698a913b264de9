"""A published set becomes one of the store's: checked, described, and refused where something is not said."""

import json

import pytest
import torch

from crossarch.trainables.data.distilled_sets import content_digest
from crossarch.trainables.data.published_sets import Declared, take_in

CLASSES = 10


@pytest.fixture
def published(tmp_path):
    """A folder as MTT publishes it: two images of each class of CIFAR-10's form."""

    def write(labels, images=None):
        images = torch.randn(len(labels), 3, 32, 32) if images is None else images
        torch.save(images, tmp_path / "images_best.pt")
        torch.save(labels, tmp_path / "labels_best.pt")
        return tmp_path

    return write


def declared(**changes):
    return Declared(**{"dataset": "cifar10", "distiller": "mtt", "whitening": "zca", **changes})


HARD = torch.arange(CLASSES).repeat_interleave(2)
CENTRED = torch.eye(CLASSES).repeat_interleave(2, 0) - 0.1


def test_the_manifest_says_what_was_found_and_what_was_declared(published):
    folder = published(HARD)
    candidate = take_in(folder, declared(licence="MIT"))
    manifest = candidate.manifest
    assert manifest.name == "cifar10-mtt-ipc2"
    assert (manifest.images_per_class, manifest.label_form, manifest.whitening) == (2, "hard", "zca")
    assert (manifest.form, manifest.source_channel_order, manifest.licence) == ("pt files", "NCHW", "MIT")
    assert manifest.sha256 == content_digest(candidate.images, candidate.labels)
    assert manifest.source == folder.name
    assert candidate.notes == ()
    assert json.loads(manifest.facts) == {}


def test_soft_labels_need_the_temperature_they_are_divided_by(published):
    folder = published(CENTRED)
    with pytest.raises(ValueError, match="label_temperature = None, but the labels are centred"):
        take_in(folder, declared(distiller="frepo", whitening="frepo"))
    candidate = take_in(folder, declared(distiller="frepo", whitening="frepo", label_temperature=0.3))
    assert (candidate.manifest.label_form, candidate.manifest.label_temperature) == ("centred", 0.3)


def test_probabilities_need_none(published):
    candidate = take_in(published(torch.softmax(torch.randn(20, CLASSES), 1)), declared())
    assert (candidate.manifest.label_form, candidate.manifest.label_temperature) == ("probabilities", None)


def test_hard_labels_have_no_temperature(published):
    with pytest.raises(ValueError, match=r"label_temperature = 0\.3, but the labels are hard"):
        take_in(published(HARD), declared(label_temperature=0.3))


def test_unbalanced_soft_labels_are_noted(published):
    labels = torch.softmax(5 * torch.eye(CLASSES)[HARD.roll(1).clamp(max=8)], 1)
    (note,) = take_in(published(labels), declared()).notes
    assert "not balanced" in note


def test_the_last_of_several_runs_is_taken_and_noted(tmp_path):
    runs = [(torch.randn(CLASSES, 3, 32, 32), torch.arange(CLASSES)) for _ in range(3)]
    torch.save({"data": [list(run) for run in runs]}, tmp_path / "res_DC.pt")
    candidate = take_in(tmp_path / "res_DC.pt", declared(distiller="dc"))
    assert torch.equal(candidate.images, runs[2][0])
    assert "3 runs" in candidate.notes[0]
    assert torch.equal(take_in(tmp_path / "res_DC.pt", declared(distiller="dc"), run=0).images, runs[0][0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "svhn"}, "dataset = 'svhn' is not one of digits, cifar10"),
        ({"whitening": "pca"}, "whitening = 'pca' is not one of channel, zca, frepo"),
    ],
)
def test_unknown_data_sets_and_whitenings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        declared(**changes)


def test_images_of_another_data_set_are_refused(published):
    folder = published(HARD, torch.randn(20, 3, 64, 64))
    with pytest.raises(ValueError, match="shape"):
        take_in(folder, declared())


def test_a_name_that_leads_out_of_the_store_is_refused(published):
    with pytest.raises(ValueError, match="name ="):
        take_in(published(HARD), declared(name="../elsewhere"))
