"""Trains a list of runs on one machine without Ray, with torch, lion-pytorch, pydantic and the readers of the data.

    python -m crossarch.trainables.training.batch runs.json --out DIR [--data-root DIR] [--device cpu|cuda]
        [--checkpoint-seconds S] [--keep-weights]

`runs.json` is a list of configurations as of `RunConfig.to_dict`, or `{"runs": [...]}`. Each run writes
`DIR/results/<run_id>.json`, which `crossarch ledger import DIR` adds to a ledger. Distilled sets are read from
`DIR/data/distilled`, where `crossarch data add --storage DIR` puts them. A second call continues where the first was
interrupted. Exit status: 0 all runs finished, 1 not all, 2 bad input, 130 interrupted.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from crossarch.trainables.config.identity import METHOD_VERSION, run_id
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig, from_dict
from crossarch.trainables.environment import describe
from crossarch.trainables.files import write_json
from crossarch.trainables.training.execute import Workplace, blocked, execute, failure, now


def read_runs(path: Path) -> list[RunConfig]:
    """The configurations in a file. Raises ValueError, in one sentence, if it or one of them is not valid."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    runs = values.get("runs") if isinstance(values, dict) else values
    if not isinstance(runs, list) or (isinstance(values, dict) and len(values) > 1):
        raise ValueError(f'{path} holds neither a list of runs nor {{"runs": [...]}} alone')
    return [_read_run(values, f"{path}, run {number}") for number, values in enumerate(runs, start=1)]


def _read_run(values: Any, where: str) -> RunConfig:
    if not isinstance(values, dict):
        raise ValueError(f"{where}: {values!r} is not a configuration")
    try:
        return from_dict(values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def in_order(configs: Sequence[RunConfig]) -> dict[str, RunConfig]:
    """The runs by run id, each once, in the order of training.

    Teachers that are not in `configs` come first. The others keep their order, except that teachers precede their
    students.
    """
    given = {run_id(config) for config in configs}
    order: dict[str, RunConfig] = {}

    def add(config: RunConfig) -> None:
        if config.kd is not None:
            add(config.kd.teacher)
        order.setdefault(run_id(config), config)

    for teacher in (teacher for config in configs for teacher in teachers(config)):
        if run_id(teacher) not in given:
            add(teacher)
    for config in configs:
        add(config)
    return order


def teachers(config: RunConfig) -> Iterator[RunConfig]:
    """The run's teacher, the teacher's teacher, and so on."""
    while config.kd is not None:
        config = config.kd.teacher
        yield config


class Batch:
    """The runs of one call, and the folders in which they are trained."""

    def __init__(
        self, configs: Sequence[RunConfig], workplace: Workplace, device: str, *, keep_weights: bool = False
    ) -> None:
        """`keep_weights`: save the weights of every run, as `crossarch landscape` needs, not only of teachers."""
        self.runs = in_order(configs)
        teaching = {run_id(teacher) for config in configs for teacher in teachers(config)}
        self.keeping = set(self.runs) if keep_weights else teaching
        self.workplace = workplace
        self.device = device

    def train(self) -> bool:
        """Trains every run that has no result yet. Returns whether all runs are finished."""
        lacking = self.lacking()
        outcomes: dict[str, str] = {}
        for number, (name, config) in enumerate(self.runs.items(), start=1):
            if name not in lacking:
                self.workplace.checkpoints(config).clear()
                outcomes[name] = self.recorded(name)["outcome"]
                status = f"{outcomes[name]} already"
            else:
                result = self.attempt(name, config, outcomes)
                self.record(result)
                outcomes[name] = result.outcome
                status = summary(result)
            say(f"[{number}/{len(self.runs)}] {name} {config.model.architecture}: {status}")
        return all(outcome == "finished" for outcome in outcomes.values())

    def attempt(self, name: str, config: RunConfig, outcomes: dict[str, str]) -> RunResult:
        """The result of one run: `failed` after an exception, `blocked` if its teacher has not finished."""
        if config.kd is not None and outcomes[run_id(config.kd.teacher)] != "finished":
            teacher = run_id(config.kd.teacher)
            return blocked(config, teacher, outcomes[teacher])
        started = now()
        try:
            return execute(config, self.workplace, device=self.device, keep_weights=name in self.keeping)
        except Exception as error:  # any exception: the other runs continue, and the result records it
            return failure(config, error, started, describe(self.device))

    def lacking(self) -> set[str]:
        """Ids of the runs to train: those without a result, and teachers of these whose weights are missing."""
        lacking: set[str] = set()
        wanted: set[Path] = set()
        for name, config in reversed(self.runs.items()):  # students before their teachers
            outcome = self.recorded(name).get("outcome")
            needed = wanted & {self.workplace.weights(config, which) for which in ("final", "best")}
            weights_missing = outcome == "finished" and not all(path.exists() for path in needed)
            if outcome not in ("finished", "diverged") or weights_missing:
                lacking.add(name)
                if config.kd is not None:
                    wanted.add(self.workplace.weights(config.kd.teacher, config.kd.teacher_weights))
        return lacking

    def recorded(self, name: str) -> dict[str, Any]:
        """The result of a run from an earlier call, as plain values; empty if there is none or it cannot be read."""
        try:
            values = json.loads(self._path(name).read_bytes())
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def record(self, result: RunResult) -> None:
        """Writes a run's result, atomically, and removes its checkpoints unless the run is to be retried."""
        write_json(self._path(result.run_id), {**result.to_dict(), "method_version": METHOD_VERSION})
        if result.is_result:
            self.workplace.checkpoints(result.config).clear()

    def _path(self, name: str) -> Path:
        return self.workplace.root / "results" / f"{name}.json"


def summary(result: RunResult) -> str:
    """A run's outcome in a few words."""
    if result.test_accuracy is None:
        return f"{result.outcome}: {result.error}"
    return f"{result.outcome}, {result.test_accuracy:.2f} % of the test images, {result.device_seconds:.1f} s"


def say(line: str) -> None:
    """Prints a line and flushes it, also to a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with exit status 2."""
        self.exit(2, f"{message}\n")


def seconds(text: str) -> float:
    """A number of seconds, finite and not negative. Raises ValueError for any other text."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = Parser(
        prog="python -m crossarch.trainables.training.batch", description="Trains a list of runs, without Ray."
    )
    parser.add_argument("runs", type=Path, help="JSON file: a list of run configurations")
    parser.add_argument("--out", type=Path, required=True, help="folder of results, weights and checkpoints")
    parser.add_argument("--data-root", type=Path, help="folder in which data sets already lie")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    parser.add_argument("--checkpoint-seconds", type=seconds, default=30.0, help="between checkpoints; default: 30")
    parser.add_argument("--keep-weights", action="store_true", help="of every run, as figure8 needs them")
    return parser.parse_args(arguments)


def find_device(name: str | None) -> str:
    """The device `name`, or by default cuda if available, else cpu. Raises ValueError if it is not available."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device = cuda, but torch finds no CUDA device here: use cpu")
    return name or ("cuda" if torch.cuda.is_available() else "cpu")


def check_writable(folder: Path) -> None:
    """Creates a folder. Raises ValueError if it cannot be created or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"--out: {folder} cannot be written: {error.strerror}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    options = parse(arguments)
    torch.set_num_threads(1)  # as in a trial, so that a run gives the same bits wherever it is trained
    try:
        configs = read_runs(options.runs)
        device = find_device(options.device)
        check_writable(options.out / "results")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    workplace = Workplace(root=options.out, checkpoint_seconds=options.checkpoint_seconds, data_root=options.data_root)
    try:
        return 0 if Batch(configs, workplace, device, keep_weights=options.keep_weights).train() else 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from here\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
