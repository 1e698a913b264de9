"""What the loop reports, how often it tests, and that neither disturbs the training."""

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from settings import EPOCHS, PLAIN, STUDENT
from torch import Tensor, nn

from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.training import loop
from crossarch.trainables.training.loop import DivergedError, train, training_set
from crossarch.trainables.training.state import Progress, weights_digest

TeacherOf = Callable[[RunConfig], nn.Module | None]
Trained = Callable[[RunConfig], Progress]


def digest(progress: Progress) -> str:
    return weights_digest(progress.model.state_dict())


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, few: Images) -> Images:
    """A linear network on ten single images, so that a thousand epochs take a second."""
    small = dataclasses.replace(
        few, train=few.train[:, :, :2, :2], test=few.test[:5, :, :2, :2], test_labels=few.test_labels[:5]
    )
    monkeypatch.setattr(loop, "build", lambda *described: nn.Sequential(nn.Flatten(), nn.Linear(4, 10)))
    return small


@pytest.mark.parametrize("epochs", [1, 2, 4, 5, 6, 49, 50, 51, 99, 100, 101, 249, 250, 251, 499, 501, 777])
def test_at_most_50_reports_and_10_evaluations(epochs: int, tiny: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluations: list[int] = []
    monkeypatch.setattr(loop, "evaluate", lambda *arguments: evaluations.append(1) or (0.0, 0.0))
    heard: list[Point] = []
    config = PLAIN.replace({"epochs": epochs, "augmentation.folds": 0, "data.images_per_class": 1})

    progress = train(config, tiny, on_report=heard.append)

    assert heard == progress.curve
    assert 1 <= len(heard) <= 50
    assert len(heard) >= min(epochs, 25)
    assert heard[-1].epoch == epochs
    assert len(evaluations) == sum(point.validation_accuracy is not None for point in heard) <= 10
    assert heard[-1].validation_accuracy is None  # the final validation, on all images, is another


def test_evaluation_during_training_is_on_the_first_thousand_validation_images(
    few: Images, digits: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    images = few.validation[:1].expand(1200, 1, 32, 32)
    many = dataclasses.replace(few, validation=images, validation_labels=torch.zeros(1200).long())

    def spy(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
        sizes.append(len(images))
        assert len(images) == len(labels)
        return 12.5, 0.0

    monkeypatch.setattr(loop, "evaluate", spy)
    progress = train(PLAIN, many)

    assert sizes == [1000]
    assert [point.validation_accuracy for point in progress.curve] == [12.5 if e == 5 else None for e in range(1, 9)]


@pytest.mark.parametrize("config", [PLAIN, STUDENT], ids=["convnet", "resnet18"])
def test_evaluation_does_not_disturb_training(
    config: RunConfig, trained: Trained, few: Images, teacher_of: TeacherOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = digest(trained(config))  # which other tests see, too: to be trained undisturbed
    monkeypatch.setattr(loop, "evaluate", lambda *arguments: (0.0, 0.0))

    assert digest(train(config, few, teacher=teacher_of(config))) == expected


def test_the_reported_loss_is_the_mean_over_the_steps_since_the_last_report(
    few: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []

    def spy(*arguments: object) -> Tensor:
        loss = objective(*arguments)  # type: ignore[arg-type]
        losses.append(float(loss.detach()))
        return loss

    objective = loop.objective
    monkeypatch.setattr(loop, "objective", spy)
    progress = train(PLAIN, few)

    means = [sum(losses[2 * epoch : 2 * epoch + 2]) / 2 for epoch in range(EPOCHS)]
    assert [point.train_loss for point in progress.curve] == pytest.approx(means)


def test_every_image_is_seen_once_an_epoch(few: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr(loop, "augment", lambda images, folds, pool: seen.append(images) or images)
    config = PLAIN.replace({"batch_size": 8, "epochs": 2})  # 20 images: 8, 8 and 4
    train(config, few)
    images, _ = training_set(config, few, "cpu")

    assert [len(batch) for batch in seen] == [8, 8, 4] * 2
    epochs = [torch.cat(seen[:3]), torch.cat(seen[3:])]
    assert not torch.equal(*epochs)
    for epoch in epochs:
        assert sorted(epoch.flatten(1).tolist()) == sorted(images.flatten(1).tolist())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_leaves_the_finite_numbers_ends_the_run_at_the_next_report(
    value: float, few: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(range(1000))
    objective = loop.objective
    monkeypatch.setattr(
        loop, "objective", lambda *arguments: objective(*arguments) * (value if next(steps) >= 5 else 1.0)
    )
    with pytest.raises(DivergedError, match=f"the training loss is {value} after epoch 3") as caught:
        train(PLAIN, few)

    assert [point.epoch for point in caught.value.progress.curve] == [1, 2]
    assert caught.value.progress.epoch == 3
