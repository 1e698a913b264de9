"""Measures and records the table of training results that test_recorded_numbers.py holds every commit to.

The table `trainables/recorded_numbers.json` has a row of numbers for each run, e.g. `resnet18-group-full/fast/float32`,
under the machine it was recorded on: processor, vector instructions, torch version and C++ compiler. A machine's rows
are recorded, the first time or again after numbers were changed on purpose, by

    .venv/bin/python tests/record_numbers.py

which replaces the rows of this machine and keeps those of others.
"""

import json
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from distilling import TINY
from settings import NORMS, PLAIN, SETTINGS, make

from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.cpu.native import find_compiler
from crossarch.trainables.data.library import Library
from crossarch.trainables.distillers.loop import distill
from crossarch.trainables.training.execute import Workplace, execute
from crossarch.trainables.training.state import weights_digest

torch.set_num_threads(1)

Row = dict[str, Any]

FILE = Path(__file__).parent / "trainables" / "recorded_numbers.json"
ENGINES = ("reference", "fast")
PRECISIONS = ("float32", "float64")

RUNS: dict[str, RunConfig] = {
    **SETTINGS,
    **{f"convnet-{norm}-without_dp_kd": make("convnet", norm, "without_dp_kd") for norm in NORMS},
    "convnet-wide": PLAIN.replace({"model.width": 1, "model.channels": [64, 64, 64]}),
}
"""The table of settings, all teachers in it, and a network wide enough for the fast engine's Winograd kernels."""


def rows(names: tuple[str, ...]) -> list[str]:
    """The row names of runs: each with both engines and both precisions."""
    return [f"{name}/{engine}/{precision}" for name in names for engine in ENGINES for precision in PRECISIONS]


TRAINED = rows(tuple(RUNS))
DISTILLED = [f"frepo/{precision}" for precision in PRECISIONS]


# Measuring


def config_of(row: str) -> RunConfig:
    """The configuration of a training row; a teacher has its student's engine and precision, as in the studies."""
    name, engine, precision = row.split("/")
    config = RUNS[name]
    changes = {"engine": engine, "precision": precision}
    if config.kd is not None:
        changes |= {f"kd.teacher.{key}": value for key, value in changes.items()}
    return config.replace(changes)


def trained(row: str, root: Path, interrupt_after: int | None = None) -> Row:
    """Trains the run of `row` in the folder `root`, its teacher first if it is not there, and returns its numbers.

    With `interrupt_after`, it is interrupted after that epoch and resumed from its checkpoint.
    """
    config, workplace = config_of(row), Workplace(root=root, checkpoint_seconds=1e9)
    workplace.checkpoints(config).clear()
    if config.kd is not None and not workplace.weights(config.kd.teacher).exists():
        execute(config.kd.teacher, workplace, keep_weights=True)
    if interrupt_after is not None:
        interrupt(config, root, interrupt_after)
    epochs: list[int] = []
    result = execute(config, workplace, keep_weights=True, on_report=lambda point: epochs.append(point.epoch))
    assert epochs[0] == (interrupt_after or 0) + 1
    return {
        "outcome": result.outcome,
        "steps": result.steps,
        "parameters": result.parameters,
        "test_accuracy": result.test_accuracy,
        "best_test_accuracy": result.best_test_accuracy,
        "validation_accuracy": result.validation_accuracy,
        "test_loss": result.test_loss,
        "losses": [point.train_loss for point in result.curve],
        "sha256": result.weights_sha256,
    }


class Interrupted(BaseException):
    """Ends a run as a killed process would."""


def interrupt(config: RunConfig, root: Path, epoch: int) -> None:
    """Trains until after `epoch`, with a checkpoint at every report."""

    def on_report(point: Point) -> None:
        if point.epoch == epoch:
            raise Interrupted

    with pytest.raises(Interrupted):
        execute(config, Workplace(root=root, checkpoint_seconds=0), on_report=on_report)


def distilled(row: str, root: Path) -> Row:
    """Distils digits by FRePo and returns the numbers, the digest being of the images and labels."""
    config = TINY.model_copy(update={"precision": row.split("/")[1]})
    done = distill(config, Library(root / "data"))
    images, labels = done.distiller.prototypes()
    return {
        "steps": done.step,
        "validation_accuracy": done.curve[-1].validation_accuracy,
        "losses": [point.loss for point in done.curve],
        "sha256": weights_digest({"images": images.detach(), "labels": labels.detach()}),
    }


def machine() -> str:
    """All that decides how a number is rounded here: processor, vector instructions, torch, C++ compiler."""
    info = Path("/proc/cpuinfo")
    lines = [line.partition(":") for line in info.read_text().splitlines()] if info.exists() else []
    facts = {name.strip(): value.strip() for name, _, value in lines}
    name = facts.get("model name") or platform.processor() or platform.machine()
    processor = f"{name}, family {facts.get('cpu family')}, model {facts.get('model')}"
    compiler, version = find_compiler(), "no C++ compiler"
    if compiler is not None:
        done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
        version = done.stdout.splitlines()[0]
    return f"{processor} / {torch.backends.cpu.get_cpu_capability()} / torch {torch.__version__} / {version}"


def draws() -> str:
    """The digest of normal random numbers: torch rounds them in float32 by the processor's vector instructions."""
    return weights_digest({"normal": torch.randn(1000, generator=torch.Generator().manual_seed(0))})


def record() -> None:
    """Measures all rows and writes them, one a line, under this machine."""
    document = json.loads(FILE.read_text()) if FILE.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        measured = {row: trained(row, root) for row in TRAINED} | {row: distilled(row, root) for row in DISTILLED}
    document[machine()] = {"draws": draws(), "rows": measured}
    FILE.write_text(written(document))


def written(document: dict[str, Any]) -> str:
    """The document as JSON. Python writes floats with as many digits as give the same bits when they are read."""
    machines = []
    for name, recorded in document.items():
        lines = [f"   {json.dumps(row)}: {json.dumps(numbers)}" for row, numbers in recorded["rows"].items()]
        rows_text = ",\n".join(lines)
        machines.append(f' {json.dumps(name)}: {{"draws": "{recorded["draws"]}", "rows": {{\n{rows_text}}}}}')
    return "{\n" + ",\n".join(machines) + "}\n"


if __name__ == "__main__":
    record()
