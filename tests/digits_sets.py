"""Distilled sets for tests: real digits, which lie ready on every machine, with hard or soft labels."""

import json
from pathlib import Path

import torch
from distilled_sets import manifest

from crossarch.trainables.config.distiller import distill_id
from crossarch.trainables.data.distilled_sets import Store
from crossarch.trainables.data.library import Library
from crossarch.trainables.data.manifest import SUFFIX
from crossarch.trainables.data.subsets import class_balanced_subset

CLASSES = 10
TEMPERATURE = 0.3


def eye(labels):
    return torch.eye(CLASSES)[labels]


LABELS = {
    "hard": lambda labels: labels,
    "probabilities": lambda labels: torch.softmax(3 * eye(labels), 1),
    "centred": lambda labels: eye(labels) - 1 / CLASSES,
    "logits": lambda labels: eye(labels) + 0.01 * torch.arange(CLASSES),
}
"""By form: classes (N,) as labels of it."""


def digits_set(images_per_class=1, form="hard", seed=0, **changes):
    """Manifest, images and labels of real digits of the training pool, not in the order of their classes."""
    pool, classes = Library(Path()).part("digits", "channel", "train")
    chosen = class_balanced_subset(classes, images_per_class, seed).roll(3).flip(0)
    images, labels = pool[chosen], LABELS[form](classes[chosen])
    facts = {
        "name": f"digits-{form}",
        "dataset": "digits",
        "distiller": "dc",
        "images_per_class": images_per_class,
        "whitening": "channel",
        "label_form": form,
        "label_temperature": TEMPERATURE if form in ("centred", "logits") else None,
    }
    return manifest(images, labels, **facts | changes), images, labels


def as_distilled(name, config):
    """A set of real digits that goes for what `config` distils."""
    return digits_set(
        config.images_per_class,
        "centred",
        name=name,
        distiller=config.distiller,
        label_temperature=config.resolved().label_temperature,
        facts=json.dumps({"distillation": distill_id(config)}),
    )


def stored(storage, *sets):
    """The manifests of `sets`, which are now in the store below the storage folder."""
    for each in sets:
        Store(storage / "data" / "distilled").add(*each)
    return [each[0] for each in sets]


def publish(folder, images, labels):
    """The set in two files, as MTT and the paper's authors have it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(images, folder / "images_best.pt")
    torch.save(labels, folder / "labels_best.pt")
    return folder


def damage(storage, name):
    """Cuts the file of a set in the store short."""
    path = storage / "data" / "distilled" / f"{name}{SUFFIX}"
    path.write_bytes(path.read_bytes()[:-10])


def refusal(crossarch, listing, folder, *arguments):
    """The sentence with which `crossarch` refuses these arguments, having changed nothing in the folder."""
    before = listing(folder)
    answer = crossarch(*arguments)
    assert answer.status == 2, answer
    assert listing(folder) == before, "something was written"
    (line,) = answer.err.splitlines()
    assert line.startswith("crossarch: ")
    return line.removeprefix("crossarch: ")
