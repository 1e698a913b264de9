import dataclasses
import io
from pathlib import Path

import pytest
from plans import run_of
from rich.console import Console
from settings import PLAIN, STUDENT, TEACHER
from small import NETWORKS, SMALL

from crossarch.platform.scheduling.estimate import kind, step_count
from crossarch.platform.scheduling.plan import make_plan
from crossarch.platform.scheduling.progress import TerminalProgress, TimeLeft, state_of
from crossarch.platform.scheduling.queue import ReadyQueue
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import Point

STUDY = dataclasses.replace(SMALL, axes=(dataclasses.replace(NETWORKS, labels={"ConvNet": "CNN"}),))
"""Whose labels are told; ids are not."""


def point(epoch):
    return Point(epoch=epoch, train_loss=2.0, learning_rate=1e-3, keep_rate=1.0)


@pytest.fixture
def plan(planned, tmp_path):
    """PLAIN, and STUDENT with its teacher: two kinds of runs."""
    cells = [planned(PLAIN, "baseline", ("ConvNet",)), planned(STUDENT, "full", ("ResNet18",))]
    return make_plan(cells, {}, tmp_path)


@pytest.fixture
def queue(plan):
    return ReadyQueue([plan])


@pytest.fixture
def by_config(plan):
    return {run.config: run for run in plan.todo}


@pytest.fixture
def shown(plan, queue):
    """A listener and what it has written, on a terminal or on a pipe."""

    def make(terminal):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        progress = TerminalProgress(console, queue, {}, slots=2)
        progress.know(STUDY, plan.cells.values())
        return progress, console.file

    return make


CONVNET, RESNET = kind(PLAIN), kind(STUDENT)


def test_the_time_left_is_unknown_while_a_kind_is(queue):
    assert TimeLeft({}, slots=1).seconds(queue) is None
    assert TimeLeft({CONVNET: 1.0}, slots=1).seconds(queue) is None
    assert TimeLeft({CONVNET: 1.0, RESNET: 1.0}, slots=1).seconds(queue) is not None


def test_the_time_left_is_that_of_all_that_runs_or_waits(queue):
    left = TimeLeft({CONVNET: 1.0, RESNET: 10.0}, slots=1)
    whole = sum(map(step_count, (PLAIN, TEACHER))) + 10 * step_count(STUDENT)
    assert left.seconds(queue) == whole
    (teacher,) = queue.take()
    assert left.seconds(queue) == whole, "what runs has all before it until it reports"
    queue.finish(teacher.run_id, "finished")
    assert left.seconds(queue) == whole - step_count(TEACHER)


def test_nothing_is_left_of_what_is_over_or_blocked(queue):
    left = TimeLeft({CONVNET: 1.0, RESNET: 1.0}, slots=1)
    queue.finish(queue.take()[0].run_id, "failed")
    assert left.seconds(queue) == step_count(PLAIN)
    queue.finish(queue.take()[0].run_id, "failed")
    assert left.seconds(queue) == 0


def test_what_was_reported_is_done(queue):
    left = TimeLeft({CONVNET: 1.0, RESNET: 0.0}, slots=1)
    (teacher,) = queue.take()
    left.point(teacher, TEACHER.epochs // 2, clock=1e6)
    assert left.seconds(queue) == step_count(PLAIN) + step_count(TEACHER) / 2


def test_runs_under_way_tell_the_pace_of_an_unknown_kind(queue):
    left = TimeLeft({RESNET: 0.0}, slots=1)
    (teacher,) = queue.take()
    left.point(teacher, 1, clock=100.0)
    assert left.seconds(queue) is None, "the first report holds the start of the worker"
    left.point(teacher, 3, clock=104.0)
    an_epoch = 2.0
    assert left.seconds(queue) == pytest.approx(an_epoch * (TEACHER.epochs - 3 + PLAIN.epochs))


def test_runs_done_before_are_believed_over_those_under_way(queue):
    left = TimeLeft({CONVNET: 1.0, RESNET: 1.0}, slots=1)
    (teacher,) = queue.take()
    before = left.seconds(queue)
    left.point(teacher, 1, clock=0.0)
    left.point(teacher, 2, clock=1e9)
    assert left.seconds(queue) < before


def test_epochs_reported_again_after_a_workers_death_do_no_harm(queue):
    left = TimeLeft({RESNET: 0.0}, slots=1)
    (teacher,) = queue.take()
    for epoch, clock in ((2, 0.0), (6, 4.0), (2, 20.0), (4, 22.0)):
        left.point(teacher, epoch, clock)
        seconds = left.seconds(queue)
    assert seconds > 0


@pytest.mark.parametrize("terminal", [True, False])
def test_a_line_for_each_run_and_none_of_it_is_markup(shown, by_config, queue, result, terminal):
    progress, file = shown(terminal)
    error = "KeyError: '[bold]x[/]' in [/nonsense] \\[ :smile:"
    with progress:
        (teacher,) = queue.take()
        progress.running(teacher)
        progress.point(teacher, point(1))
        progress.point(teacher, point(2))
        queue.finish(teacher.run_id, "failed")
        progress.done(teacher, result(TEACHER, "failed", error=error))
        progress.done(by_config[STUDENT], result(STUDENT, "blocked", error="its teacher failed"))
        progress.done(by_config[PLAIN], result(PLAIN, test_accuracy=87.654, device_seconds=61.0))
    text = file.getvalue()
    assert "KeyError: '[bold]x[/]' in [/nonsense]" in text
    assert "blocked" in text
    assert "its teacher failed" in text
    assert "Baseline · CNN · seed 0" in text
    assert "87.7 %" in text
    assert "1 min 1 s" in text


def test_no_control_codes_and_a_line_a_run_where_there_is_no_terminal(shown, by_config, queue, result):
    progress, file = shown(terminal=False)
    with progress:
        for number in range(1, 3):
            progress.point(queue.take()[0], point(number))
        progress.done(by_config[PLAIN], result(PLAIN, test_accuracy=10.0))
    assert "\x1b" not in file.getvalue()
    assert [line.split()[:2] for line in file.getvalue().splitlines()] == [["1/3", "finished"]]


def test_the_live_line_ends_with_an_exception(shown):
    progress, file = shown(terminal=True)
    with pytest.raises(KeyboardInterrupt), progress:
        raise KeyboardInterrupt
    assert "\x1b[?25h" in file.getvalue(), "the cursor is back"


def test_a_run_that_no_plan_foresaw_is_named_by_its_network(shown, result):
    """A sampler's runs, say, which come to be while the study trains."""
    progress, file = shown(terminal=False)
    sampled = PLAIN.replace({"epochs": 3})
    progress.done(run_of(run_id(sampled), config=sampled), result(sampled, test_accuracy=50.0))
    assert "convnet · seed 0" in file.getvalue()


def test_the_state_counts_what_runs_waits_and_failed(queue):
    assert state_of(queue, None) == "0 running, 2 ready, 1 waiting for a teacher"
    (teacher,) = queue.take()
    assert state_of(queue, None) == "0 running, 2 ready, 1 waiting for a teacher", "taken, but not begun"
    queue.begin(teacher.run_id)
    assert state_of(queue, None) == "1 running, 1 ready, 1 waiting for a teacher"
    queue.finish(teacher.run_id, "failed")
    assert state_of(queue, (93.14, "full")) == "0 running, 1 ready, 1 failed, 1 blocked; best so far 93.1 % (full)"


def test_the_live_view_has_the_state_and_the_best_so_far(shown, by_config, queue, result):
    progress, file = shown(terminal=True)
    with progress:
        queue.begin(queue.take()[0].run_id)
        progress.done(by_config[PLAIN], result(PLAIN, test_accuracy=87.654))
        progress.done(by_config[TEACHER], result(TEACHER, test_accuracy=60.0))
        progress.done(by_config[STUDENT], result(STUDENT, "diverged", test_accuracy=99.0))
    view = file.getvalue()
    assert "1 running, 1 ready, 1 waiting for a teacher" in view
    assert "best so far 87.7 % (Baseline · CNN · seed 0)" in view
    assert "best so far 60.0" not in view
    assert "best so far 99.0" not in view


def test_the_best_so_far_may_be_of_an_earlier_invocation(planned, result, tmp_path, queue):
    earlier = result(PLAIN, test_accuracy=95.0)
    plan = make_plan([planned(PLAIN, "baseline", ("ConvNet",))], {earlier.run_id: earlier}, tmp_path)
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with TerminalProgress(console, queue, {}, slots=1) as progress:
        progress.know(STUDY, plan.runs.values())
        progress.compare(plan.results)
    assert "best so far 95.0 % (Baseline · CNN · seed 0)" in console.file.getvalue()


def test_the_live_view_fits_a_narrow_terminal(queue, by_config, result):
    console = Console(file=io.StringIO(), force_terminal=True, width=40)
    with TerminalProgress(console, queue, {}, slots=1) as progress:
        progress.done(by_config[PLAIN], result(PLAIN, test_accuracy=95.0))
    assert "0 running, 2 ready, 1 waiting for a tea…" in console.file.getvalue()


def test_a_teacher_is_told_with_the_labels_of_its_recipe_and_network(queue, result):
    console = Console(file=io.StringIO(), force_terminal=False, width=100)
    progress = TerminalProgress(console, queue, {}, slots=1)
    plan = make_plan(STUDY.expand((0,)), {}, Path())
    progress.know(STUDY, plan.runs.values())
    (teacher,) = plan.teachers.values()
    progress.done(teacher, result(teacher.config, test_accuracy=50.0))
    assert (teacher.arm, teacher.cell) == ("without_dp_kd", ("ConvNet",))
    assert "w/o DP & KD · CNN · seed 0" in console.file.getvalue()


def test_of_several_studies_a_run_is_told_with_the_name_of_its_own(shown, plan, result):
    progress, out = shown(terminal=False)
    progress.know(dataclasses.replace(STUDY, name="table2"), plan.cells.values(), named=True)
    progress.done(run_of(run_id(PLAIN)), result(PLAIN, test_accuracy=50.0))
    assert "table2 · Baseline · CNN · seed 0" in out.getvalue()
