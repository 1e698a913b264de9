"""Exports runs for machines without Ray (`crossarch.trainables.training.batch`) and imports their results."""

import json
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.schema import SCHEMA, to_row
from crossarch.platform.store.storage import WEIGHTS, copy_of
from crossarch.platform.validation import validate
from crossarch.trainables.config.identity import METHOD_VERSION
from crossarch.trainables.config.result import Outcome, RunResult, result_from_dict
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.files import write_atomically, writing
from crossarch.trainables.training.state import file_digest


def check_file(file: Path) -> None:
    """Raises BadInputError where `file` is a folder."""
    if file.is_dir():
        raise BadInputError(f"file = {str(file)!r} is a folder, not a file to write")


def export_configs(configs: Iterable[RunConfig], file: Path) -> None:
    """Writes the runs as JSON for `crossarch.trainables.training.batch`. Raises as `check_file`."""
    check_file(file)
    text = json.dumps({"runs": [config.to_dict() for config in configs]}, indent=1)
    write_atomically(file, writing(text))


def import_results(folder: Path, root: Path) -> tuple[int, int]:
    """Adds the results in `folder`, the output of a batch, to the ledger in `root`; teachers' weights are copied too.

    All files are checked before the first is added. Returns how many results were added and how many the ledger had
    already. Raises BadInputError if there are no results, or a file is damaged, of another METHOD_VERSION, or not what
    its name says.
    """
    files = sorted((folder / "results").glob("*.json"))
    if not files:
        raise BadInputError(f"folder = {str(folder)!r} has no results/*.json: give what `--out` of the batch was")
    results = {file.stem: read_result(file) for file in files}
    copy = copy_of(root)
    there = copy.names(WEIGHTS)
    weights = [
        path
        for path in sorted((folder / "weights").glob("*.pt"))
        if path.name.partition(".")[0] in results and f"{WEIGHTS}{path.name}" not in there
    ]
    for path in weights:
        if path.stem in results:  # the best weights of a run, beside its final ones, have no digest of their own
            _check_weights(path, results[path.stem])
    ledger = Ledger(root)
    known = ledger.read(results)
    new = [result for name, result in results.items() if name not in known or not known[name].is_result]
    for result in new:
        ledger.write(result)
    for path in weights:
        copy.write(f"{WEIGHTS}{path.name}", partial(shutil.copyfile, path))
    return len(new), len(results) - len(new)


def read_result(file: Path) -> RunResult:
    """One result of a batch, from its JSON file.

    Raises BadInputError if it is damaged, of another METHOD_VERSION, or its name is not its run id.
    """
    try:
        values: dict[str, Any] = json.loads(file.read_bytes())
        version = values.pop("method_version")
        validate(values["config"])
        result = result_from_dict(values)
        _check(result)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, BadInputError) as error:
        raise BadInputError(
            f"{file.name} is not a result of crossarch.trainables.training.batch: {_reason(error)}"
        ) from error
    if version != METHOD_VERSION:
        raise BadInputError(
            f"{file.name} has method_version = {version!r}; this version of crossarch has {METHOD_VERSION}"
        )
    if result.run_id != file.stem:
        raise BadInputError(f"{file.name} holds the run {result.run_id}: its configuration or name was changed")
    return result


def _reason(error: Exception) -> str:
    """What is wrong, on one line; with the exception's type where its message is not one of ours."""
    message = str(error)
    if not isinstance(error, ValueError | BadInputError):
        message = f"{type(error).__name__}: {error}"
    return message.partition("\n")[0]


def _check(result: RunResult) -> None:
    """Raises ValueError or TypeError if the outcome is unknown or contradicts the accuracy, or a type is wrong."""
    if result.outcome not in get_args(Outcome):
        raise ValueError(f"outcome = {result.outcome!r} is not one of {', '.join(get_args(Outcome))}")
    if (result.outcome == "finished") != (result.test_accuracy is not None):
        raise ValueError(f"test_accuracy = {result.test_accuracy}, but outcome = {result.outcome!r}")
    pa.Table.from_pylist([to_row(result)], schema=SCHEMA)


def _check_weights(path: Path, result: RunResult) -> None:
    """Raises BadInputError if the file does not hold the weights with which the run ended, by their SHA-256."""
    with refusing():
        if file_digest(path) != result.weights_sha256:
            raise BadInputError(f"{path.name} does not hold the weights that results/{path.stem}.json names")
