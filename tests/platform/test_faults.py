"""Workers and servers die, weights are damaged, teachers diverge: the study goes on and the ledger tells."""

import os
import signal
from pathlib import Path

import pytest
import torch
from plans import needed_by
from processes import Command, alive, commands, in_training, wait_for
from shown import assert_level
from small import MAIN, SMALL

from crossarch.platform.scheduling.plan import plan_study
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.single import single_run
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.training.execute import Workplace, execute

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
    # MLflow 3.17 with SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]

torch.set_num_threads(1)  # as workers do

PATIENCE = 300
"""Seconds for anything that must come; Ray alone takes up to a minute to start where a machine is busy."""


@pytest.fixture
def start(tmp_path):
    yield from commands(tmp_path)


def results(storage):
    return Ledger(storage).read()


FREQUENT = """
import functools
from crossarch.platform.cli.main import main
from crossarch.platform.commands import sites
sites.Site = functools.partial(sites.Site, checkpoint_seconds=0.2)
main()
"""

LONG = {"model.width": 0.0625, "kd.teacher.model.width": 0.0625, "data.images_per_class": 2}
"""With a budget of 0.8: 320 epochs, 10 s of a student and 3 of its teacher."""


def test_a_run_whose_worker_is_killed_ends_in_the_same_bits(start, tmp_path):
    storage = tmp_path / "crossarch-results"
    settings = [f"{name}={value}" for name, value in LONG.items()]
    (planned,) = single_run("full", LONG).scaled(0.8).expand()
    student, teacher = planned.config, planned.config.kd.teacher
    command = start("train", "--arm=full", "--budget=0.8", *settings, code=FREQUENT)

    folder = storage / "checkpoints" / run_id(student)
    wait_for(lambda: list(folder.glob("[0-9]*.pt")), PATIENCE)
    victims = wait_for(lambda: in_training(command.workers()), PATIENCE)
    for victim in victims:
        os.kill(victim.pid, signal.SIGKILL)
    wait_for(lambda: not any(map(alive, victims)), PATIENCE)
    assert list(folder.glob("[0-9]*.pt"))

    quiet = Workplace(root=tmp_path / "quiet")
    expected = [execute(teacher, quiet, keep_weights=True), execute(student, quiet)]
    assert command.wait(PATIENCE) == 0, command.err
    assert command.err == ""
    got = results(storage)
    assert set(got) == {run_id(student), run_id(teacher)}
    for result in expected:
        again = got[result.run_id]
        assert again.curve == result.curve
        for name in ("test_accuracy", "test_loss", "steps", "weights_sha256", "teacher_sha256"):
            assert getattr(again, name) == getattr(result, name), name
    assert not (storage / "checkpoints" / run_id(student)).exists()
    assert_level(storage, "train-budget-0.8")


def test_a_killed_worker_costs_its_cohort_no_finished_run(start, tmp_path):
    storage, seeds = tmp_path / "crossarch-results", 4
    command = start("run", "small", "--smoke", f"--seeds={seeds}", "--cohort=4", code=MAIN)
    wait_for(lambda: len(list((storage / "ledger" / "runs").glob("*.parquet"))) >= 3, PATIENCE)
    before, trials = results(storage), list((storage / "ray").glob("*/train_*"))
    assert len(trials) < len(before), "no worker has trained a second run"
    victims = wait_for(lambda: in_training(command.workers()), PATIENCE)
    for victim in victims:
        os.kill(victim.pid, signal.SIGKILL)

    assert command.wait(PATIENCE) == 0, command.out + command.err
    planned, after = needed_by(SMALL.smoke().expand(range(seeds))), results(storage)
    assert before.items() <= after.items(), "what was finished was trained again"
    assert set(after) == set(planned)
    assert {result.outcome for result in after.values()} == {"finished"}
    for number in range(1, len(planned) + 1):
        assert command.out.count(f"{number:>4}/{len(planned)}  finished") == 1
    assert_level(storage, "small-smoke")


SMOKE = ("run", "small", "--smoke")


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    """A study that was run while MLflow was dead. Its tests go on from the states that the ones before them left."""
    run = Command(*SMOKE, "--tracking=http://127.0.0.1:9", folder=tmp_path_factory.mktemp("unseen"), code=MAIN)
    try:
        run.wait(PATIENCE)
        yield run
    finally:
        run.end()


def test_a_study_does_without_mlflow_and_is_shown_later(unseen, start):
    storage = unseen.folder / "crossarch-results"
    assert (unseen.wait(0), unseen.err) == (0, "")
    told = " ".join(unseen.out.split())
    sentence = "MLflow is not level with the ledger: MLflow at http://127.0.0.1:9 does not answer (Connection refused)."
    assert told.count(sentence) == 1
    assert "4 planned: 4 finished" in told
    assert not (storage / "mlflow.db").exists()
    sync = start("sync", "--storage", storage)
    assert (sync.wait(PATIENCE), sync.out) == (0, "small-smoke: 5 runs brought level\n"), sync.err
    assert_level(storage, "small-smoke")


def test_damaged_weights_are_a_failure_that_is_tried_again(unseen, start):
    """Of a finished study a student is lost, and its teacher's weights are damaged."""
    storage = unseen.folder / "crossarch-results"
    (weights,) = (storage / "weights").glob("*.pt")
    good = weights.read_bytes()
    before = results(storage)
    (student,) = (name for name, result in before.items() if result.config.kd)
    (storage / "ledger" / "runs" / f"{student}.parquet").unlink()

    weights.write_bytes(good[:1000])
    again = start(*SMOKE, "--storage", storage, code=MAIN)
    assert again.wait(PATIENCE) == 1, again.err
    assert again.err == ""
    assert "1 failed" in again.out
    failed = results(storage).pop(student)
    assert failed.outcome == "failed"
    assert failed.error
    assert_level(storage, "small-smoke")

    weights.write_bytes(good)
    again = start(*SMOKE, "--storage", storage, code=MAIN)
    assert again.wait(PATIENCE) == 0, again.err
    after = results(storage)
    assert after[student].curve == before[student].curve
    assert {name: r for name, r in after.items() if name != student} == {
        name: r for name, r in before.items() if name != student
    }
    assert_level(storage, "small-smoke")


WILD = {"kd.teacher.learning_rate.maximum": 10, "kd.teacher.optimizer.weight_decay": 10}
"""Every step multiplies the teacher's weights by -99."""


def test_a_teacher_that_diverges_blocks_its_student_and_is_not_tried_again(start, tmp_path):
    storage = tmp_path / "crossarch-results"
    first = start("train", "--arm=full", *(f"{name}={value}" for name, value in (LONG | WILD).items()))
    assert first.wait(PATIENCE) == 1, first.err
    assert first.err == ""
    known = results(storage)
    outcomes = {result.outcome: name for name, result in known.items()}
    assert set(outcomes) == {"diverged", "blocked"}
    assert known[outcomes["diverged"]].error.startswith("the training loss is ")
    assert known[outcomes["blocked"]].error == f"its teacher {outcomes['diverged']} diverged"
    assert "1 diverged, 1 blocked" in first.out
    assert not list((storage / "weights").glob("*"))
    assert_level(storage, "train")

    (run,) = plan_study(single_run("full", LONG | WILD), (0,), storage).todo
    assert run.run_id == outcomes["blocked"], "the next run tries the student again, and the teacher not"
