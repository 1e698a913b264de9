"""A distillation ends in the store, with all that must be known of its set."""

import json

import pytest
import torch
from distilling import TINY

from crossarch.trainables.config.distiller import distill_digest, distill_id
from crossarch.trainables.config.run import DistilledData
from crossarch.trainables.data.distilled_sets import Store
from crossarch.trainables.data.load import load
from crossarch.trainables.data.published_sets import label_form
from crossarch.trainables.distillers import loop as drive
from crossarch.trainables.distillers.execute import SNAPSHOT, execute, workshop
from crossarch.trainables.training.execute import Workplace

Stop = type("Stop", (BaseException,), {})


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(drive, "validation_accuracy", lambda *arguments: 50.0)


def test_the_set_is_in_the_store_and_can_be_trained_on(tmp_path):
    heard = []
    manifest = execute(TINY, Workplace(root=tmp_path), "tiny", on_report=heard.append)

    stored, images, labels = Store(tmp_path / "data" / "distilled").read("tiny")
    facts = json.loads(stored.facts)
    assert stored == manifest
    assert (stored.distiller, stored.dataset, stored.whitening) == ("frepo", "digits", "channel")
    assert stored.label_form == label_form(labels) in ("centred", "logits")
    assert stored.label_temperature == TINY.resolved().label_temperature
    assert stored.source_sha256 == distill_digest(TINY)
    assert stored.form.startswith("distilled by crossarch ")
    assert facts["distillation"] == distill_id(TINY)
    assert facts["config"] == TINY.resolved().to_dict()
    assert facts["seconds"] >= 0
    assert facts["environment"]["torch"] == torch.__version__
    assert [point["step"] for point in facts["curve"]] == [point.step for point in heard] == list(range(1, 9))
    assert (images.dtype, labels.dtype) == (torch.float32, torch.float32)
    assert not workshop(tmp_path, TINY).exists()
    data = load(
        DistilledData(
            kind="distilled",
            dataset="digits",
            images_per_class=1,
            distilled_set="tiny",
            sha256=stored.sha256,
            label_temperature=stored.label_temperature,
        ),
        tmp_path / "data",
    )
    assert torch.equal(data.train, images)
    torch.testing.assert_close(data.train_labels.sum(1), torch.ones(10))


def test_what_was_stopped_goes_on_to_the_same_set(tmp_path):
    def stop(point):
        if point.step == 5:
            raise Stop

    undisturbed = execute(TINY, Workplace(root=tmp_path / "one"), "tiny")
    place = Workplace(root=tmp_path / "two", checkpoint_seconds=0)
    with pytest.raises(Stop):
        execute(TINY, place, "tiny", on_report=stop)
    assert Store(place.data / "distilled").names() == []
    steps = []

    resumed = execute(TINY, place, "tiny", on_report=lambda point: steps.append(point.step))

    assert steps == [5, 6, 7, 8]  # the fifth was reported, but not yet saved
    assert resumed.sha256 == undisturbed.sha256


def test_the_set_as_it_is_can_be_looked_at_while_it_is_being_distilled(tmp_path):
    seen = []

    def look(point):
        if point.validation_accuracy is not None:
            seen.append((workshop(tmp_path, TINY) / SNAPSHOT).is_file())

    execute(TINY, Workplace(root=tmp_path), "tiny", on_report=look)

    assert seen == [True]
