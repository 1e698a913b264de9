"""A run's landscape is measured at the weights that it left, on the images that it was trained on."""

import json

import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from settings import PLAIN

from crossarch.trainables.analysis.loss_landscape import from_dict, measure
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.data.load import load
from crossarch.trainables.models.registry import build
from crossarch.trainables.training.execute import Workplace, execute
from crossarch.trainables.training.loop import training_set
from crossarch.trainables.training.state import load_weights

DISTANCES = (-0.5, 0.0, 0.5)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    place = Workplace(root=tmp_path_factory.mktemp("landscape"))
    execute(PLAIN, place, keep_weights=True)
    return place


@pytest.fixture(scope="module")
def landscape(workplace):
    return measure(PLAIN, workplace, eigenvalues=3, distances=DISTANCES)


def test_the_loss_is_the_cross_entropy_of_the_weights_that_were_kept(landscape, workplace):
    model = build(PLAIN.model, DATASETS[PLAIN.data.dataset], PLAIN.keep_rate)
    digest = load_weights(model, workplace.weights(PLAIN))
    images, labels = training_set(PLAIN, load(PLAIN.data, workplace.data, None), "cpu")
    with torch.no_grad():
        expected = float(F.cross_entropy(model.eval()(images), labels))
    assert landscape.loss == pytest.approx(expected, rel=1e-5)
    assert landscape.losses[1][1] == pytest.approx(expected, rel=1e-5)
    assert (landscape.weights_sha256, landscape.images) == (digest, len(images))
    assert landscape.run_id == run_id(PLAIN)


def test_there_are_as_many_eigenvalues_and_points_as_were_asked_for(landscape):
    assert len(landscape.eigenvalues) == 3
    assert sorted(landscape.eigenvalues, reverse=True) == list(landscape.eigenvalues)
    assert landscape.eigenvalues[0] > 0
    assert [len(row) for row in landscape.losses] == [3, 3, 3]
    assert landscape.distances == DISTANCES


def test_one_eigenvalue_is_enough(landscape, workplace):
    alone = measure(PLAIN, workplace, eigenvalues=1, distances=(0.0,))
    assert alone.eigenvalues == pytest.approx(landscape.eigenvalues[:1], rel=1e-2)


def test_it_survives_json(landscape):
    assert from_dict(json.loads(json.dumps(landscape.to_dict()))) == landscape


def test_without_weights_there_is_no_landscape(tmp_path):
    with pytest.raises(FileNotFoundError):
        measure(PLAIN, Workplace(root=tmp_path), eigenvalues=1, distances=DISTANCES)
