"""The reference loop: repeatable, resumable bit for bit, and undisturbed by who looks on."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from settings import (
    ARMS,
    DEEP,
    DROPPED,
    EPOCHS,
    MIDDLE,
    NETWORKS,
    NORMS,
    PATHS,
    PLAIN,
    RESIDUAL,
    SETTINGS,
    STUDENT,
    TABLE,
    TAUGHT,
    make,
)
from torch import Tensor, nn

from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.data.subsets import class_balanced_subset
from crossarch.trainables.methods.schedules import keep_rate, learning_rate
from crossarch.trainables.training import loop
from crossarch.trainables.training.evaluate import evaluate
from crossarch.trainables.training.loop import train, training_set
from crossarch.trainables.training.state import Checkpoints, Progress, weights_digest

TeacherOf = Callable[[RunConfig], nn.Module | None]
Same = Callable[[Progress, Progress], None]
Trained = Callable[[RunConfig], Progress]

every_setting = pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS.keys())


class Interrupted(BaseException):
    """Stands in for whatever ends a process."""


def interrupt_after(epoch: int) -> Callable[[Point], None]:
    def on_report(point: Point) -> None:
        if point.epoch == epoch:
            raise Interrupted

    return on_report


# Every setting of the table


@every_setting
def test_trains_to_its_end(config: RunConfig, trained: Trained) -> None:
    progress = trained(config)

    assert progress.epoch == EPOCHS
    assert progress.steps == 2 * EPOCHS  # 20 images in batches of 10
    assert progress.model.training
    assert [point.epoch for point in progress.curve] == list(range(1, EPOCHS + 1))
    assert all(math.isfinite(point.train_loss) for point in progress.curve)
    assert all(torch.isfinite(value).all() for value in progress.model.state_dict().values())


@every_setting
def test_the_same_seed_ends_in_the_same_bits(
    config: RunConfig, trained: Trained, few: Images, teacher_of: TeacherOf, assert_same: Same
) -> None:
    torch.rand(3)  # whatever was drawn before does not matter

    assert_same(train(config, few, teacher=teacher_of(config)), trained(config))


@every_setting
def test_a_resumed_run_ends_in_the_same_bits(
    config: RunConfig, trained: Trained, few: Images, teacher_of: TeacherOf, assert_same: Same, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(
            config,
            few,
            teacher=teacher_of(config),
            checkpoints=Checkpoints(tmp_path, 0),
            on_report=interrupt_after(MIDDLE),
        )
    torch.rand(3)
    heard: list[Point] = []
    progress = train(
        config, few, teacher=teacher_of(config), checkpoints=Checkpoints(tmp_path, 0), on_report=heard.append
    )
    expected = trained(config)

    assert [point.epoch for point in heard] == list(range(MIDDLE + 1, EPOCHS + 1))
    assert_same(progress, expected)
    assert evaluate(progress.model, few.test, few.test_labels) == evaluate(expected.model, few.test, few.test_labels)


@every_setting
def test_observed_keep_rate_is_logged_where_paths_are_dropped(config: RunConfig, trained: Trained) -> None:
    curve = trained(config).curve
    observed = [point.keep_rate_observed for point in curve]

    if config.keep_rate is None:
        assert set(observed) == {1.0 if config.model.architecture in RESIDUAL else None}
    else:
        assert None not in observed
        assert any(value is not None and value < 1 for value in observed)
    for point in curve:
        assert point.keep_rate == keep_rate(point.epoch - 1, config.keep_rate, config.phases)
        assert point.learning_rate == learning_rate(point.epoch - 1, config)
        if point.keep_rate_observed is not None:
            paths = 20 * PATHS[config.model.architecture]
            sigma = math.sqrt(point.keep_rate * (1 - point.keep_rate) / paths)
            assert point.keep_rate_observed == pytest.approx(point.keep_rate, abs=4.5 * sigma)


@pytest.mark.parametrize(("network", "epochs"), [("convnet", 30), ("resnet18", 15)])
def test_learns_to_read_digits(network: str, epochs: int, few: Images) -> None:
    config = make(network, "batch", "baseline").replace(
        {"epochs": epochs, "augmentation.folds": 0, "data.images_per_class": 5}
    )
    progress = train(config, few)

    assert progress.curve[-1].train_loss < 0.7 * progress.curve[0].train_loss
    assert evaluate(progress.model, few.test, few.test_labels)[0] > 30  # 10 is chance


# What seeds, precision and methods change


@pytest.mark.parametrize("config", [PLAIN, STUDENT], ids=["convnet", "resnet18"])
def test_another_seed_ends_elsewhere(config: RunConfig, trained: Trained, few: Images, teacher_of: TeacherOf) -> None:
    other = config.replace({"seed": 1})

    assert digest(train(other, few, teacher=teacher_of(other))) != digest(trained(config))


def digest(progress: Progress) -> str:
    return weights_digest(progress.model.state_dict())


@pytest.mark.parametrize("network", DEEP)
def test_drop_path_acts_in_the_loop(network: str, few: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """The released code's mistake, a rate that never reaches the network, would be seen in weights and curve."""
    config = make(network, "batch", "without_kd").replace({"epochs": MIDDLE})
    dropped = train(config, few)
    monkeypatch.setattr(loop, "set_keep_rate", lambda model, rate: None)
    undropped = train(config, few)

    assert {point.keep_rate_observed for point in undropped.curve} == {1.0}
    assert min(point.keep_rate_observed or 0 for point in dropped.curve) < 1
    assert digest(undropped) != digest(dropped)


def test_double_precision_is_double_throughout(trained: Trained, few: Images) -> None:
    double = PLAIN.replace({"precision": "float64"})
    progress = train(double, few)

    assert all(parameter.dtype == torch.float64 for parameter in progress.model.parameters())
    assert all(state["exp_avg"].dtype == torch.float64 for state in progress.optimizer.state.values())
    assert training_set(double, few, "cpu")[0].dtype == torch.float64
    single = trained(PLAIN)
    assert all(parameter.dtype == torch.float32 for parameter in single.model.parameters())


def test_training_set_is_the_seed_s_class_balanced_subset(few: Images) -> None:
    images, labels = training_set(PLAIN.replace({"seed": 3}), few, "cpu")
    chosen = class_balanced_subset(few.train_labels, 2, 3)

    assert torch.equal(images, few.train[chosen])
    assert torch.equal(labels, few.train_labels[chosen])


# The teacher


@pytest.fixture
def seen_by_student(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The batches that the student is trained on."""
    batches: list[Tensor] = []
    build = loop.build

    def spied(*arguments: object) -> nn.Module:
        model = build(*arguments)  # type: ignore[arg-type]
        model.register_forward_pre_hook(lambda module, inputs: batches.append(inputs[0]) if module.training else None)
        return model

    monkeypatch.setattr(loop, "build", spied)
    return batches


def test_the_teacher_sees_the_same_augmented_images(
    few: Images, teacher_of: TeacherOf, seen_by_student: list[Tensor]
) -> None:
    teacher = teacher_of(STUDENT)
    assert teacher is not None
    shown: list[Tensor] = []
    teacher.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0].clone()))
    train(STUDENT, few, teacher=teacher)
    plain = {tuple(image.flatten().tolist()) for image in training_set(STUDENT, few, "cpu")[0]}

    assert len(shown) == len(seen_by_student) == 2 * EPOCHS
    assert all(torch.equal(one, other) for one, other in zip(shown, seen_by_student, strict=True))
    assert not all(tuple(image.flatten().tolist()) in plain for batch in shown for image in batch)


def test_the_teacher_stays_in_evaluation_mode_and_does_not_learn(few: Images, teacher_of: TeacherOf) -> None:
    teacher = teacher_of(STUDENT)
    assert teacher is not None
    before = weights_digest(teacher.state_dict())  # running statistics of its norms included
    train(STUDENT, few, teacher=teacher)

    assert not any(module.training for module in teacher.modules())
    assert weights_digest(teacher.state_dict()) == before
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_another_teacher_teaches_something_else(trained: Trained, few: Images, teacher_of: TeacherOf) -> None:
    teacher = teacher_of(STUDENT)
    assert teacher is not None
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(1.5)

    assert digest(train(STUDENT, few, teacher=teacher)) != digest(trained(STUDENT))


def test_a_teacher_with_nothing_to_say_changes_nothing(few: Images, teacher_of: TeacherOf) -> None:
    """With alpha = 0, Eq. 2 is cross-entropy."""
    taught = STUDENT.replace({"kd.alpha": 0.0})
    alone = STUDENT.replace({"kd": None})

    with_teacher = train(taught, few, teacher=teacher_of(taught))
    without = train(alone, few)

    for name, value in without.model.state_dict().items():
        torch.testing.assert_close(with_teacher.model.state_dict()[name], value)


def test_settings_cover_what_they_say() -> None:
    assert len(SETTINGS) == len(set(SETTINGS.values())) == 4 * len(ARMS) + 4
    pairs = {(network, norm) for network, norm, _ in TABLE}
    assert pairs == set(itertools.product(NETWORKS, NORMS))
    assert {(norm, arm) for _, norm, arm in TABLE} == set(itertools.product(NORMS, ARMS))
    met = {(network, arm) for network, _, arm in TABLE}
    assert set(itertools.product(NETWORKS, ARMS)) - met == set(itertools.product(["convnet"], [*TAUGHT, *DROPPED]))
    assert {config.optimizer.name for config in SETTINGS.values()} == {"lion", "adamw", "sgd"}
    residual = {config.model for config in SETTINGS.values() if config.model.architecture in RESIDUAL}
    assert {model.shortcut for model in residual} == {"original", "improved"}
    assert {config.learning_rate.schedule for config in SETTINGS.values()} == {"periodic", "cosine", "step"}
    assert {config.learning_rate.granularity for config in SETTINGS.values()} == {"epoch", "step"}
    assert {config.augmentation.folds for config in SETTINGS.values()} == {0, 1, 2}
