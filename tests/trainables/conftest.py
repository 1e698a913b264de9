"""What the training tests share: one thread, the digits, and comparison bit by bit."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.data.library import Library
from crossarch.trainables.models.registry import build
from crossarch.trainables.training.loop import train
from crossarch.trainables.training.state import Progress

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Images:
    return Library(Path()).images("digits", "channel")


@pytest.fixture(scope="session")
def few(digits: Images) -> Images:
    """The digits with 40 test and 40 validation images, as testing is not what most tests are about."""
    return dataclasses.replace(
        digits,
        validation=digits.validation[:40],
        validation_labels=digits.validation_labels[:40],
        test=digits.test[:40],
        test_labels=digits.test_labels[:40],
    )


@pytest.fixture
def few_everywhere(few: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `execute` find the few images, too."""
    monkeypatch.setattr("crossarch.trainables.training.execute.load", lambda *arguments: few)


@pytest.fixture(scope="session")
def teacher_of() -> Callable[[RunConfig], nn.Module | None]:
    """A network, always the same, that stands in for a run's trained teacher."""

    def make(config: RunConfig) -> nn.Module | None:
        if config.kd is None:
            return None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(99)
            return build(config.kd.teacher.model, DATASETS["digits"]).eval()

    return make


@pytest.fixture(scope="session")
def trained(few: Images, teacher_of: Callable[[RunConfig], nn.Module | None]) -> Callable[[RunConfig], Progress]:
    """Where a run ends that nothing disturbs; trained once for all tests, so not to be changed."""
    known: dict[RunConfig, Progress] = {}

    def of(config: RunConfig) -> Progress:
        if config not in known:
            known[config] = train(config, few, teacher=teacher_of(config))
        return known[config]

    return of


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Progress, Progress], None]:
    """Two runs ended in the same bits, in everything but the time they took."""

    def check(one: Progress, other: Progress) -> None:
        assert (one.epoch, one.steps, one.curve) == (other.epoch, other.steps, other.curve)
        assert one.best_accuracy == other.best_accuracy
        assert_equal(one.best_weights, other.best_weights, "best")
        assert_equal(one.model.state_dict(), other.model.state_dict(), "model")
        assert_equal(one.optimizer.state_dict(), other.optimizer.state_dict(), "optimizer")

    return check


def assert_equal(one: Any, other: Any, where: str) -> None:
    """Nested values of tensors are the same, bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_equal(left, right, f"{where}[{index}]")
    else:
        assert one == other, where
