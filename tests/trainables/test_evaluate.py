"""Accuracy and loss against numbers worked by hand, and no trace left behind."""

import math

import pytest
import torch
from settings import PLAIN, STUDENT
from torch import Tensor, nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.data.images import Images
from crossarch.trainables.models.registry import build
from crossarch.trainables.training import evaluate as module
from crossarch.trainables.training.evaluate import BATCH, SAMPLE, evaluate


class Logits(nn.Module):
    """Takes its images, (N, 1, 1, C), for logits."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x.flatten(1)


def test_equals_numbers_worked_by_hand() -> None:
    """Softmax of (ln 3, 0) is (3/4, 1/4): right, right, wrong."""
    images = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)], [math.log(3), 0.0]]).view(3, 1, 1, 2)

    accuracy, loss = evaluate(Logits(), images, torch.tensor([0, 1, 1]))

    assert accuracy == pytest.approx(100 * 2 / 3)
    assert loss == pytest.approx(-(2 * math.log(0.75) + math.log(0.25)) / 3)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_batches_make_no_difference(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = torch.randn(7, 1, 1, 4), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    expected = evaluate(Logits(), images, labels)
    monkeypatch.setattr(module, "BATCH", size)

    assert evaluate(Logits(), images, labels) == pytest.approx(expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("config", [PLAIN, STUDENT], ids=["convnet", "resnet18"])
def test_leaves_network_and_random_numbers_as_they_were(config: object, training: bool, few: Images) -> None:
    model = build(config.model, DATASETS["digits"]).train(training)  # type: ignore[attr-defined]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()

    first = evaluate(model, few.test, few.test_labels)

    assert evaluate(model, few.test, few.test_labels) == first
    assert model.training is training
    assert all(module.training is training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_tests_in_evaluation_mode(few: Images) -> None:
    """Each image on its own: in training mode BatchNorm would let the others of the batch have a say."""
    model = build(PLAIN.model, DATASETS["digits"]).train()
    model(few.train[:50])
    one_by_one = [evaluate(model, few.test[[i]], few.test_labels[[i]]) for i in range(10)]
    accuracy, loss = evaluate(model, few.test[:10], few.test_labels[:10])

    assert accuracy == pytest.approx(sum(accuracy for accuracy, _ in one_by_one) / 10)
    assert loss == pytest.approx(sum(loss for _, loss in one_by_one) / 10)


def test_images_follow_the_network_s_type(few: Images) -> None:
    model = build(PLAIN.model, DATASETS["digits"])
    single = evaluate(model, few.test, few.test_labels)

    assert evaluate(model.double(), few.test, few.test_labels) == pytest.approx(single, rel=1e-4)


def test_a_sample_is_a_thousand_images_in_whole_batches() -> None:
    assert SAMPLE == 1000
    assert SAMPLE % BATCH == 0
