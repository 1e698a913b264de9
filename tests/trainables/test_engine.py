"""The fast engine: the reference loop's run, by the same draws."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from settings import EPOCHS, MIDDLE, PLAIN, SETTINGS, STUDENT, make
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.identity import config_hash
from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.cpu import fused, native, winograd
from crossarch.trainables.cpu.fused import ConvolutionKind
from crossarch.trainables.data.images import Images
from crossarch.trainables.methods.augmentation import POOL
from crossarch.trainables.methods.optimizer import make_optimizer
from crossarch.trainables.models.registry import build
from crossarch.trainables.training import engine, loop
from crossarch.trainables.training.engine import train
from crossarch.trainables.training.evaluate import evaluate
from crossarch.trainables.training.state import Checkpoints, Progress

TeacherOf = Callable[[RunConfig], nn.Module | None]
Same = Callable[[Progress, Progress], None]


def doubled(config: RunConfig, name: str) -> RunConfig:
    """The run in double precision by that engine.

    Without biases that a norm takes away again: their gradients are 0 but for rounding, of which Lion takes the sign.
    ResNet50 with InstanceNorm goes slower, as rounding of 1e-15 grows there to 0.1 within 6 of its SGD's steps.
    """
    slow = config.model.architecture == "resnet50" and (config.model.norm.kind, config.optimizer.name) == (
        "instance",
        "sgd",
    )
    changes = {"learning_rate.maximum": 1e-7} if slow else {}
    return config.replace({"precision": "float64", "engine": name, "model.conv_bias": False, **changes})


def learns(progress: Progress, parameter: Tensor) -> bool:
    """Whether a parameter's momentum is more than rounding: Lion takes the sign of what is not 0."""
    momenta = [value for name, value in progress.optimizer.state[parameter].items() if name != "step"]
    return any(float(value.abs().max()) > 1e-12 for value in momenta)


def double_teacher(config: RunConfig, teacher_of: TeacherOf) -> nn.Module | None:
    teacher = teacher_of(config)
    return None if teacher is None else teacher.double()


@pytest.fixture
def winograd_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """However narrow a network and small a batch, as far as there is a kernel for it."""
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 1)
    monkeypatch.setattr(winograd, "FEWEST_TILES", 1)


@pytest.fixture
def winograd_where_no_gradient_is_0(config: RunConfig, request: pytest.FixtureRequest) -> None:
    """By GroupNorm channels die in these narrow networks, and Lion takes the sign of what Winograd leaves of a 0."""
    if config.model.norm.kind != "group":
        request.getfixturevalue("winograd_everywhere")


WIDE = {
    "convnet, wide": PLAIN.replace({"model.width": 1 / 4}),
    "vgg11, wide": make("vgg11", "batch", "full").replace({"model.width": 1 / 2}),
}
"""Runs whose convolutions go by Winograd where they may be narrow."""


@pytest.mark.parametrize("config", [*SETTINGS.values(), *WIDE.values()], ids=[*SETTINGS, *WIDE])
@pytest.mark.usefixtures("winograd_where_no_gradient_is_0")
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


@pytest.mark.parametrize("config", [PLAIN, STUDENT], ids=["convnet", "resnet18"])
def test_both_engines_leave_the_generators_in_the_same_state(
    config: RunConfig, few: Images, teacher_of: TeacherOf
) -> None:
    """At every report, so that a checkpoint of either means the same."""

    def states(name: str) -> list[Tensor]:
        seen: list[Tensor] = []
        run = config.replace({"engine": name})
        train(run, few, teacher=teacher_of(run), on_report=lambda point: seen.append(torch.get_rng_state()))
        return seen

    assert len(states("fast")) == EPOCHS
    assert all(torch.equal(one, other) for one, other in zip(states("fast"), states("reference"), strict=True))


class Interrupted(BaseException):
    """Stands in for whatever ends a process."""


@pytest.mark.usefixtures("winograd_everywhere")
@pytest.mark.parametrize(
    ("config", "name"),
    [*((config, "fast") for config in (*WIDE.values(), STUDENT)), (PLAIN, "fast_bfloat16"), (STUDENT, "fast_bfloat16")],
)
def test_a_resumed_run_ends_in_the_same_bits(
    config: RunConfig, name: str, few: Images, teacher_of: TeacherOf, assert_same: Same, tmp_path: Path
) -> None:
    config = config.replace({"engine": name})

    def interrupt(point: Point) -> None:
        if point.epoch == MIDDLE:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(config, few, teacher=teacher_of(config), checkpoints=Checkpoints(tmp_path, 0), on_report=interrupt)
    torch.rand(3)
    resumed = train(config, few, teacher=teacher_of(config), checkpoints=Checkpoints(tmp_path, 0))

    assert_same(resumed, train(config, few, teacher=teacher_of(config)))


@pytest.mark.usefixtures("winograd_everywhere")
def test_a_step_never_waits_for_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake tensors have no values: whoever asks for one fails. The choice of operations is drawn on the CPU."""
    config = STUDENT.replace({"engine": "fast", "augmentation.folds": 6})
    monkeypatch.setattr(engine, "draw", lambda images, folds, pool: [(name, POOL[name].draw(images)) for name in pool])
    with FakeTensorMode():
        model = build(config.model, DATASETS["digits"], config.keep_rate)
        assert config.kd is not None
        teacher = build(config.kd.teacher.model, DATASETS["digits"]).eval()
        progress = Progress(model=model, optimizer=make_optimizer(model, config.optimizer), epoch=4)
        images, labels = torch.randn(20, 1, 32, 32), torch.zeros(20, dtype=torch.long)
        losses = torch.zeros(())
        take_epoch = engine.fast(
            loop.Work(config=config, progress=progress, images=images, labels=labels, teacher=teacher)
        )
        for epoch in range(4, EPOCHS):
            take_epoch(epoch, losses)

        assert progress.steps == 2 * (EPOCHS - 4)
        with pytest.raises(DataDependentOutputException):
            losses.item()


@pytest.fixture
def fused_kinds(monkeypatch: pytest.MonkeyPatch) -> list[ConvolutionKind]:
    """The kinds of convolution of the calls of the fused kernel. Skips where there are no native kernels."""
    if native.library() is None:
        pytest.skip("no native kernels on this machine")
    kinds: list[ConvolutionKind] = []
    by_kernel = fused.conv_norm_relu_pool

    def noted(kind: ConvolutionKind, images: Tensor, conv_weight: Tensor | None, norm: nn.BatchNorm2d) -> Tensor:
        kinds.append(kind)
        return by_kernel(kind, images, conv_weight, norm)

    monkeypatch.setattr(fused, "conv_norm_relu_pool", noted)
    return kinds


WIDE_KINDS = [ConvolutionKind.DIRECT, ConvolutionKind.WINOGRAD, ConvolutionKind.WINOGRAD]


@pytest.mark.parametrize(("name", "expected"), [("reference", []), ("fast", WIDE_KINDS), ("fast_bfloat16", [])])
def test_wide_convolutions_of_the_fast_engine_run_by_kernels(
    name: str, expected: list[ConvolutionKind], few: Images, fused_kinds: list[ConvolutionKind]
) -> None:
    """In every training step, not in evaluation: the ConvNet's first directly, the others by Winograd's algorithm."""
    config = PLAIN.replace({"engine": name, "model.width": 1, "model.channels": [64, 64, 64], "epochs": 10})
    progress = train(config, few)
    evaluate(progress.model, few.test, few.test_labels)

    assert fused_kinds == expected * progress.steps
    assert progress.steps == 20


@pytest.mark.parametrize(("name", "count"), [("reference", 0), ("fast", 3), ("fast_bfloat16", 0)])
def test_norms_of_the_fast_engine_are_fused_with_relu_and_pooling(
    name: str, count: int, few: Images, fused_kinds: list[ConvolutionKind]
) -> None:
    """Also after convolutions that are too narrow for a kernel."""
    progress = train(PLAIN.replace({"engine": name, "epochs": 10}), few)

    assert fused_kinds == [ConvolutionKind.NONE] * count * progress.steps


@pytest.mark.parametrize(("name", "taken"), [("reference", False), ("fast", True), ("fast_bfloat16", False)])
@pytest.mark.usefixtures("winograd_everywhere")
def test_other_networks_convolutions_run_by_winograd_in_the_fast_engine_alone(
    name: str, taken: bool, few: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    if native.library() is None:
        pytest.skip("no native kernels on this machine")
    calls: list[torch.Size] = []
    convolve = winograd.convolve

    def noted(images: Tensor, weight: Tensor) -> Tensor:
        calls.append(weight.shape)
        return convolve(images, weight)

    monkeypatch.setattr(winograd, "convolve", noted)
    config = make("vgg11", "batch", "baseline").replace({"engine": name, "model.width": 1 / 2, "epochs": 1})
    train(config, few)

    assert bool(calls) == taken


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_lie_channels_last(channels: int, few: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of one channel, of which torch cannot tell: what the first layer makes of them does, too."""
    seen = []
    monkeypatch.setattr(engine, "take", lambda config, progress, step, precision: seen.append(step.images))
    images = torch.randn(20, channels, 32, 32)
    progress = Progress(model=nn.Linear(1, 1), optimizer=torch.optim.SGD(nn.Linear(1, 1).parameters()))
    work = loop.Work(config=PLAIN, progress=progress, images=images, labels=torch.zeros(20, dtype=torch.long))
    with pytest.raises(TypeError):  # the loss, that nobody works out
        engine.fast(work)(0, torch.zeros(()))

    assert nn.Conv2d(channels, 5, 3)(seen[0]).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("config", [*WIDE.values(), STUDENT], ids=[*WIDE, "resnet18"])
@pytest.mark.usefixtures("winograd_everywhere")
def test_runs_by_native_kernels_are_the_others_in_double_precision(
    config: RunConfig, few: Images, teacher_of: TeacherOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    if native.library() is None:
        pytest.skip("no native kernels on this machine")
    runs = [train(doubled(config, "fast"), few, teacher=double_teacher(config, teacher_of))]
    monkeypatch.setattr(native, "library", lambda: None)
    runs.append(train(doubled(config, "fast"), few, teacher=double_teacher(config, teacher_of)))

    values, others = (run.model.state_dict() for run in runs)
    still = {name for name, value in runs[0].model.named_parameters() if not learns(runs[0], value)}
    assert any(not torch.equal(values[name], others[name]) for name in values)
    for name in values.keys() - still:
        torch.testing.assert_close(values[name], others[name], rtol=1e-6, atol=1e-7)


def test_bfloat16_computes_otherwise_and_keeps_weights_in_single_precision(few: Images) -> None:
    exact, rough = (train(PLAIN.replace({"engine": name}), few) for name in ("fast", "fast_bfloat16"))

    assert exact.curve[0].train_loss != rough.curve[0].train_loss
    assert rough.curve[0].train_loss == pytest.approx(exact.curve[0].train_loss, rel=0.05)
    assert {value.dtype for value in rough.model.parameters()} == {torch.float32}


def test_the_engine_is_part_of_the_identity_and_the_default_stays_what_it_was() -> None:
    hashes = {config_hash(PLAIN.replace({"engine": name})) for name in engine.ENGINES}

    assert len(hashes) == 3
    assert config_hash(PLAIN.replace({"engine": "reference"})) == config_hash(PLAIN) == "8502ce53ff70634f"


def test_bfloat16_needs_single_precision() -> None:
    with pytest.raises(ValueError, match="engine = 'fast_bfloat16' needs precision = 'float32'"):
        PLAIN.replace({"engine": "fast_bfloat16", "precision": "float64"})
