"""`crossarch bench`: what it prints, writes and refuses, on the smallest networks."""

import json

import pytest

from crossarch.trainables.analysis import engine_speed as bench
from crossarch.trainables.analysis.step_cost import FEWEST_REPEATS, read_runs


@pytest.mark.filterwarnings("ignore:Memory block of unknown size")
def test_smoke_shows_every_loop_and_writes_what_it_measured(crossarch, tmp_path):
    answer = crossarch("bench", "--smoke", "--architectures", "convnet", "--out", tmp_path / "bench.json")
    document = json.loads((tmp_path / "bench.json").read_text())

    assert answer.status == 0
    assert [each["loop"] for each in document["runs"]] == list(bench.LOOPS)
    assert {(each["epochs"], each["images_per_class"], len(each["seconds"])) for each in document["runs"]} == {
        (1, 1, FEWEST_REPEATS)
    }
    for loop in ("field, 4", "field, 0", "reference", "fast", "fast_bf16"):
        assert loop in answer.out


def test_a_loss_that_is_not_finite_is_no_bad_input(crossarch, monkeypatch):
    measured = {"network": "ConvNet", "loop": "fast", "loss_is_finite": False}
    monkeypatch.setattr(bench, "measure", lambda *given, **options: {"runs": [measured]})
    monkeypatch.setattr("crossarch.platform.commands.bench.render_bench", lambda document: "")
    answer = crossarch("bench", "--smoke")

    assert answer.status == 1
    assert "The loss is not finite: ConvNet, fast." in answer.out + answer.err


def test_export_writes_the_runs_for_a_bare_machine_and_times_none(crossarch, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "measure", None)
    runs = tmp_path / "runs.json"
    answer = crossarch("bench", "--ipc", "1,10", "--architectures", "convnet,resnet18", "--export", runs)

    assert answer.status == 0
    assert [each["config"]["data"]["images_per_class"] for each in json.loads(runs.read_text())].count(10) == 2
    assert len(read_runs(runs)) == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--architectures", "lenet"], "lenet"),
        (["--epochs", "0"], "epochs = 0"),
        (["--repeats", "1"], "repeats = 1"),
        (["--ipc", "one"], "one"),
        (["--width", "-1"], "-1"),
        (["platform", "--runs", "0"], "runs = 0"),
        (["platform", "--cohorts", "1,0"], "cohorts = 1,0"),
        (["platform", "--cohorts", "8,many"], "many"),
    ],
)
def test_bad_input_is_told_in_a_sentence(arguments, told, crossarch):
    answer = crossarch("bench", *arguments)

    assert answer.status == 2
    assert told in answer.err
    assert "Traceback" not in answer.err


def test_a_turn_is_as_long_as_the_engines_look_ahead():
    ((one, *_), (ten, *_)) = (timed_runs(ipc) for ipc in (1, 10))

    assert bench.turn_epochs(one.config) == 64
    assert bench.turn_epochs(ten.config) == 7  # 7 epochs of 100 images are the first to reach 640


def timed_runs(ipc):
    from crossarch.platform.report.overhead import timed_bench

    return timed_bench(["convnet"], [ipc], 1 / 32)
