"""The digits are verified, normalised, split and drawn from as the catalog promises."""

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from crossarch.trainables.data import images as module
from crossarch.trainables.data.catalog import DATASETS
from crossarch.trainables.data.images import Images, class_balanced_subset, load

FACTS = DATASETS["digits"]


def test_shapes_and_types_are_the_catalog_s(digits: Images) -> None:
    side = FACTS.resolution
    assert digits.train.shape == (FACTS.train, FACTS.channels, side, side)
    assert digits.test.shape == (FACTS.test, FACTS.channels, side, side)
    assert digits.train_labels.shape == (FACTS.train,)
    assert digits.test_labels.shape == (FACTS.test,)
    assert digits.train.dtype == digits.test.dtype == torch.float32
    assert digits.train_labels.dtype == digits.test_labels.dtype == torch.int64


def test_facts_of_the_catalog_hold(digits: Images) -> None:
    labels = torch.cat([digits.train_labels, digits.test_labels])
    assert labels.unique().tolist() == list(range(FACTS.classes))
    assert int(torch.bincount(digits.train_labels).min()) == FACTS.images_per_class


def test_changed_data_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, labels = module.READERS["digits"]()
    raw[5, 0, 3, 3] += 1
    monkeypatch.setitem(module.READERS, "digits", lambda: (raw, labels))

    with pytest.raises(ValueError, match=r"data.dataset = 'digits': its SHA-256 is .* the data have changed"):
        load.__wrapped__("digits")


def test_changed_labels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, labels = module.READERS["digits"]()
    monkeypatch.setitem(module.READERS, "digits", lambda: (raw, labels.flip(0)))

    with pytest.raises(ValueError, match="the data have changed"):
        load.__wrapped__("digits")


def test_another_digest_in_the_catalog_refuses_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "digits", dataclasses.replace(FACTS, sha256="0" * 64))

    with pytest.raises(ValueError, match="not 0000"):
        load.__wrapped__("digits")


def test_training_part_is_standardised_and_the_test_part_by_its_statistics(digits: Images) -> None:
    assert float(digits.train.mean()) == pytest.approx(0, abs=1e-5)
    assert float(digits.train.std()) == pytest.approx(1, abs=1e-5)
    background = float(digits.train.min())  # black, 0 in both parts before normalisation
    assert float(digits.test.min()) == background
    assert float(digits.test.mean()) != pytest.approx(0, abs=1e-5)


def test_images_are_the_digits_enlarged(digits: Images) -> None:
    """Averaging 4 x 4 pixels goes back to about the 8 x 8 grey values, and labels stay with their images."""
    raw, labels = module.READERS["digits"]()
    pooled = torch.nn.functional.avg_pool2d(torch.cat([digits.train, digits.test]), 4).flatten(1)
    grey = raw.float().flatten(1)

    assert torch.equal(torch.cat([digits.train_labels, digits.test_labels]), labels)
    for index in (0, 17, 999, 1000, 1796):
        correlation = torch.corrcoef(torch.stack([pooled[index], grey[index]]))[0, 1]
        assert float(correlation) > 0.95


def test_train_and_test_have_no_image_in_common(digits: Images) -> None:
    train = {tuple(image) for image in digits.train.flatten(1).tolist()}

    assert not [1 for image in digits.test.flatten(1).tolist() if tuple(image) in train]


@pytest.fixture
def labels(digits: Images) -> Tensor:
    return digits.train_labels


@pytest.mark.parametrize("count", [1, 10, 98])
def test_subsets_are_class_balanced_without_repeats(labels: Tensor, count: int) -> None:
    chosen = class_balanced_subset(labels, count, seed=0)

    assert len(set(chosen.tolist())) == len(chosen) == 10 * count
    assert labels[chosen].tolist() == [label for label in range(10) for _ in range(count)]


def test_subsets_are_their_seed_s(labels: Tensor) -> None:
    first = class_balanced_subset(labels, 10, seed=1)

    assert torch.equal(class_balanced_subset(labels, 10, seed=1), first)
    assert len(set(first.tolist()) & set(class_balanced_subset(labels, 10, seed=2).tolist())) < 40


def test_subsets_leave_the_global_random_numbers_alone(labels: Tensor) -> None:
    before = torch.get_rng_state()
    class_balanced_subset(labels, 10, seed=1)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", range(3))
def test_larger_subsets_contain_the_smaller(labels: Tensor, seed: int) -> None:
    subsets = [set(class_balanced_subset(labels, count, seed).tolist()) for count in (1, 2, 10, 50, 98)]

    assert all(small < large for small, large in itertools.pairwise(subsets))


def test_more_images_than_a_class_has_are_refused(labels: Tensor) -> None:
    with pytest.raises(ValueError, match=r"class \d has 98 images, fewer than 99"):
        class_balanced_subset(labels, 99, seed=0)
