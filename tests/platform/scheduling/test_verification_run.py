"""Verifying a set: what the paper expects of it, a probe that is really trained on it, and what is recorded."""

import dataclasses
import io
import json
from datetime import datetime
from pathlib import Path

import pytest
import torch
from digits_sets import digits_set
from rich.console import Console

from crossarch.platform.scheduling.verification import expected_accuracy, record, sentence, verify_set
from crossarch.trainables.analysis import verification
from crossarch.trainables.analysis.verification import VALIDATION_IMAGES, Probe, Verdict, candidates, probe
from crossarch.trainables.data.distilled_sets import content_digest
from crossarch.trainables.data.library import Library
from crossarch.trainables.data.published_sets import Candidate
from crossarch.trainables.training import probe as brief


@pytest.mark.parametrize(
    ("dataset", "distiller", "images_per_class", "accuracy"),
    [
        ("cifar10", "frepo", 1, 44.3),
        ("cifar10", "mtt", 50, 70.2),
        ("cifar100", "mtt", 10, 38.4),
        ("tiny_imagenet", "frepo", 10, 24.9),
        ("cifar10", "kip", 1, None),
        ("cifar10", "frepo", 2, None),
        ("tiny_imagenet", "frepo", 50, None),
        ("digits", "frepo", 1, None),
    ],
)
def test_the_papers_accuracy_is_found_where_there_is_one(dataset, distiller, images_per_class, accuracy):
    known = {"dataset": dataset, "distiller": distiller, "images_per_class": images_per_class}
    assert expected_accuracy(dataclasses.replace(digits_set()[0], **known)) == accuracy


PROBES = (Probe(whitening="zca", accuracy=26.123, images=3000), Probe(whitening="frepo", accuracy=42.9, images=3000))


def test_the_record_has_every_probe():
    manifest = digits_set()[0]
    found = record(manifest, Verdict(probes=PROBES, expected=44.3, fits="frepo"))
    assert dataclasses.replace(found, verified="") == manifest
    told = json.loads(found.verified)
    assert told["accuracies"] == {"zca": 26.12, "frepo": 42.9}
    assert (told["fits"], told["expected_accuracy"], told["validation_images"]) == ("frepo", 44.3, 3000)
    assert datetime.fromisoformat(told["at"]).utcoffset() is not None
    assert "commit" in told


def test_the_record_of_probes_that_cannot_tell_says_so():
    told = json.loads(record(digits_set()[0], Verdict(probes=PROBES, expected=None, fits=None)).verified)
    assert (told["fits"], told["expected_accuracy"]) == (None, None)


@pytest.mark.parametrize(
    ("fits", "claimed", "words"),
    [
        ("frepo", "frepo", "whitening frepo fits"),
        ("frepo", "zca", "whitening frepo fits, not zca"),
        ("frepo", None, "whitening frepo fits"),
        (None, "zca", "no whitening fits: the best, frepo, gives 42.9 %"),
    ],
)
def test_the_verdict_in_words(fits, claimed, words):
    assert sentence(Verdict(probes=PROBES, expected=44.3, fits=fits), claimed) == words


@pytest.fixture
def quick(monkeypatch):
    """The probe's recipe, its ConvNet narrow and its training short, for a test machine."""
    recipe = verification.recipe
    short = {"model.width": 1 / 16, "epochs": 15, "learning_rate.maximum": 5e-3, "batch_size": 20}
    monkeypatch.setattr(verification, "recipe", lambda *arguments: recipe(*arguments).replace(short))


def test_a_probe_learns_the_set(quick):
    """The whole recipe on the same set, 300 epochs of the ConvNet of width 1, is right on 97.9 %."""
    manifest, images, labels = digits_set(10)
    found = probe(manifest, images, labels, "channel", Library(Path()))
    assert (found.whitening, found.images) == ("channel", 95)
    assert found.accuracy > 60


def test_a_probe_of_wrong_labels_is_wrong(quick):
    """It is the set that is trained on: where every digit is called by the next one's name, hardly any is right."""
    manifest, images, labels = digits_set(10)
    shifted = (labels + 1) % 10
    manifest = dataclasses.replace(manifest, sha256=content_digest(images, shifted))
    assert probe(manifest, images, shifted, "channel", Library(Path())).accuracy < 15


class Trained:
    """Stands in for the training loop, and keeps what it was given."""

    def __init__(self):
        self.calls = []

    def __call__(self, config, data, *, device):
        self.calls.append((config, data, device))
        return self

    model = None


@pytest.fixture
def trained(monkeypatch):
    found = Trained()
    monkeypatch.setattr(brief, "train", found)
    monkeypatch.setattr(brief, "evaluate", lambda model, images, labels: (float(len(images)), 0.0))
    return found


class Watched(Library):
    """A library that says which parts were asked for."""

    def __init__(self):
        super().__init__(Path())
        self.asked = []

    def part(self, dataset, whitening, part):
        self.asked.append((dataset, whitening, part))
        return super().part(dataset, whitening, part)


@pytest.mark.parametrize("form", ["hard", "centred"])
def test_a_probe_sees_the_set_and_validation_images_and_never_a_test_image(trained, form):
    manifest, images, labels = digits_set(2, form)
    library = Watched()
    found = probe(manifest, images, labels, "channel", library)
    assert library.asked == [("digits", "channel", "validation")]
    ((config, data, device),) = trained.calls
    assert (len(data.test), len(data.test_labels), device) == (0, 0, "cpu")
    assert config.test_evaluations == 1
    assert torch.equal(data.train, images)
    validation, classes = Library(Path()).part("digits", "channel", "validation")
    assert torch.equal(data.validation, validation)
    assert torch.equal(data.validation_labels, classes)
    assert found.accuracy == found.images == len(validation) <= VALIDATION_IMAGES
    if form == "hard":
        assert torch.equal(data.train_labels, labels)
    else:
        assert torch.allclose(data.train_labels, torch.softmax(labels / 0.3, 1))


@pytest.mark.parametrize(("distiller", "norm"), [("mtt", "instance"), ("frepo", "batch"), ("dc", "batch")])
def test_a_probe_has_the_normalisation_that_its_set_was_distilled_with(trained, distiller, norm):
    probe(*digits_set(2, distiller=distiller), "channel", Library(Path()))
    assert trained.calls[0][0].model.norm.kind == norm


@pytest.fixture
def told(tmp_path, monkeypatch):
    """The verdict on a set of CIFAR-10 whose probes' accuracies are known, and what was printed."""

    def verify(claimed, **accuracies):
        def known(manifest, images, labels, whitening, library, device):
            return Probe(whitening=whitening, accuracy=accuracies[whitening], images=3000)

        monkeypatch.setattr("crossarch.platform.scheduling.verification.probe", known)
        manifest, images, labels = digits_set(dataset="cifar10", distiller="frepo", name="set")
        candidate = Candidate(manifest=manifest, images=images, labels=labels, notes=())
        console = Console(file=io.StringIO(), width=100)
        verdict = verify_set(candidate, claimed, tmp_path, None, console)
        return verdict, console.file.getvalue().splitlines()

    return verify


def test_what_was_expected_and_found_is_printed(told):
    verdict, lines = told("zca", channel=20.0, zca=26.1, frepo=42.9)
    assert (verdict.fits, verdict.expected) == ("frepo", 44.3)
    assert lines == [
        "set: the paper reports 44.3 % for the CNN's baseline",
        "  zca: 26.1 % of 3,000 validation images",
        "  channel: 20.0 % of 3,000 validation images",
        "  frepo: 42.9 % of 3,000 validation images",
        "set: whitening frepo fits, not zca",
    ]


def test_a_claim_as_expected_takes_one_training(told):
    verdict, lines = told("frepo", frepo=42.9)
    assert (verdict.fits, len(verdict.probes)) == ("frepo", 1)
    assert lines[-1] == "set: whitening frepo fits"


def test_a_data_set_that_the_catalog_does_not_know_is_refused():
    with pytest.raises(ValueError, match="dataset = 'svhn' is not one of digits, cifar10"):
        candidates("svhn")
