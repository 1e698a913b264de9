"""A study whose storage is S3: killed on one machine, told of on a second, done on a third: each run is there once."""

import os
import re
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from processes import Command, alive, wait_for

import crossarch as package
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import copy_of, open_storage

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
    # MLflow 3.17 with SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]

PATIENCE = 500
"""Seconds for anything that must come; it takes 60 on two quiet cores."""

RUNS, BUCKET = 12, "killed-and-done"


@pytest.fixture
def ray_folder(monkeypatch):
    """Short, as the names of sockets may not be long."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def on(tmp_path, monkeypatch):
    """Starts the command on a machine of that name, which has nothing but its own working copy."""
    started = []

    def start(name, *arguments):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name / "cache"))
        started.append(Command(*arguments, folder=tmp_path / name))
        return started[-1]

    yield start
    for command in started:
        command.end()


def rows(s3):
    """How often each run is in the ledger."""
    keys = [re.search(r"ledger/runs/([^~]+)~[^/]*\.parquet$", key) for key in s3.objects(BUCKET)]
    return Counter(found[1] for found in keys if found)


def traces(secret, folders):
    """The files that have the secret in them."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(paths) > 50, "too few to have looked everywhere"
    return [path for path in paths if secret.encode() in path.read_bytes()]


def test_a_study_on_s3_is_killed_and_done_once(s3, on, tmp_path, ray_folder, crossarch, monkeypatch):
    place = f"{s3.bucket(BUCKET)}/studies/first"
    command = ("run", "quickstart", "--smoke", f"--storage={place}")

    first = on("one", *command)
    wait_for(lambda: len(rows(s3)) >= 2 or first.process.poll() is not None, PATIENCE)
    assert first.process.poll() is None, f"it has ended: {first.out} {first.err}"
    halted = first.halt()
    assert halted, "there is nothing left to kill"
    assert not [process for process in first.leftovers() if s3.secret in process.name], "a process' arguments"
    told = on("two", *command)
    assert told.wait(PATIENCE) == 2, told.err
    assert re.fullmatch(r"crossarch: \d+ of these runs are already training in process \d+ on .*\n", told.err)
    assert len(rows(s3)) < RUNS
    first.kill()
    for worker in filter(alive, halted):
        os.kill(worker.pid, signal.SIGCONT)
    wait_for(lambda: not first.workers(), PATIENCE)
    before = rows(s3)
    assert set(before.values()) == {1}

    again = on("three", *command)
    assert again.wait(PATIENCE) == 0, again.err
    assert again.err == ""
    assert "12 planned: 12 finished" in again.out
    assert f"Report: {place}/reports/quickstart-smoke/index.html" in again.out
    after = rows(s3)
    assert set(before) <= set(after)
    assert (len(after), set(after.values())) == (RUNS, {1})
    kept = {key.split("/")[2] for key in s3.objects(BUCKET)}
    assert kept >= {"ledger", "weights", "data", "reports"}
    assert not kept & {"checkpoints", "leases"}, "what no run needs any more is gone"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "four"))
    report = crossarch("report", "quickstart", "--smoke", "--storage", place)
    assert (report.status, report.err) == (0, "")
    assert "12 planned: 12 finished" in report.out
    frame = package.load_results("quickstart-smoke", storage=place)
    assert list(frame.outcome) == ["finished"] * RUNS
    assert set(frame.run_id) == set(after)
    root = open_storage(place)
    assert set(Ledger(root).read()) == set(after)
    assert copy_of(root).names("data/distilled/")

    machines = [tmp_path / name for name in ("one", "two", "three", "four")]
    assert not traces(s3.secret, [s3.folder, ray_folder, *machines])
