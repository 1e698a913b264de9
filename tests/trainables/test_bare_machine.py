"""A batch on a bare machine: no Ray, no MLflow, no pyarrow; and killed in the middle."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from settings import STUDENT, TEACHER

from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult, result_from_dict
from crossarch.trainables.data.images import Images
from crossarch.trainables.training import execute as run
from crossarch.trainables.training.batch import main
from crossarch.trainables.training.execute import Workplace, execute

BARE = """
import os, runpy, signal, sys

class Absent:
    # What a bare machine lacks; sklearn takes pyarrow where it finds it, and may not need it.
    names = {"ray", "mlflow", "pyarrow", "typer", "rich", "matplotlib", "torchvision"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for name in Absent.names:
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{name} is not absent")

from crossarch.trainables.training.state import Checkpoints

save_if_due = Checkpoints.save_if_due

def save_then_die(self, progress):
    save_if_due(self, progress)
    if self.folder.name == os.environ["DIES_IN"] and progress.epoch == 4:
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoints.save_if_due = save_then_die
runpy.run_module("crossarch.trainables.training.batch", run_name="__main__", alter_sys=True)
"""


def result(folder: Path, name: str) -> RunResult:
    values = json.loads((folder / "results" / f"{name}.json").read_text())
    del values["method_version"]
    return result_from_dict(values)


def test_a_bare_machine_suffices_and_a_killed_batch_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Images
) -> None:
    monkeypatch.setattr(run, "load", lambda *arguments: digits)  # as the other process sees them
    runs, out = tmp_path / "runs.json", tmp_path / "out"
    runs.write_text(json.dumps([STUDENT.to_dict()]))
    arguments = [str(runs), "--out", str(out), "--checkpoint-seconds", "0"]
    command = [sys.executable, "-W", "error", "-c", BARE, *arguments, "--device", "cpu"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "DIES_IN": run_id(STUDENT), "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    died = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert died.returncode == -signal.SIGKILL, died.stderr
    assert result(out, run_id(TEACHER)).outcome == "finished"
    before = result(out, run_id(TEACHER))
    assert not (out / "results" / f"{run_id(STUDENT)}.json").exists()
    assert died.stdout.splitlines()[0].startswith(f"[1/2] {run_id(TEACHER)} convnet: finished")

    assert main(arguments) == 0
    assert result(out, run_id(TEACHER)) == before  # not trained again
    assert not list((out / "checkpoints").iterdir())
    undisturbed = Workplace(root=tmp_path / "undisturbed")
    teacher = execute(TEACHER, undisturbed, keep_weights=True)
    student = execute(STUDENT, undisturbed)
    resumed = result(out, run_id(STUDENT))
    assert result(out, run_id(TEACHER)).weights_sha256 == teacher.weights_sha256 == resumed.teacher_sha256
    assert (resumed.curve, resumed.test_accuracy, resumed.test_loss) == (
        student.curve,
        student.test_accuracy,
        student.test_loss,
    )
