"""A study whose driver is killed, interrupted and terminated goes on from where it was, and is done in the end.

The tests go on from the states that the ones before them left.
"""

import time
from pathlib import Path

import pytest
from plans import needed_by
from processes import Command, wait_for
from shown import assert_level
from small import MAIN, SMALL

from crossarch.platform.store.ledger import Ledger
from crossarch.trainables.config.identity import run_id

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
    # MLflow 3.17 with SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]

PATIENCE = 300
"""Seconds for anything that must come; Ray alone takes up to a minute to start where a machine is busy."""

TIDY = 15
"""Seconds from a signal to the end."""

STUDY = ("run", "small", "--budget=0.3")
NAME = "small-budget-0.3"
CONFIGS = {name: run.config for name, run in needed_by(SMALL.scaled(0.3).expand()).items()}
"""Twelve runs of a second or two each."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def storage(folder):
    return folder / "crossarch-results"


def recorded(storage):
    """Files of the ledger, one a run while there are few."""
    return list((storage / "ledger" / "runs").glob("*.parquet"))


@pytest.fixture
def begun(folder, storage):
    """The study in the middle: two runs more have ended, others are under way."""
    goal = len(recorded(storage)) + 2
    run = Command(*STUDY, folder=folder, code=MAIN)
    try:
        wait_for(lambda: len(recorded(storage)) >= goal or run.process.poll() is not None, PATIENCE)
        assert run.process.poll() is None, f"it has ended: {run.out} {run.err}"
        assert len(recorded(storage)) < len(CONFIGS), "nothing is left to be interrupted"
        yield run
    finally:
        run.end()


def test_the_driver_is_killed(begun, storage):
    assert begun.workers()
    begun.kill()
    wait_for(lambda: not begun.workers(), PATIENCE)
    kept = Ledger(storage).read()
    assert kept
    assert {result.outcome for result in kept.values()} == {"finished"}


@pytest.mark.parametrize("how", ["interrupt", "terminate"])
def test_the_driver_is_asked_to_end(begun, storage, how):
    before = Ledger(storage).read()
    asked = time.monotonic()
    getattr(begun, how)()
    assert begun.wait(PATIENCE) == 130, begun.err
    assert time.monotonic() - asked < TIDY
    assert begun.err == ""
    assert "Interrupted. The same command continues where this one stopped." in begun.out
    wait_for(lambda: not begun.leftovers(), PATIENCE)
    kept = Ledger(storage).read()
    assert before.items() <= kept.items()
    assert {result.outcome for result in kept.values()} == {"finished"}
    assert_level(storage, NAME)


def test_the_study_is_done_in_the_end_and_nothing_was_done_twice(folder, storage):
    before = Ledger(storage).read()
    assert 0 < len(before) < len(CONFIGS)
    run = Command(*STUDY, folder=folder, code=MAIN)
    try:
        assert run.wait(PATIENCE) == 0, run.err
    finally:
        run.end()
    after = Ledger(storage).read()
    assert before.items() <= after.items(), "what was done was done again"
    assert set(after) == set(CONFIGS)
    assert len(recorded(storage)) == len(CONFIGS)
    assert {result.outcome for result in after.values()} == {"finished"}
    teachers = {run_id(config.kd.teacher) for config in CONFIGS.values() if config.kd}
    assert {path.stem for path in (storage / "weights").glob("*.pt")} == teachers
    assert not list((storage / "checkpoints").glob("*"))
    assert len(Ledger(storage).invocations(NAME)) == 4
    assert_level(storage, NAME)
