"""The fast engine: the reference loop's run, by the same draws."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from settings import EPOCHS, MIDDLE, PLAIN, SETTINGS, STUDENT, make
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from crossarch.trainables import engine, loop
from crossarch.trainables.checkpoint import Checkpoints, Progress
from crossarch.trainables.config import RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.engine import train
from crossarch.trainables.identity import config_hash
from crossarch.trainables.result import Point

TeacherOf = Callable[[RunConfig], nn.Module | None]
Same = Callable[[Progress, Progress], None]

every_setting = pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS.keys())


def doubled(config: RunConfig, name: str) -> RunConfig:
    """The run in double precision by that engine, without biases that a norm takes away again.

    Their gradients are 0 but for rounding, of which Lion takes the sign.
    """
    return config.replace({"precision": "float64", "engine": name, "model.conv_bias": False})


def learns(progress: Progress, parameter: Tensor) -> bool:
    """Whether a parameter's momentum is more than rounding: Lion takes the sign of what is not 0."""
    momenta = [value for name, value in progress.optimizer.state[parameter].items() if name != "step"]
    return any(float(value.abs().max()) > 1e-12 for value in momenta)


def double_teacher(config: RunConfig, teacher_of: TeacherOf) -> nn.Module | None:
    teacher = teacher_of(config)
    return None if teacher is None else teacher.double()


@every_setting
def test_whole_runs_are_the_reference_s_in_double_precision(
    config: RunConfig, few: Images, teacher_of: TeacherOf
) -> None:
    """Both draw the same numbers, so that weights, statistics, momenta and curve agree to rounding after 16 steps."""
    slow = train(doubled(config, "reference"), few, teacher=double_teacher(config, teacher_of))
    quick = train(doubled(config, "fast"), few, teacher=double_teacher(config, teacher_of))

    moved = {name for name, value in slow.model.named_parameters() if learns(slow, value)}
    compared = set(slow.model.state_dict()) - (set(dict(slow.model.named_parameters())) - moved)
    for name in compared:
        value = slow.model.state_dict()[name]
        torch.testing.assert_close(quick.model.state_dict()[name], value, rtol=1e-6, atol=1e-7)
    assert len(moved) > len(list(slow.model.parameters())) / 2
    assert quick.steps == slow.steps == 2 * EPOCHS
    assert [point.epoch for point in quick.curve] == [point.epoch for point in slow.curve]
    for one, other in zip(quick.curve, slow.curve, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-9)
        assert dataclasses.replace(one, train_loss=0) == dataclasses.replace(other, train_loss=0)
