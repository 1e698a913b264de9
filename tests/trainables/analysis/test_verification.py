"""What short trainings in several whitenings say of the one that a set is in."""

import pytest

from crossarch.trainables.analysis.verification import (
    IMAGES_SEEN,
    MARGIN,
    MOST_EPOCHS,
    TOLERANCE,
    Probe,
    candidates,
    recipe,
    verify,
)
from crossarch.trainables.config.run import BatchNorm, InstanceNorm

NAMES = ("channel", "zca", "frepo")


class Trainings:
    """Probes whose accuracies are known, and which of them were asked for."""

    def __init__(self, **accuracies):
        self.accuracies, self.asked = accuracies, []

    def __call__(self, whitening):
        self.asked.append(whitening)
        return Probe(whitening=whitening, accuracy=self.accuracies[whitening], images=3000)


MEASURED = {"channel": 20.0, "zca": 26.1, "frepo": 42.9}
"""FRePo IPC 1: the notes'; channel's is invented."""


def test_a_claim_as_expected_is_believed_without_more_training():
    trainings = Trainings(**MEASURED)
    verdict = verify(trainings, "frepo", NAMES, 44.3)
    assert (verdict.fits, trainings.asked) == ("frepo", ["frepo"])


def test_a_wrong_claim_is_found_out_and_the_right_one_named():
    trainings = Trainings(**MEASURED)
    verdict = verify(trainings, "zca", NAMES, 44.3)
    assert (verdict.fits, trainings.asked) == ("frepo", ["zca", "channel", "frepo"])
    assert {each.whitening: each.accuracy for each in verdict.probes} == MEASURED


def test_without_a_claim_all_are_tried():
    trainings = Trainings(**MEASURED)
    assert verify(trainings, None, NAMES, 44.3).fits == "frepo"
    assert trainings.asked == list(NAMES)


def test_without_a_published_number_the_best_fits_if_it_leads_clearly():
    assert verify(Trainings(**MEASURED), None, NAMES, None).fits == "frepo"
    close = Trainings(channel=40.0 - MARGIN / 2, zca=40.0, frepo=10.0)
    assert verify(close, None, NAMES, None).fits is None


def test_a_claim_that_is_close_to_the_best_stands():
    assert verify(Trainings(channel=38.0, zca=40.0, frepo=10.0), "channel", NAMES, None).fits == "channel"


@pytest.mark.parametrize("claimed", [None, "zca"])
def test_nothing_fits_where_all_are_far_below_what_is_published(claimed):
    low = Trainings(channel=10.0, zca=30.0, frepo=11.0)
    assert verify(low, claimed, NAMES, 30.0 + TOLERANCE + 0.1).fits is None


def test_an_accuracy_far_above_what_is_published_is_no_proof():
    trainings = Trainings(channel=30.0, zca=44.3 + TOLERANCE + 1, frepo=60.0)
    assert verify(trainings, "zca", NAMES, 44.3).fits == "frepo"


@pytest.mark.parametrize(("images_per_class", "epochs", "batch"), [(1, MOST_EPOCHS, 10), (10, 300, 100), (50, 60, 100)])
def test_the_recipe_sees_a_bounded_number_of_images(images_per_class, epochs, batch):
    config = recipe("cifar10", images_per_class, "frepo")
    assert (config.epochs, config.batch_size) == (epochs, batch)
    assert config.epochs * 10 * images_per_class <= IMAGES_SEEN


def test_grey_images_are_whitened_per_channel_alone():
    assert candidates("cifar10") == NAMES
    assert candidates("digits") == ("channel",)


def test_the_network_of_a_probe_is_its_distillers():
    frepo, mtt = (recipe("cifar10", 10, name).model for name in ("frepo", "mtt"))
    assert (frepo.norm, frepo.width, frepo.channels) == (BatchNorm(), 0.5, (128, 256, 512))
    assert (mtt.norm, mtt.width, mtt.channels) == (InstanceNorm(), 1.0, (128, 128, 128))
