"""The best of several tests: when it is tested, what is kept of it, and who learns from it."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from settings import EPOCHS, PLAIN, STUDENT, TEACHER
from torch import Tensor, nn

from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.training import execute as run
from crossarch.trainables.training import loop
from crossarch.trainables.training.batch import main
from crossarch.trainables.training.evaluate import evaluate
from crossarch.trainables.training.execute import Workplace, execute, load_teacher
from crossarch.trainables.training.loop import is_tested, train
from crossarch.trainables.training.state import Checkpoints, Progress, copy_weights, weights_digest

pytestmark = pytest.mark.usefixtures("few_everywhere")

FOUR = {"test_evaluations": 4}
TESTED = (2, 4, 6, 8)
"""Epochs after which a run of eight is tested four times."""

CONFIG = PLAIN.replace(FOUR)

Stop = type("Stop", (BaseException,), {})


@pytest.mark.parametrize(
    ("epochs", "count"), [(8, 4), (8, 3), (8, 5), (8, 8), (3, 11), (1, 2), (4000, 41), (1000, 11), (997, 10), (8, 1)]
)
def test_tests_are_as_many_as_asked_for_evenly_spaced_and_end_with_the_run(epochs: int, count: int) -> None:
    config = PLAIN.replace({"epochs": epochs, "test_evaluations": count})
    tested = [epoch for epoch in range(1, epochs + 1) if is_tested(epoch, config)]
    gaps = [after - before for before, after in itertools.pairwise([0, *tested])]

    assert len(tested) == min(count, epochs)
    assert tested[-1] == epochs
    assert max(gaps) - min(gaps) <= 1


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Accuracies to be found after each epoch, in place of the true ones."""
    accuracies: dict[int, float] = {}
    final, keep = run.final_test, loop.keep_best

    def told_to(module: object, accuracy: float) -> None:
        monkeypatch.setattr(module, "evaluate", lambda *arguments: (accuracy, 1.0))

    def keep_best(data: Images, progress: Progress) -> None:
        told_to(loop, accuracies[progress.epoch])
        keep(data, progress)

    def test(config: RunConfig, progress: Progress, data: Images) -> tuple[float, float]:
        told_to(run, accuracies[progress.epoch])
        return final(config, progress, data)

    monkeypatch.setattr(loop, "keep_best", keep_best)
    monkeypatch.setattr(run, "final_test", test)
    return accuracies


@pytest.fixture
def weights_after(few: Images, monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """Digests of the weights after each epoch, of a run without several tests."""
    digests: dict[int, str] = {}

    def note(point: Point) -> None:
        digests[point.epoch] = weights_digest(models[0].state_dict())

    build, models = loop.build, []
    with monkeypatch.context() as patch:
        patch.setattr(loop, "build", lambda *arguments: models.append(build(*arguments)) or models[0])
        train(PLAIN, few, on_report=note)
    return digests


def test_the_best_is_the_maximum_over_the_tested_epochs_and_the_last(few: Images, tmp_path: Path) -> None:
    """By a run without several tests, which is stopped to be looked at after each epoch."""
    accuracies: dict[int, float] = {}
    models: list[nn.Module] = []
    build = loop.build
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "build", lambda *arguments: models.append(build(*arguments)) or models[0])
        train(
            PLAIN,
            few,
            on_report=lambda point: accuracies.update({point.epoch: evaluate(models[0], few.test, few.test_labels)[0]}),
        )
    result = execute(CONFIG, Workplace(root=tmp_path))

    assert result.test_accuracy == accuracies[EPOCHS]
    assert result.best_test_accuracy == max(accuracies[epoch] for epoch in TESTED)
    assert result.best_test_accuracy >= result.test_accuracy
    assert execute(CONFIG.replace({"test_evaluations": 8}), Workplace(root=tmp_path)).best_test_accuracy == max(
        accuracies.values()
    )


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ((10, 40, 30, 20), 4),
        ((40, 30, 20, 10), 2),
        ((10, 20, 30, 40), 8),
        ((30, 40, 40, 40), 4),  # of equals the first
        ((0, 0, 0, 0), 2),
    ],
)
def test_the_best_weights_are_those_of_the_best_epoch(
    accuracies: tuple[float, ...],
    best: int,
    told: dict[int, float],
    weights_after: dict[int, str],
    tmp_path: Path,
) -> None:
    told.update(zip(TESTED, accuracies, strict=True))
    workplace = Workplace(root=tmp_path)
    result = execute(CONFIG, workplace, keep_weights=True)

    assert (result.test_accuracy, result.best_test_accuracy) == (accuracies[-1], max(accuracies))
    assert stored(workplace.weights(CONFIG, "best")) == weights_after[best]
    assert stored(workplace.weights(CONFIG)) == weights_after[EPOCHS] == result.weights_sha256


def stored(path: Path) -> str:
    return weights_digest(torch.load(path, weights_only=True))


def test_the_best_weights_are_a_copy_that_training_leaves_alone() -> None:
    model = nn.Linear(2, 2)
    before = weights_digest(model.state_dict())
    kept = copy_weights(model)
    with torch.no_grad():
        model.weight.add_(1)

    assert weights_digest(kept) == before


def test_one_test_is_the_final_one_and_tells_no_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "keep_best", lambda *arguments: pytest.fail("it was tested"))
    workplace = Workplace(root=tmp_path)
    result = execute(PLAIN, workplace, keep_weights=True)

    assert result.best_test_accuracy is None
    assert workplace.weights(PLAIN).exists()
    assert not workplace.weights(PLAIN, "best").exists()


def test_several_tests_are_as_many_as_asked_for(few: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tested: list[int] = []
    keep, test = loop.keep_best, run.final_test
    monkeypatch.setattr(loop, "keep_best", lambda data, progress: tested.append(progress.epoch) or keep(data, progress))
    monkeypatch.setattr(run, "final_test", lambda *arguments: tested.append(arguments[1].epoch) or test(*arguments))
    execute(CONFIG, Workplace(root=tmp_path))

    assert tuple(tested) == TESTED


def test_testing_does_not_disturb_training(few: Images) -> None:
    plain, tested = train(PLAIN, few), train(CONFIG, few)

    assert weights_digest(plain.model.state_dict()) == weights_digest(tested.model.state_dict())
    assert plain.curve == tested.curve


@pytest.mark.parametrize("after", [1, 2, 5, EPOCHS])
def test_the_best_survives_an_interruption_bit_for_bit(
    after: int, told: dict[int, float], few: Images, tmp_path: Path, assert_same: object
) -> None:
    told.update(zip(TESTED, (20.0, 40.0, 30.0, 10.0), strict=True))
    undisturbed = train(CONFIG, few)

    def stop(point: Point) -> None:
        if point.epoch == after:
            raise Stop

    with pytest.raises(Stop):
        train(CONFIG, few, checkpoints=Checkpoints(tmp_path, 0), on_report=stop)
    resumed = train(CONFIG, few, checkpoints=Checkpoints(tmp_path, 0))

    assert undisturbed.best_accuracy == 40
    assert_same(resumed, undisturbed)  # type: ignore[operator]


# The teacher at its best


BEST_TEACHER = TEACHER.replace(FOUR)
BEST_STUDENT = STUDENT.replace({"kd.teacher": BEST_TEACHER.to_dict(), "kd.teacher_weights": "best"})


def test_a_student_learns_from_the_weights_it_names(
    told: dict[int, float], few: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.update(zip(TESTED, (20.0, 40.0, 30.0, 10.0), strict=True))
    workplace = Workplace(root=tmp_path)
    final = execute(BEST_TEACHER, workplace, keep_weights=True).weights_sha256
    best = stored(workplace.weights(BEST_TEACHER, "best"))
    assert best != final

    told[1] = 50.0  # the student's
    taught: list[str] = []
    objective = loop.objective

    def spy(config: RunConfig, logits: Tensor, labels: Tensor, teacher: nn.Module, augmented: Tensor) -> Tensor:
        taught.append(weights_digest(teacher.state_dict()))
        return objective(config, logits, labels, teacher, augmented)

    monkeypatch.setattr(loop, "objective", spy)
    for which, digest in (("best", best), ("final", final)):
        student = BEST_STUDENT.replace({"kd.teacher_weights": which, "epochs": 1})
        assert load_teacher(student, workplace, "cpu")[1] == digest
        taught.clear()
        assert execute(student, workplace).teacher_sha256 == digest
        assert set(taught) == {digest}


def test_a_batch_trains_a_teacher_again_whose_best_weights_are_gone(tmp_path: Path) -> None:
    short = {"epochs": 2, "data.images_per_class": 1}
    student = BEST_STUDENT.replace({**short, "kd.teacher.epochs": 2, "kd.teacher.data.images_per_class": 1})
    assert student.kd is not None
    path = Workplace(root=tmp_path).weights(student.kd.teacher, "best")
    runs = tmp_path / "runs.json"
    runs.write_text(json.dumps([student.to_dict()]))
    arguments = [str(runs), "--out", str(tmp_path), "--device", "cpu"]
    assert main(arguments) == 0
    digest = stored(path)
    path.unlink()
    (tmp_path / "results" / f"{run_id(student)}.json").unlink()

    assert main(arguments) == 0
    assert stored(path) == digest
