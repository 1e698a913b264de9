"""One run from configuration to result."""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import torch
from settings import EPOCHS, PLAIN, STUDENT, TEACHER

from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point, RunResult, result_from_dict
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.environment import KEYS
from crossarch.trainables.models.registry import parameter_count
from crossarch.trainables.training import execute as run
from crossarch.trainables.training import loop
from crossarch.trainables.training.evaluate import evaluate
from crossarch.trainables.training.execute import Workplace, blocked, execute, failure, load_teacher, now
from crossarch.trainables.training.state import Progress, weights_digest

pytestmark = pytest.mark.usefixtures("few_everywhere")

Stop = type("Stop", (BaseException,), {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workplace that the tests of this module share."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="module")
def shared(few: Images, folder: Path) -> Iterator[dict[str, RunResult]]:
    """The results of a teacher and its student."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load", lambda *arguments: few)
        workplace = Workplace(root=folder)
        teacher = execute(TEACHER, workplace, keep_weights=True)
        yield {"teacher": teacher, "student": execute(STUDENT, workplace)}


def test_a_result_says_what_was_done(shared: dict[str, RunResult]) -> None:
    result = shared["student"]

    assert (result.outcome, result.error) == ("finished", None)
    assert result.config == STUDENT
    assert result.steps == 2 * EPOCHS
    assert len(result.curve) == EPOCHS
    assert tuple(result.environment) == KEYS
    assert 0 < result.training_seconds < result.device_seconds
    assert datetime.fromisoformat(result.started_at) < datetime.fromisoformat(result.finished_at)
    assert datetime.fromisoformat(result.started_at).utcoffset() is not None


def test_the_headline_is_the_final_epoch_on_the_whole_test_set(few: Images, tmp_path: Path) -> None:
    result = execute(PLAIN, Workplace(root=tmp_path))
    model = loop.train(PLAIN, few).model

    assert (result.test_accuracy, result.test_loss) == evaluate(model, few.test, few.test_labels)
    assert result.parameters == parameter_count(model)


def test_a_student_s_result_carries_its_teacher_s_digest(shared: dict[str, RunResult], folder: Path) -> None:
    path = folder / "weights" / f"{run_id(TEACHER)}.pt"

    assert shared["teacher"].weights_sha256 == weights_digest(torch.load(path, weights_only=True))
    assert shared["student"].teacher_sha256 == shared["teacher"].weights_sha256
    assert shared["teacher"].teacher_sha256 is None
    assert shared["student"].weights_sha256 is None


def test_only_the_weights_of_teachers_are_kept(shared: dict[str, RunResult], folder: Path) -> None:
    assert [path.name for path in (folder / "weights").iterdir()] == [f"{run_id(TEACHER)}.pt"]


def test_the_teacher_is_in_evaluation_mode_in_the_student_s_precision(
    shared: dict[str, RunResult], folder: Path
) -> None:
    double = STUDENT.replace({"precision": "float64"})
    teacher, digest = load_teacher(double, Workplace(root=folder), "cpu")

    assert teacher is not None
    assert digest == shared["teacher"].weights_sha256
    assert not any(module.training for module in teacher.modules())
    assert all(parameter.dtype == torch.float64 for parameter in teacher.parameters())


def test_a_teacher_trained_in_double_precision_is_not_rounded(tmp_path: Path) -> None:
    precise = TEACHER.replace({"precision": "float64", "epochs": 2})
    student = STUDENT.replace({"precision": "float64", "kd.teacher": precise.to_dict()})
    kept = execute(precise, Workplace(root=tmp_path), keep_weights=True).weights_sha256
    teacher, digest = load_teacher(student, Workplace(root=tmp_path), "cpu")

    assert teacher is not None
    assert digest == kept == weights_digest(teacher.state_dict())


def test_without_its_teacher_s_weights_a_student_is_not_trained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=run_id(TEACHER)):
        execute(STUDENT, Workplace(root=tmp_path), on_report=lambda point: pytest.fail("it was trained"))


def test_an_interrupted_run_goes_on_to_the_same_result(shared: dict[str, RunResult], folder: Path) -> None:
    heard: list[int] = []

    def stop(point: Point) -> None:
        if point.epoch == 6:
            raise Stop

    workplace = Workplace(root=folder, checkpoint_seconds=0)
    with pytest.raises(Stop):
        execute(STUDENT, workplace, on_report=stop)
    before = torch.load(folder / "checkpoints" / run_id(STUDENT) / "00000006.pt", weights_only=True)
    result = execute(STUDENT, workplace, on_report=lambda point: heard.append(point.epoch))

    assert heard == [7, 8]
    assert result.training_seconds > before["training_seconds"] > 0
    assert result.device_seconds > before["device_seconds"] > 0
    assert essence(result) == essence(shared["student"])


def essence(result: RunResult) -> dict[str, object]:
    """All of a result that does not tell the time."""
    times = ("training_seconds", "device_seconds", "started_at", "finished_at")
    return {name: value for name, value in result.to_dict().items() if name not in times}


def test_a_result_goes_through_json(shared: dict[str, RunResult]) -> None:
    for result in shared.values():
        assert result_from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result


def test_divergence_is_an_outcome_with_its_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective, steps = loop.objective, iter(range(1000))
    monkeypatch.setattr(
        loop, "objective", lambda *arguments: objective(*arguments) * (math.nan if next(steps) >= 9 else 1)
    )
    result = execute(PLAIN, Workplace(root=tmp_path), keep_weights=True)

    assert (result.outcome, result.test_accuracy, result.test_loss) == ("diverged", None, None)
    assert result.error == "the training loss is nan after epoch 5"
    assert [point.epoch for point in result.curve] == [1, 2, 3, 4]
    assert result.steps == 10
    assert result.weights_sha256 is None
    assert not (tmp_path / "weights").exists()


def test_weights_lost_in_the_very_last_step_are_divergence_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(config: RunConfig, data: Images, **named: object) -> Progress:
        progress = loop.train(config, data)
        with torch.no_grad():
            next(progress.model.parameters()).fill_(math.nan)
        return progress

    monkeypatch.setattr(run, "train", train)
    result = execute(PLAIN, Workplace(root=tmp_path), keep_weights=True)

    assert (result.outcome, result.test_accuracy, result.test_loss) == ("diverged", None, None)
    assert result.error == "the test loss is nan after the last epoch"
    assert len(result.curve) == EPOCHS
    assert not (tmp_path / "weights").exists()


def test_a_failure_names_error_file_and_line() -> None:
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("out of luck")

    result = failure(PLAIN, caught.value, now(), {"device": "cpu"})

    assert (result.outcome, result.is_result) == ("failed", False)
    assert result.error is not None
    assert result.error.startswith("RuntimeError: out of luck (test_run.py, line ")
    assert result.environment == {"device": "cpu"}


def test_a_blocked_run_names_its_teacher() -> None:
    result = blocked(STUDENT, run_id(TEACHER), "failed")

    assert (result.outcome, result.is_result) == ("blocked", False)
    assert result.error == f"its teacher {run_id(TEACHER)} failed"
