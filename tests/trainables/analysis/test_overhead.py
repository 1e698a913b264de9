"""What is timed is the loop's own step, in turns, and what is told of it is arithmetic that can be checked."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from settings import PLAIN, STUDENT, TEACHER

from crossarch.trainables.analysis import step_cost as overhead
from crossarch.trainables.analysis.step_cost import (
    HEADINGS,
    Bench,
    Timed,
    compare,
    costly_epoch,
    main,
    measure,
    median_interval,
    quartiles,
    read_runs,
    table,
    take_turns,
)
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.methods.drop_path import drops, pop_observed
from crossarch.trainables.methods.schedules import keep_rate, learning_rate
from crossarch.trainables.training import loop

RUNS = [
    Timed(network="ConvNet", arm="Baseline", config=PLAIN),
    Timed(network="ConvNet", arm="w/o DP & KD", config=TEACHER),
    Timed(network="ResNet18", arm="Full", config=STUDENT),
]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A file as `crossarch overhead --export` writes it."""
    path = tmp_path / "runs.json"
    entries = [{"network": run.network, "arm": run.arm, "config": run.config.to_dict()} for run in RUNS]
    path.write_text(json.dumps(entries))
    return path


def test_the_loop_takes_the_step_that_is_timed(monkeypatch: pytest.MonkeyPatch, few: Images) -> None:
    taken = []
    original = loop.step

    def counted(*arguments: object) -> torch.Tensor:
        taken.append(len(taken))
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "step", counted)
    progress = loop.train(PLAIN, few)
    assert len(taken) == progress.steps == 2 * PLAIN.epochs
    assert overhead.step is original


@pytest.mark.parametrize("config", [PLAIN, TEACHER, STUDENT], ids=["baseline", "without_dp_kd", "full"])
def test_steps_are_taken_where_most_paths_are_dropped_at_a_rate_above_0(config: RunConfig) -> None:
    epoch = costly_epoch(config)
    lowest = min(keep_rate(each, config.keep_rate, config.phases) for each in range(config.epochs))
    assert keep_rate(epoch, config.keep_rate, config.phases) == lowest == (1 if config.keep_rate is None else 0.5)
    assert learning_rate(epoch, config) > 0


def test_a_bench_really_drops_paths_distils_and_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(STUDENT, "cpu")
    assert {module.keep_rate for module in drops(bench.work.progress.model)} == {0.5}
    assert bench.work.teacher is not None
    assert not bench.work.teacher.training
    asked = []
    bench.work.teacher.register_forward_hook(lambda *_: asked.append(1))
    before = [parameter.clone() for parameter in bench.work.progress.model.parameters()]
    assert bench.seconds(3) > 0
    assert (bench.work.progress.steps, len(asked)) == (3, 3)
    observed = pop_observed(bench.work.progress.model)
    assert observed is not None
    assert 0.3 < observed < 0.7
    assert any(
        not torch.equal(old, new) for old, new in zip(before, bench.work.progress.model.parameters(), strict=True)
    )


def test_arms_take_turns_that_begin_with_another_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []

    class Noted:
        def __init__(self, config: str, device: str) -> None:
            self.name = config

        def seconds(self, steps: int) -> float:
            assert torch.get_num_threads() == 1
            calls.append((self.name, steps))
            return float(len(calls))

    monkeypatch.setattr(overhead, "Bench", Noted)
    threads = torch.get_num_threads()
    seconds = take_turns(["a", "b"], steps=5, repeats=3)  # type: ignore[list-item]
    warm = [("a", overhead.WARMUP_STEPS), ("b", overhead.WARMUP_STEPS)]
    turns = [("a", "b"), ("b", "a"), ("a", "b")]
    assert calls == warm + [(name, steps) for turn in turns for name in turn for steps in (1, 5)]
    assert seconds == [[4.0, 10.0, 12.0], [6.0, 8.0, 14.0]]  # the untimed steps are in none
    assert torch.get_num_threads() == threads


def test_ratios_are_taken_turn_by_turn() -> None:
    # The machine is ten times slower in the third turn, for both.
    reference = [1.0, 1.0, 10.0, 1.0, 1.0, 1.0]
    own = [1.5, 1.4, 15.0, 1.5, 1.6, 1.5]
    medians = {PLAIN: 1.0, TEACHER: 0.5}
    cost = compare(RUNS[2], own, RUNS[0], reference, medians)
    assert (cost.ratio, cost.median, cost.keep_rate) == (pytest.approx(1.5), 1.5, 0.5)
    assert cost.ratio_quartiles == pytest.approx((1.5, 1.5))
    assert cost.ratio_interval == pytest.approx((1.4, 1.6))
    assert cost.run_ratio == pytest.approx(1.5 * STUDENT.epochs / PLAIN.epochs)
    assert cost.run_ratio_with_teacher == pytest.approx(cost.run_ratio + 0.5 * TEACHER.epochs / PLAIN.epochs)
    assert compare(RUNS[2], own, RUNS[0], reference, {}).run_ratio_with_teacher is None
    assert compare(RUNS[1], own, RUNS[0], reference, medians).run_ratio_with_teacher is None


def test_a_run_of_four_times_the_epochs_costs_four_times_as_much() -> None:
    longer = Timed(network="ConvNet", arm="longer", config=PLAIN.replace({"epochs": 4 * PLAIN.epochs}))
    cost = compare(longer, [2.0] * 6, RUNS[0], [2.0] * 6, {})
    assert (cost.ratio, cost.run_ratio) == (1, 4)


@pytest.mark.parametrize(("n", "k"), [(6, 1), (8, 1), (9, 2), (15, 4), (21, 6), (51, 19), (101, 41)])
def test_the_interval_is_the_textbooks_order_statistics(n: int, k: int) -> None:
    values = [float((7 * i) % n) for i in range(n)] if n % 7 else [float(i) for i in range(n)]
    assert median_interval(values) == (k - 1, n - k)
    assert median_interval(values)[0] <= statistics.median(values) <= median_interval(values)[1]


def test_five_values_have_no_interval() -> None:
    with pytest.raises(ValueError, match="5 values are too few for a 95 % interval"):
        median_interval([1.0] * 5)
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2, 4)


def test_the_document_tells_all_that_one_needs_to_judge_it() -> None:
    heard: list[str] = []
    document = measure(RUNS, steps=1, repeats=6, on_network=heard.append)
    assert heard == ["ConvNet", "ResNet18"]
    assert (document["steps"], document["repeats"], document["threads"]) == (1, 6, 1)
    assert document["environment"]["torch"] == torch.__version__
    assert document["measured_at"][:2] == "20"
    assert [(cost["network"], cost["arm"]) for cost in document["runs"]] == [(run.network, run.arm) for run in RUNS]
    assert all(len(cost["seconds"]) == 6 and min(cost["seconds"]) > 0 for cost in document["runs"])
    assert [cost["ratio"] for cost in document["runs"]][::2] == [1, 1]
    assert document["runs"][2]["run_ratio_with_teacher"] > 1
    assert document["configs"] == [run.config.to_dict() for run in RUNS]
    assert json.loads(json.dumps(document))["runs"][0]["seconds"] == list(document["runs"][0]["seconds"])
    rows = table(document)
    assert [row[:2] for row in rows] == [(run.network, run.arm) for run in RUNS]
    assert {len(row) for row in rows} == {len(HEADINGS)}


@pytest.mark.parametrize(("steps", "repeats"), [(0, 6), (1, 5)])
def test_too_few_steps_or_repeats_are_refused(steps: int, repeats: int) -> None:
    with pytest.raises(ValueError, match=f"steps = {steps}, repeats = {repeats}: at least 1 and 6 are needed"):
        measure(RUNS, steps=steps, repeats=repeats)


def test_a_bare_machine_suffices(exported: Path, tmp_path: Path) -> None:
    absent = ("ray", "mlflow", "pyarrow", "typer", "rich", "matplotlib", "torchvision", "sklearn")
    code = f"import sys, runpy; sys.modules.update(dict.fromkeys({absent!r}))\n"
    code += "runpy.run_module('crossarch.trainables.analysis.step_cost', run_name='__main__', alter_sys=True)"
    options = ["--device", "cpu", "--steps", "1", "--repeats", "6", "--out", str(tmp_path / "out.json")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", code, str(exported), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0] == list(HEADINGS)
    assert [line[:2] for line in lines[1:]] == [[run.network, run.arm] for run in RUNS]
    assert json.loads((tmp_path / "out.json").read_text())["repeats"] == 6


def test_what_was_exported_is_read_again(exported: Path) -> None:
    assert read_runs(exported) == RUNS


@pytest.mark.parametrize("text", ["{", "[1]", '[{"network": "x"}]', '[{"network": "x", "arm": "y", "config": {}}]'])
def test_a_file_that_holds_no_runs_is_refused_in_one_sentence(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.json"
    path.write_text(text)
    assert main([str(path)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"{path} is not what `crossarch overhead --export` writes: ")
    assert complaint.count("\n") == 1


def test_bad_options_are_refused(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(exported), "--device", "cpu", "--repeats", "2"]) == 2
    assert main([str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_gpu_is_waited_for_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(overhead, "synchronize", lambda device: order.append("wait"))
    monkeypatch.setattr(overhead, "step", lambda *_: order.append("step"))
    Bench(PLAIN, "cpu").seconds(2)
    assert order == ["wait", "step", "step", "wait"]
