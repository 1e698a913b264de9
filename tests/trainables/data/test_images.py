"""The digits are normalised, split and labelled as the catalog promises."""

import pytest
import torch

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.data.decode import read_digits
from crossarch.trainables.data.images import Images
from crossarch.trainables.data.subsets import validation_split

FACTS = DATASETS["digits"]


def test_shapes_and_types_are_the_catalog_s(digits: Images) -> None:
    side = FACTS.resolution
    parts = {
        "train": (digits.train, digits.train_labels),
        "validation": (digits.validation, digits.validation_labels),
        "test": (digits.test, digits.test_labels),
    }
    for images, labels in parts.values():
        assert images.shape == (len(labels), FACTS.channels, side, side)
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert len(digits.train) + len(digits.validation) == FACTS.train
    assert len(digits.test) == FACTS.test


def test_facts_of_the_catalog_hold(digits: Images) -> None:
    for labels in (digits.train_labels, digits.validation_labels, digits.test_labels):
        assert labels.unique().tolist() == list(range(FACTS.classes))
    assert int(torch.bincount(digits.train_labels).min()) == FACTS.images_per_class
    assert int(torch.bincount(digits.validation_labels).min()) == 9


def test_all_training_images_are_standardised_and_others_by_their_statistics(digits: Images) -> None:
    fitted = torch.cat([digits.train, digits.validation])
    assert float(fitted.mean()) == pytest.approx(0, abs=1e-5)
    assert float(fitted.std()) == pytest.approx(1, abs=1e-5)
    background = float(digits.train.min())  # black, 0 in all parts before normalisation
    assert float(digits.test.min()) == float(digits.validation.min()) == background
    assert float(digits.test.mean()) != pytest.approx(0, abs=1e-5)


def test_images_are_the_digits_enlarged(digits: Images) -> None:
    """Averaging 4 x 4 pixels goes back to about the 8 x 8 grey values, and labels stay with their images."""
    raw = read_digits(FACTS)  # type: ignore[arg-type]  # what it is given is not looked at
    train, validation = validation_split(raw.train_labels)
    for images, labels, grey, truth in (
        (digits.train, digits.train_labels, raw.train[train], raw.train_labels[train]),
        (digits.validation, digits.validation_labels, raw.train[validation], raw.train_labels[validation]),
        (digits.test, digits.test_labels, raw.test, raw.test_labels),
    ):
        assert torch.equal(labels, truth)
        pooled = torch.nn.functional.avg_pool2d(images, 4).flatten(1)
        for index in (0, 17, len(labels) - 1):
            pair = torch.stack([pooled[index], grey[index].flatten().float()])
            assert float(torch.corrcoef(pair)[0, 1]) > 0.95


def test_the_parts_have_no_image_in_common(digits: Images) -> None:
    parts = [
        {tuple(image) for image in part.flatten(1).tolist()} for part in (digits.train, digits.validation, digits.test)
    ]

    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
