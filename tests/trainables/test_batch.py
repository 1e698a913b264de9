"""A list of runs on a bare machine: order, results, going on after a kill, and bad input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from settings import PLAIN, STUDENT, TEACHER

from crossarch.trainables.config.identity import METHOD_VERSION, run_id
from crossarch.trainables.config.result import RunResult, result_from_dict
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.training import batch, loop
from crossarch.trainables.training import execute as run
from crossarch.trainables.training.batch import in_order, main, read_runs
from crossarch.trainables.training.execute import execute

pytestmark = pytest.mark.usefixtures("few_everywhere")

SHORT = {"epochs": 2, "data.images_per_class": 1}
RUN = PLAIN.replace(SHORT)
RUNS = [RUN.replace({"seed": seed}) for seed in (3, 1, 2)]
QUICK_TEACHER = TEACHER.replace(SHORT)
QUICK_STUDENTS = [
    STUDENT.replace({**SHORT, "kd.teacher": QUICK_TEACHER.to_dict(), "kd.alpha": alpha}) for alpha in (0.2, 0.7)
]


def write(folder: Path, configs: list[RunConfig]) -> str:
    path = folder / "runs.json"
    path.write_text(json.dumps([config.to_dict() for config in configs]))
    return str(path)


def result(folder: Path, config: RunConfig) -> RunResult:
    values = json.loads((folder / "results" / f"{run_id(config)}.json").read_text())
    assert values.pop("method_version") == METHOD_VERSION
    return result_from_dict(values)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs that are trained, in order."""
    ids: list[str] = []

    def spy(config: RunConfig, *arguments: Any, **named: Any) -> RunResult:
        ids.append(run_id(config))
        return execute(config, *arguments, **named)

    monkeypatch.setattr(batch, "execute", spy)
    return ids


def ids(*configs: RunConfig) -> list[str]:
    return [run_id(config) for config in configs]


# The order


def test_runs_keep_their_order_and_are_trained_once() -> None:
    assert list(in_order([*RUNS, RUNS[0]])) == ids(*RUNS)


def test_absent_teachers_come_first_and_once() -> None:
    assert list(in_order([RUN, *QUICK_STUDENTS])) == ids(QUICK_TEACHER, RUN, *QUICK_STUDENTS)


def test_a_listed_teacher_comes_before_its_students_wherever_it_stands() -> None:
    assert list(in_order([RUN, QUICK_STUDENTS[0], QUICK_TEACHER])) == ids(RUN, QUICK_TEACHER, QUICK_STUDENTS[0])
    assert list(in_order([QUICK_TEACHER, RUN, QUICK_STUDENTS[0]])) == ids(QUICK_TEACHER, RUN, QUICK_STUDENTS[0])


def test_teachers_of_teachers_come_before_them() -> None:
    pupil = QUICK_STUDENTS[0].replace({"kd.teacher": QUICK_STUDENTS[1].to_dict()})

    assert list(in_order([pupil])) == ids(QUICK_TEACHER, QUICK_STUDENTS[1], pupil)


@pytest.mark.parametrize("wrap", [lambda runs: runs, lambda runs: {"runs": runs}])
def test_a_file_is_a_list_or_an_object_of_runs(wrap: Callable[[Any], Any], tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(wrap([config.to_dict() for config in QUICK_STUDENTS])))

    assert read_runs(path) == QUICK_STUDENTS


# Training


def test_every_run_leaves_its_result_and_teachers_their_weights(
    tmp_path: Path, executed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [write(tmp_path, [RUN, *QUICK_STUDENTS]), "--out", str(tmp_path), "--checkpoint-seconds", "0"]

    assert main([*arguments, "--device", "cpu"]) == 0

    expected = ids(QUICK_TEACHER, RUN, *QUICK_STUDENTS)
    assert executed == expected
    assert {path.stem for path in (tmp_path / "results").iterdir()} == set(expected)
    assert [path.stem for path in (tmp_path / "weights").iterdir()] == ids(QUICK_TEACHER)
    assert not list((tmp_path / "checkpoints").iterdir())
    teacher = result(tmp_path, QUICK_TEACHER)
    for student in QUICK_STUDENTS:
        assert result(tmp_path, student).outcome == "finished"
        assert result(tmp_path, student).teacher_sha256 == teacher.weights_sha256
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[f"[{n}/4]", name] for n, name in enumerate(expected, 1)]
    assert all("finished" in line for line in lines)


def test_the_weights_of_every_run_are_kept_where_that_is_asked(tmp_path: Path) -> None:
    arguments = [write(tmp_path, RUNS[:1]), "--out", str(tmp_path), "--device", "cpu"]
    assert main(arguments) == 0
    assert not list(tmp_path.glob("weights/*"))
    other = [write(tmp_path, RUNS[1:2]), *arguments[1:], "--keep-weights"]
    assert main(other) == 0
    assert [path.stem for path in tmp_path.glob("weights/*")] == ids(RUNS[1])


def test_a_second_call_trains_nothing(tmp_path: Path, executed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [write(tmp_path, [RUN, QUICK_STUDENTS[0]]), "--out", str(tmp_path)]
    main(arguments)
    before = {path: path.read_bytes() for path in (tmp_path / "results").iterdir()}
    executed.clear()

    assert main(arguments) == 0
    assert executed == []
    assert {path: path.read_bytes() for path in (tmp_path / "results").iterdir()} == before
    assert capsys.readouterr().out.count("finished already") == 3


def test_a_teacher_whose_weights_are_gone_is_trained_again_if_a_student_lacks_them(
    tmp_path: Path, executed: list[str]
) -> None:
    """As when the run was trained for its own sake before a student named it, or its weights were deleted."""
    main([write(tmp_path, [QUICK_TEACHER, RUN]), "--out", str(tmp_path)])
    assert not (tmp_path / "weights").exists()
    executed.clear()

    arguments = [write(tmp_path, QUICK_STUDENTS[:1]), "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert executed == ids(QUICK_TEACHER, QUICK_STUDENTS[0])
    executed.clear()
    (tmp_path / "weights" / f"{run_id(QUICK_TEACHER)}.pt").unlink()

    assert main(arguments) == 0
    assert executed == []  # no student is left to teach


def test_a_result_that_cannot_be_read_is_trained_again(tmp_path: Path, executed: list[str]) -> None:
    arguments = [write(tmp_path, [RUN]), "--out", str(tmp_path)]
    main(arguments)
    (tmp_path / "results" / f"{run_id(RUN)}.json").write_text('{"outcome": "fini')

    assert main(arguments) == 0
    assert executed == ids(RUN, RUN)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs that raise when they are trained."""
    names: list[str] = []
    train = run.train

    def sometimes(config: RunConfig, *arguments: Any, **named: Any) -> Any:
        if run_id(config) in names:
            raise RuntimeError("out of luck")
        return train(config, *arguments, **named)

    monkeypatch.setattr(run, "train", sometimes)
    return names


def test_a_failing_run_blocks_its_students_and_nothing_else(
    tmp_path: Path, failing: list[str], executed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    failing += ids(QUICK_TEACHER)
    arguments = [write(tmp_path, [QUICK_STUDENTS[0], RUN]), "--out", str(tmp_path)]

    assert main(arguments) == 1
    assert result(tmp_path, QUICK_TEACHER).outcome == "failed"
    assert "RuntimeError: out of luck" in (result(tmp_path, QUICK_TEACHER).error or "")
    assert result(tmp_path, QUICK_TEACHER).environment["torch"] == torch.__version__
    assert result(tmp_path, QUICK_STUDENTS[0]).outcome == "blocked"
    assert result(tmp_path, RUN).outcome == "finished"
    assert "out of luck" in capsys.readouterr().out

    failing.clear()
    executed.clear()
    assert main(arguments) == 0
    assert executed == ids(QUICK_TEACHER, QUICK_STUDENTS[0])
    assert result(tmp_path, QUICK_STUDENTS[0]).outcome == "finished"


def test_a_diverged_teacher_blocks_its_students_and_is_not_tried_again(
    tmp_path: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "objective", lambda config, logits, *others: logits.sum() * float("nan"))
    arguments = [write(tmp_path, [QUICK_STUDENTS[0]]), "--out", str(tmp_path)]

    assert main(arguments) == 1
    assert result(tmp_path, QUICK_TEACHER).outcome == "diverged"
    assert result(tmp_path, QUICK_STUDENTS[0]).outcome == "blocked"
    assert main(arguments) == 1
    assert executed == ids(QUICK_TEACHER)


def test_an_interrupt_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: Any, **named: Any) -> RunResult:
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "execute", interrupt)

    assert main([write(tmp_path, [RUN]), "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "interrupted; the same command goes on from here\n"
