"""What `train`, `run`, `status` and `report` make of the sets in the store, and of `--only`."""

import functools
import re
from pathlib import Path

import pytest
from digits_sets import TEMPERATURE, digits_set, refusal, stored
from distilled_sets import manifest
from processes import Command

from crossarch.platform.store.ledger import Ledger


def on_set(name, **changes):
    """The arguments by which one run is trained on a stored set of digits, with further settings of its data."""
    settings = {"kind": "distilled", "dataset": "digits", "images_per_class": 1, "distilled_set": name} | changes
    return ("train", *(f"data.{setting}={value}" for setting, value in settings.items()))


@pytest.fixture
def storage(tmp_path):
    return tmp_path / "storage"


@pytest.fixture
def refused(crossarch, listing, tmp_path):
    return functools.partial(refusal, crossarch, listing, tmp_path)


def test_train_on_a_set_that_is_not_there_is_refused(refused, storage):
    found = refused(*on_set("absent"), "--storage", storage)
    assert found.startswith("data.distilled_set = absent: not in the store below ")
    assert "`crossarch data add PATH --name absent`" in found


def test_train_on_a_damaged_set_says_that_it_is_damaged(refused, storage):
    (there,) = stored(storage, digits_set())
    (file,) = (storage / "data" / "distilled").glob(f"{there.name}*")
    file.write_bytes(file.read_bytes()[:20])
    found = refused(*on_set(there.name), "--storage", storage)
    assert found.startswith(f"data.distilled_set = {there.name}: ")
    assert "not in the store" not in found


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images_per_class": 10}, "data.images_per_class = 10, but the distilled set digits-hard has 1"),
        ({"dataset": "cifar10"}, "data.dataset = 'cifar10', but the distilled set"),
        ({"label_temperature": 1}, "data.label_temperature = 1.0, but the labels of"),
        ({"selection": "kmeans"}, "data.selection is unknown here, but not where data.kind is real"),
    ],
)
def test_train_on_a_set_that_is_another_is_refused(refused, storage, changes, sentence):
    stored(storage, digits_set())
    assert re.match(sentence, refused(*on_set("digits-hard", **changes), "--storage", storage))


@pytest.mark.parametrize("arguments", [("run", "table2"), ("train",)], ids=" ".join)
def test_a_data_root_that_is_no_folder_is_refused(refused, storage, arguments):
    found = refused(*arguments, "--data-root=nowhere", "--storage", storage)
    assert found == "data_root = 'nowhere' is not a folder"


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=" ".join)
def test_table2_without_sets_names_those_it_needs(refused, storage, options):
    found = refused("run", "table2", *options, "--storage", storage)
    assert found.startswith("data.distilled_set = cifar10-frepo-ipc1")
    assert "cifar10-mtt-ipc50" in found
    assert "crossarch data add" in found


def test_table2_in_its_smoke_form_needs_no_sets(crossarch, storage):
    answer = crossarch("run", "table2", "--smoke", "--dry-run", "--storage", storage)
    assert (answer.status, answer.err) == (0, "")
    assert "19, of which 0 are in the ledger" in answer.out


def test_table2_without_sets_is_unavailable(crossarch, refused, storage):
    answer = crossarch("status", "table2", "--storage", storage)
    assert (answer.status, answer.err) == (0, "")
    assert "table2: 0 of 396 runs finished" in answer.out
    assert "Unavailable" in answer.out
    assert refused("report", "table2", "--storage", storage).startswith("study = 'table2' has no results in ")
    assert "table2" in crossarch("studies").out


def test_table2_with_one_set_is_planned_on_that_one(crossarch, storage):
    _, images, labels = digits_set()
    images = images.expand(-1, 3, -1, -1).contiguous()
    facts = {"name": "cifar10-mtt-ipc1", "distiller": "mtt", "images_per_class": 1}
    stored(storage, (manifest(images, labels, **facts), images, labels))
    answer = crossarch("run", "table2", "--dry-run", "--storage", storage)
    assert (answer.status, answer.err) == (0, "")
    assert "66, of which 0 are in the ledger" in answer.out


def test_only_restricts_what_is_run_and_shown(crossarch, storage):
    only = ("--only=arm=baseline,full", "--only=architecture=ConvNet,VGG11", "--storage", storage)
    answer = crossarch("run", "quickstart", "--dry-run", *only)
    assert (answer.status, answer.err) == (0, "")
    assert "12, of which 0 are in the ledger" in answer.out, "3 cells and a teacher, 3 seeds each"
    answer = crossarch("status", "quickstart", *only)
    assert (answer.status, answer.err) == (0, "")
    assert "quickstart: 0 of 12 runs finished" in answer.out
    assert "ResNet18" not in answer.out


@pytest.mark.parametrize("command", ["run", "status", "report"])
@pytest.mark.parametrize(
    ("only", "sentence"),
    [
        (("--only=arm=best",), "arm = 'best' is not one of baseline, without_dp_kd, without_dp, without_kd, full"),
        (("--only=network=VGG11",), "network is no axis of quickstart: it has arm, architecture"),
        (("--only=baseline",), "only = 'baseline' is not of the form axis=choice,choice"),
        (("--only=arm=",), "only = 'arm=' is not of the form axis=choice,choice"),
        (("--only=arm=full", "--only=arm=baseline"), "only = 'arm=baseline': arm is given twice"),
    ],
)
def test_a_restriction_that_does_not_exist_is_refused(refused, storage, command, only, sentence):
    assert refused(command, "quickstart", *only, "--storage", storage) == sentence


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_run_on_a_stored_set_is_trained_and_recorded(tmp_path):
    """The one test here that starts Ray."""
    storage = tmp_path / "study" / "crossarch-results"
    (manifest,) = stored(storage, digits_set(form="centred"))
    settings = ("epochs=100", "model.width=0.0625", "--storage", storage)
    command = Command(*on_set(manifest.name), *settings, folder=tmp_path / "study")
    try:
        assert command.wait(300) == 0, command.err
    finally:
        command.end()
    assert command.err == ""
    (result,) = Ledger(storage).read().values()
    assert (result.outcome, result.steps) == ("finished", result.config.epochs)
    assert result.config.model.width == 0.0625
    data = result.config.data
    assert (data.distilled_set, data.sha256) == (manifest.name, manifest.sha256)
    assert (data.whitening, data.label_temperature) == ("channel", TEMPERATURE)
