"""The script that measures what a run costs the platform."""

import json
import sys
from pathlib import Path

import pytest
from clusters import PATIENCE
from processes import Command

SCRIPT = Path(__file__).parents[2] / "k8s" / "scale.py"


def measured(folder, *arguments):
    command = Command(
        *arguments, folder=folder, code=f"import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    try:
        assert command.wait(PATIENCE) == 0, command.err
        return json.loads(command.out)
    finally:
        command.end()


@pytest.fixture
def by_quarter(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    yield __import__("scale").by_quarter
    del sys.modules["scale"]


def test_what_grows_with_the_number_of_runs_is_seen(by_quarter):
    """Runs that end at 0, 1, 4, 9 ... 64 s: (0 + 4) / 2, (4 + 16) ... a quarter of two runs each."""
    ends = [(float(number**2), 2.0 * number) for number in range(9)]
    assert by_quarter(ends, 0) == [2.0, 6.0, 10.0, 14.0]
    assert by_quarter(ends, 1) == [2.0] * 4


def test_too_few_runs_are_refused(by_quarter):
    with pytest.raises(ValueError, match="runs = 7 is less than 8"):
        by_quarter([(0.0, 0.0)] * 7, 0)


def test_the_ledger_alone_has_a_file_a_run_and_merges_smaller(tmp_path):
    document = measured(tmp_path, 0, "--runs", 8)
    assert document["files"] == 1
    assert 0 < document["bytes_merged"] < document["bytes"]
    assert document["bytes_mlflow"] == 0


@pytest.mark.cluster
def test_runs_go_through_driver_ledger_and_mlflow(tmp_path):
    document = measured(tmp_path, 1, "--runs", 12)
    assert document["files"] == 1
    assert document["bytes_mlflow"] > 0
    assert len(document["wall"]) == len(document["cpu"]) == 4
    assert all(seconds > 0 for seconds in (*document["wall"], *document["cpu"], document["ledger"]))
