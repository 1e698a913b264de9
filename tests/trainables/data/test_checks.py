"""What labels are, and what is no set to train on."""

import dataclasses

import pytest
import torch
from distilled_sets import CLASSES, hard, images, soft

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.data.published_sets import balance_note, check_set, label_form

FACTS = dataclasses.replace(DATASETS["cifar10"], classes=CLASSES, resolution=8)
ONE_HOT = torch.eye(CLASSES)[hard()]


@pytest.mark.parametrize(
    ("labels", "form"),
    [
        (hard(), "hard"),
        (hard().to(torch.uint8), "hard"),
        (ONE_HOT, "probabilities"),
        (soft().softmax(1), "probabilities"),
        (ONE_HOT - 1 / CLASSES, "centred"),  # FRePo's, fixed
        (soft() - soft().mean(1, keepdim=True), "centred"),
        (soft(), "logits"),
        (torch.tensor([[1.25, -0.25], [0.5, 0.5]]), "logits"),  # rows sum to 1, but one entry is negative
        (torch.tensor([[0.5, 0.6], [0.5, 0.5]]), "logits"),  # one row does not sum to 1
        (torch.tensor([[1.0, -1.0], [1.0, -0.9]]), "logits"),  # one row does not sum to 0
    ],
)
def test_forms_of_labels(labels, form):
    assert label_form(labels) == form


@pytest.mark.parametrize("labels", [torch.zeros(3), torch.zeros(3, 2, 1), torch.zeros(3, 2, dtype=torch.int64)])
def test_what_are_no_labels(labels):
    with pytest.raises(ValueError, match=r"are neither hard nor soft"):
        label_form(labels)


@pytest.mark.parametrize("labels", [hard(), ONE_HOT, soft()])
def test_a_good_set(labels):
    assert check_set(images(), labels, FACTS) == 2
    assert check_set(images(), labels, FACTS, 2) == 2


def changed(tensor, index, value):
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


@pytest.mark.parametrize(
    ("of_images", "labels", "message"),
    [
        (images()[:, :1], hard(), r"images have shape \(8, 1, 8, 8\), but each of the data set's has \(3, 8, 8\)"),
        (images(side=9), hard(), r"\(8, 3, 9, 9\)"),
        (images()[0], hard(), r"images have shape \(3, 8, 8\)"),
        (images()[:0], hard()[:0], "0 images and 0 labels"),
        (images(), hard()[:7], "8 images and 7 labels"),
        (
            changed(images(), (5, 1), torch.nan),
            hard(),
            "images have 64 values that are not finite, the first in image 5",
        ),
        (changed(images(), (2, 0, 0, 0), torch.inf), hard(), "images have 1 values .* first in image 2"),
        (images(), changed(soft(), (3, 1), torch.nan), "labels have 1 values that are not finite, the first in row 3"),
        (changed(images(), slice(4, 6), 0.5), hard(), "2 images are constant, the first of them image 4"),
        (images(), hard() + 1, "labels run from 1 to 4, but the data set's are 0 to 3"),
        (images(), hard() - 1, "labels run from -1 to 2"),
        (images(), hard().clamp(max=2), "1 of 4 classes have no image, the first of them 3"),
        (images(), changed(hard(), 0, 3), "not balanced: class 0 has 1 images, class 3 has 3"),
        (images(), soft()[:, :3], "labels have 3 columns, but the data set has 4 classes"),
        (images()[:7], soft()[:7], "7 images do not fall into 4 classes of equal size"),
    ],
)
def test_a_bad_set(of_images, labels, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_set(of_images, labels, FACTS)
    assert "\n" not in str(caught.value)


def test_another_number_of_images_than_stated():
    with pytest.raises(ValueError, match="the set has 8 images, not 3 for each of 4 classes"):
        check_set(images(), hard(), FACTS, 3)


def test_soft_labels_need_not_be_balanced_but_it_is_told():
    assert balance_note(hard(), CLASSES) == balance_note(ONE_HOT, CLASSES) == ""
    tilted = ONE_HOT[[0, 0, 0, 3, 4, 5, 6, 7]]
    assert check_set(images(), tilted, FACTS) == 2
    assert "class 1 is the largest entry of 1 labels, class 0 of 3" in balance_note(tilted, CLASSES)
