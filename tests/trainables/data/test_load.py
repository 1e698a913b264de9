"""A run on a distilled set is trained on exactly what the store has, and tested on real images in its whitening."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from digits_sets import LABELS, TEMPERATURE, digits_set, stored
from settings import PLAIN, STUDENT, TEACHER

from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import DistilledData
from crossarch.trainables.data.distilled_sets import content_digest
from crossarch.trainables.data.library import Library
from crossarch.trainables.data.load import load
from crossarch.trainables.data.manifest import SUFFIX
from crossarch.trainables.training import loop
from crossarch.trainables.training.batch import main
from crossarch.trainables.training.execute import Workplace, execute


def data_of(manifest, **changes):
    """What a run on that set names."""
    names = ("dataset", "images_per_class", "whitening", "sha256", "label_temperature")
    own = {name: getattr(manifest, name) for name in names}
    return DistilledData(kind="distilled", **own | {"distilled_set": manifest.name} | changes)


def on(config, manifest, **changes):
    """The run on that set."""
    return config.replace({"data": data_of(manifest).model_dump(), **changes})


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """A storage folder with a set of each form of labels."""
    folder = tmp_path_factory.mktemp("storage")
    stored(folder, *(digits_set(form=form) for form in LABELS))
    return folder


def load_from(storage, config):
    return load(config, storage / "data")


def softened(labels):
    """softmax(labels / t) by hand."""
    grown = (labels.double() / TEMPERATURE).exp()
    return grown / grown.sum(1, keepdim=True)


@pytest.mark.parametrize("form", LABELS)
def test_images_and_labels_are_the_sets(storage, form):
    manifest, images, labels = digits_set(form=form)
    found = load_from(storage, data_of(manifest))
    assert torch.equal(found.train, images)
    if form in ("hard", "probabilities"):
        assert torch.equal(found.train_labels, labels)
    else:
        assert torch.allclose(found.train_labels.double(), softened(labels), atol=1e-6)


def test_probabilities_can_be_divided_by_a_temperature_as_well(storage):
    manifest, _, labels = digits_set(form="probabilities")
    found = load_from(storage, data_of(manifest, label_temperature=TEMPERATURE)).train_labels
    assert torch.allclose(found.double(), softened(labels), atol=1e-6)


@pytest.mark.parametrize("whitening", ["channel", "zca"])
def test_validation_and_test_images_are_real_and_in_the_sets_whitening(tmp_path, whitening):
    (manifest,) = stored(tmp_path, digits_set(whitening=whitening))
    found = load_from(tmp_path, data_of(manifest))
    for part in ("validation", "test"):
        images, labels = Library(Path()).part("digits", whitening, part)
        assert torch.equal(getattr(found, part), images)
        assert torch.equal(getattr(found, f"{part}_labels"), labels)


REFUSED = {
    "sha256": ("0" * 64, "data.sha256 = '0000"),
    "dataset": ("cifar10", "data.dataset = 'cifar10', but the distilled set digits-hard has 'digits'"),
    "images_per_class": (2, "data.images_per_class = 2, but the distilled set digits-hard has 1"),
    "whitening": ("zca", "data.whitening = 'zca', but the distilled set digits-hard has 'channel'"),
    "label_temperature": (0.3, "data.label_temperature = 0.3, but the labels of digits-hard are hard"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_set_that_is_not_the_runs_is_refused(storage, name):
    value, sentence = REFUSED[name]
    with pytest.raises(ValueError, match="data") as caught:
        load_from(storage, data_of(digits_set()[0], **{name: value}))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_a_run_that_names_no_contents_is_not_trained_on_any(storage):
    with pytest.raises(ValueError, match=r"data\.sha256 = None, but the distilled set digits-hard has"):
        load_from(storage, data_of(digits_set()[0], sha256=None))


@pytest.mark.parametrize("form", ["centred", "logits"])
def test_labels_that_are_no_probabilities_need_a_temperature(storage, form):
    manifest = digits_set(form=form)[0]
    with pytest.raises(ValueError, match=rf"data\.label_temperature = None, but the labels of digits-{form} are"):
        load_from(storage, data_of(manifest, label_temperature=None))


def test_a_set_that_is_not_there_is_named(storage):
    with pytest.raises(FileNotFoundError, match="name = 'absent' is no set of the store, which has digits-centred"):
        load_from(storage, data_of(digits_set(name="absent")[0]))


def test_a_damaged_set_is_refused(tmp_path):
    (manifest,) = stored(tmp_path, digits_set())
    path = tmp_path / "data" / "distilled" / f"{manifest.name}{SUFFIX}"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="its contents have changed"):
        load_from(tmp_path, data_of(manifest))


def test_training_takes_the_whole_set_in_its_own_order(storage):
    manifest, images, labels = digits_set()
    assert labels.tolist() != sorted(labels.tolist())
    config = on(PLAIN, manifest, seed=5)
    chosen = loop.training_set(config, load_from(storage, config.data), "cpu")
    assert torch.equal(chosen[0], images)
    assert torch.equal(chosen[1], labels)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_soft_labels_are_trained_on_in_the_runs_precision(storage, precision):
    """The loss of the first step is cross-entropy against the probabilities, by hand."""
    manifest, _, labels = digits_set(form="centred")
    config = on(PLAIN, manifest, precision=precision)
    images, targets = loop.training_set(config, load_from(storage, config.data), "cpu")
    assert images.dtype == targets.dtype == getattr(torch, precision)
    logits = torch.randn(10, 10, dtype=images.dtype, generator=torch.Generator().manual_seed(0))
    by_hand = -(softened(labels) * logits.double().log_softmax(1)).sum(1).mean()
    loss = loop.objective(config, logits, targets, None, images)
    assert loss.dtype == images.dtype
    assert torch.allclose(loss.double(), by_hand, rtol=1e-6)


def test_distillation_weighs_soft_labels_as_equation_2_does(storage, teacher_of):
    manifest, _, labels = digits_set(form="centred")
    data = data_of(manifest).model_dump()
    config = STUDENT.replace({"kd.teacher": TEACHER.replace({"data": data}).to_dict(), "data": data, "kd.alpha": 0.25})
    images, targets = loop.training_set(config, load_from(storage, config.data), "cpu")
    teacher = teacher_of(config)
    logits = torch.randn(10, 10, generator=torch.Generator().manual_seed(0))
    tau, taught = config.kd.temperature, teacher(images).detach().double()
    p, log_q = (taught / tau).softmax(1), (logits.double() / tau).log_softmax(1)
    divergence = (p * (p.log() - log_q)).sum(1).mean()
    entropy = -(softened(labels) * logits.double().log_softmax(1)).sum(1).mean()
    loss = loop.objective(config, logits, targets, teacher, images)
    assert torch.allclose(loss.double(), 0.25 * tau**2 * divergence + 0.75 * entropy, rtol=1e-5)


def test_a_run_learns_what_its_set_says(tmp_path):
    """Of two sets of the same images, the one that calls each digit by the next one's name teaches just that."""
    right, images, labels = digits_set(5)
    shifted = (labels + 1) % 10
    wrong = dataclasses.replace(right, name="shifted", sha256=content_digest(images, shifted))
    stored(tmp_path, (right, images, labels), (wrong, images, shifted))
    changes = {"epochs": 20, "model.width": 1 / 16}
    results = [execute(on(PLAIN, each, **changes), Workplace(root=tmp_path)) for each in (right, wrong)]
    assert [(result.outcome, result.steps) for result in results] == [("finished", 20 * 5)] * 2
    assert results[0].test_accuracy > 50
    assert results[1].test_accuracy < 15


@pytest.mark.usefixtures("few_images")
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_student_and_its_teacher_learn_from_soft_labels(storage, tmp_path, precision):
    """End to end on a bare machine, where the sets are below the folder of the results."""
    stored(tmp_path, digits_set(form="centred"))
    data = data_of(digits_set(form="centred")[0]).model_dump()
    short = {"data": data, "epochs": 1, "precision": precision}
    teacher = TEACHER.replace(short)
    student = STUDENT.replace({"kd.teacher": teacher.to_dict(), **short})
    (tmp_path / "runs.json").write_text(json.dumps([student.to_dict()]))
    assert main([str(tmp_path / "runs.json"), "--out", str(tmp_path), "--device", "cpu"]) == 0
    for config in (teacher, student):
        result = json.loads((tmp_path / "results" / f"{run_id(config)}.json").read_text())
        assert (result["outcome"], result["steps"]) == ("finished", 1)
        assert result["config"]["data"]["sha256"] == data["sha256"]


@pytest.fixture
def few_images(monkeypatch):
    """Real images, 40 of each part: testing is not what the test is about."""
    whole = Library.part

    def part(self, *names):
        return tuple(each[:40] for each in whole(self, *names))

    monkeypatch.setattr(Library, "part", part)
    load.cache_clear()
    yield
    load.cache_clear()


def test_a_batch_without_the_set_says_which(tmp_path, capsys):
    config = on(PLAIN, digits_set()[0])
    (tmp_path / "runs.json").write_text(json.dumps([config.to_dict()]))
    assert main([str(tmp_path / "runs.json"), "--out", str(tmp_path), "--device", "cpu"]) == 1
    assert "FileNotFoundError: name = 'digits-hard' is no set of the store, which has none" in capsys.readouterr().out
