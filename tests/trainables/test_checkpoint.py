"""Checkpoints hold everything, survive damage, and never pile up."""

import hashlib
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from settings import EPOCHS, PLAIN, STUDENT
from torch import nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.methods.optimizer import make_optimizer
from crossarch.trainables.models.registry import build
from crossarch.trainables.training.loop import train
from crossarch.trainables.training.state import (
    Checkpoints,
    Progress,
    capture,
    copy_weights,
    load_weights,
    reinstate,
    save_weights,
    weights_digest,
)

TeacherOf = Callable[[RunConfig], nn.Module | None]
Same = Callable[[Progress, Progress], None]
Trained = Callable[[RunConfig], Progress]

Stop = type("Stop", (BaseException,), {})


def interrupted(config: RunConfig, data: Images, teacher: nn.Module | None, folder: Path, after: int) -> list[Path]:
    """Trains until a report and returns the checkpoints that are left, oldest first."""

    def on_report(point: Point) -> None:
        if point.epoch == after:
            raise Stop

    with pytest.raises(Stop):
        train(config, data, teacher=teacher, checkpoints=Checkpoints(folder, 0), on_report=on_report)
    return sorted(folder.iterdir())


def fresh(config: RunConfig) -> Progress:
    model = build(config.model, DATASETS["digits"])
    return Progress(model=model, optimizer=make_optimizer(model, config.optimizer))


def test_the_last_two_are_kept(few: Images, tmp_path: Path) -> None:
    assert [path.name for path in interrupted(PLAIN, few, None, tmp_path, 5)] == ["00000004.pt", "00000005.pt"]


def test_numbers_keep_their_order_beyond_a_digit_more(few: Images, tmp_path: Path) -> None:
    config = PLAIN.replace({"epochs": 12, "data.images_per_class": 1})

    assert [path.name for path in interrupted(config, few, None, tmp_path, 10)] == ["00000009.pt", "00000010.pt"]


@pytest.mark.parametrize("config", [PLAIN, STUDENT], ids=["convnet", "resnet18"])
@pytest.mark.parametrize("after", [1, EPOCHS])
def test_goes_on_from_the_first_epoch_and_from_the_last(
    config: RunConfig,
    after: int,
    few: Images,
    trained: Trained,
    teacher_of: TeacherOf,
    assert_same: Same,
    tmp_path: Path,
) -> None:
    """The last, that is when a run was stopped before its result was written; from the middle: see test_loop.py."""
    interrupted(config, few, teacher_of(config), tmp_path, after)

    resumed = train(config, few, teacher=teacher_of(config), checkpoints=Checkpoints(tmp_path, 0))

    assert_same(resumed, trained(config))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    path.write_bytes(b"no checkpoint at all" * 100)


@pytest.mark.parametrize("damage", [cut_short, emptied, overwritten])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    damage: Callable[[Path], None],
    few: Images,
    trained: Trained,
    teacher_of: TeacherOf,
    assert_same: Same,
    tmp_path: Path,
) -> None:
    _, last = interrupted(STUDENT, few, teacher_of(STUDENT), tmp_path, 5)
    damage(last)
    heard: list[int] = []

    with pytest.warns(UserWarning, match=r"checkpoint 00000005.pt cannot be read and is passed over"):
        resumed = train(
            STUDENT,
            few,
            teacher=teacher_of(STUDENT),
            checkpoints=Checkpoints(tmp_path, 0),
            on_report=lambda point: heard.append(point.epoch),
        )

    assert heard[0] == 5
    assert_same(resumed, trained(STUDENT))


def test_where_all_are_damaged_the_run_begins_again(
    few: Images, trained: Trained, assert_same: Same, tmp_path: Path
) -> None:
    for path in interrupted(PLAIN, few, None, tmp_path, 5):
        cut_short(path)

    with pytest.warns(UserWarning, match="passed over"):
        resumed = train(PLAIN, few, checkpoints=Checkpoints(tmp_path, 1e9))

    assert_same(resumed, trained(PLAIN))


def test_files_that_are_no_plain_values_are_not_executed(tmp_path: Path) -> None:
    """A pickle may call anything; only tensors and plain values are read."""
    torch.save({"model": os.system}, tmp_path / "00000001.pt")

    with pytest.warns(UserWarning, match="passed over"):
        assert not Checkpoints(tmp_path).restore(fresh(PLAIN))


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    torch.manual_seed(5)
    Checkpoints(tmp_path, 0).save_if_due(fresh(PLAIN))
    expected = torch.rand(10)
    torch.manual_seed(6)

    assert Checkpoints(tmp_path).restore(fresh(PLAIN))
    assert torch.equal(torch.rand(10), expected)


def test_nothing_to_restore(tmp_path: Path) -> None:
    assert not Checkpoints(tmp_path / "absent").restore(fresh(PLAIN))


def test_what_was_captured_is_reinstated_counters_and_times_included() -> None:
    first, second = fresh(PLAIN), fresh(PLAIN)
    first.epoch, first.steps, first.training_seconds = 7, 14, 100.0
    first.curve = [Point(epoch=7, train_loss=1.0, learning_rate=0.1, keep_rate=1.0)]
    first.begun = time.perf_counter() - 1000
    first.best_accuracy, first.best_weights = 61.5, copy_weights(first.model)

    reinstate(second, capture(first))

    assert (second.epoch, second.steps, second.steps_reported) == (7, 14, 14)
    assert second.training_seconds == 100
    assert second.device_seconds == pytest.approx(1000, abs=10)
    assert second.curve == first.curve
    assert second.best_accuracy == 61.5
    assert second.best_weights is not None
    assert weights_digest(second.best_weights) == weights_digest(first.best_weights)
    assert weights_digest(second.model.state_dict()) == weights_digest(first.model.state_dict())


def test_a_checkpoint_is_written_once_the_last_is_old_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoints, progress = Checkpoints(tmp_path, 30), fresh(PLAIN)
    written = []
    for now in (1000.0, 1029.9, 1030.0, 1059.9, 1061.0, 1090.0):
        progress.epoch = int(now)
        checkpoints.save_if_due(progress)
        written = sorted(int(path.stem) for path in tmp_path.iterdir())

    assert written == [1030, 1061]


def test_a_refusing_disk_leaves_the_old_checkpoints_and_no_partial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, progress = Checkpoints(tmp_path, 0), fresh(PLAIN)
    for progress.epoch in (1, 2):
        checkpoints.save_if_due(progress)

    def refuse(*arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", refuse)
    progress.epoch = 3
    with pytest.raises(OSError, match="no space left"):
        checkpoints.save_if_due(progress)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000001.pt", "00000002.pt"]


def test_clear_removes_the_folder_and_does_not_mind_its_absence(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", 0)
    checkpoints.save_if_due(fresh(PLAIN))
    checkpoints.clear()
    checkpoints.clear()

    assert not (tmp_path / "run").exists()


# Weights and their digest


def test_the_digest_is_sha256_over_sorted_names_and_values() -> None:
    weights = {"b": torch.tensor([2.0, 3.0]), "a": torch.tensor(1.0)}
    by_hand = hashlib.sha256(b"a" + struct.pack("<f", 1.0) + b"b" + struct.pack("<2f", 2.0, 3.0)).hexdigest()

    assert weights_digest(weights) == by_hand
    assert weights_digest(dict(sorted(weights.items()))) == by_hand


def test_the_digest_sees_values_and_names_but_not_the_layout_in_memory() -> None:
    matrix = torch.arange(6.0).view(2, 3)
    digest = weights_digest({"a": matrix})

    assert weights_digest({"a": matrix.t().contiguous().t()}) == digest
    assert weights_digest({"b": matrix}) != digest
    assert weights_digest({"a": matrix.nextafter(torch.tensor(9.0))}) != digest


def test_weights_come_back_with_their_digest(tmp_path: Path) -> None:
    first, second = fresh(PLAIN).model, fresh(PLAIN).model
    saved = save_weights(copy_weights(first), tmp_path / "deep" / "weights.pt")

    assert load_weights(second, tmp_path / "deep" / "weights.pt") == saved == weights_digest(first.state_dict())
    assert weights_digest(second.state_dict()) == saved


def test_weights_that_are_missing_or_another_network_s_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_weights(fresh(PLAIN).model, tmp_path / "absent.pt")
    save_weights(copy_weights(fresh(PLAIN).model), tmp_path / "weights.pt")
    with pytest.raises(RuntimeError, match="state_dict"):
        load_weights(fresh(STUDENT).model, tmp_path / "weights.pt")
