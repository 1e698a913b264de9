"""`crossarch overhead`: which runs it times, and what it shows of them."""

import io
import json

import pytest
from rich.console import Console

from crossarch.platform.report.overhead import remarks, render_overhead, timed_runs
from crossarch.search_spaces.overhead import overhead_study
from crossarch.trainables.analysis.step_cost import compare, read_runs

ALL = ("resnet18", "alexnet", "vgg11", "resnet50")
LABELS = ["Baseline", "w/o DP & KD", "w/o DP", "w/o KD", "Full"]


def test_it_times_table_1_network_by_network_the_teacher_first():
    runs = timed_runs(overhead_study(ALL, 0.5, 10))
    networks = {
        name: [run.arm for run in runs if run.network == name] for name in dict.fromkeys(each.network for each in runs)
    }
    deep = dict.fromkeys(("ResNet18", "AlexNet", "VGG11", "ResNet50"), LABELS)
    assert networks == {"ConvNet": LABELS[:2]} | deep
    for run in runs:
        assert (run.config.model.width, run.config.batch_size, run.config.data.dataset) == (0.5, 10, "digits")
        assert run.config.epochs == (1000 if run.arm == "Baseline" else 4000)
        if run.config.kd:
            assert run.config.kd.teacher in {other.config for other in runs if other.network == "ConvNet"}


def test_an_unknown_network_is_refused(crossarch):
    answer = crossarch("overhead", "--architectures", "resnet18,vgg")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("crossarch: architectures = 'vgg' is not one of convnet, resnet18")


def test_runs_can_be_carried_to_a_bare_machine(crossarch, tmp_path):
    answer = crossarch("overhead", "--architectures", "vgg11", "--width", "0.25", "--export", tmp_path / "runs.json")
    assert (answer.status, answer.err) == (0, "")
    assert read_runs(tmp_path / "runs.json") == timed_runs(overhead_study(["vgg11"], 0.25, 10))


def test_the_command_measures_shows_and_writes(crossarch, tmp_path):
    options = ["--architectures", "convnet", "--width", "0.03125", "--batch", "2", "--steps", "1", "--repeats", "6"]
    answer = crossarch("overhead", *options, "--out", tmp_path / "out.json")
    assert answer.status == 0, answer.err
    assert "w/o DP & KD" in answer.out
    document = json.loads((tmp_path / "out.json").read_text())
    assert [cost["arm"] for cost in document["runs"]] == LABELS[:2]


@pytest.mark.parametrize("option", [("--repeats", "5"), ("--steps", "0"), ("--width", "0"), ("--batch", "0")])
def test_settings_that_cannot_be_are_refused(crossarch, option):
    answer = crossarch("overhead", "--architectures", "convnet", *option)
    assert answer.status == 2
    assert answer.err.startswith("crossarch: ")
    assert answer.err.count("\n") == 1


def test_the_table_fits_a_terminal_and_says_what_it_is():
    runs = timed_runs(overhead_study(["resnet50"], 1.0, 10))
    seconds = [[0.001 * (10 + place)] * 6 for place in range(len(runs))]
    medians = {run.config: own[0] for run, own in zip(runs, seconds, strict=True)}
    first = {run.network: (run, own) for run, own in reversed(list(zip(runs, seconds, strict=True)))}
    costs = [compare(run, own, *first[run.network], medians) for run, own in zip(runs, seconds, strict=True)]
    document = {
        "measured_at": "2026-11-21T09:00:00+00:00",
        "environment": {"device": "cpu", "cpu": "Z80", "torch": "2.13.0"},
        "steps": 3,
        "repeats": 6,
        "runs": [vars(cost) for cost in costs],
    }
    out = io.StringIO()
    Console(width=80, file=out).print(render_overhead(document))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    (full,) = [line for line in lines if "Full" in line]
    assert full.split() == ["ResNet50", "Full", "16.0", "1.33", "1.33", "–", "1.33", "5.3", "9.0"]
    for fact in ("n = 6 turns of 3 steps", "Z80, one thread, torch 2.13.0, 2026-11-21", "lowest keep rate"):
        assert fact in remarks(document)
