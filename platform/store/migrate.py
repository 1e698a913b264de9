"""Brings a ledger of schema 2, the last before configurations had tagged parts, to the present schema and identity.

Nothing is trained again: each run is written under its present id with the former one beside it, and weights and loss
landscapes are renamed. The former files are moved to `ledger/schema-2/`, from where they can be put back.
"""

import dataclasses
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from crossarch.platform.errors import BadInputError
from crossarch.platform.store.invocations import (
    INVOCATION_SCHEMA,
    INVOCATION_SCHEMA_VERSION,
    Invocation,
    invocation_to_row,
)
from crossarch.platform.store.ledger import COMPACT, INVOCATIONS, RUNS
from crossarch.platform.store.parquet import read_tables, version_of, write_table
from crossarch.platform.store.schema import SCHEMA, SCHEMA_VERSION, from_row, to_row
from crossarch.platform.store.storage import copy_of, place_of
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.files import write_atomically, writing

FORMER_SCHEMA, FORMER_INVOCATIONS = 2, 1
BACKUP = "ledger/schema-2/"
"""Below the storage folder: the former files, and the SQLite file in which MLflow shows runs under their former ids."""


@dataclass(kw_only=True)
class Migration:
    """What a migration did."""

    runs: dict[str, str] = field(default_factory=dict)
    """The present id of each migrated run, by its former one."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why a run could not be migrated, by its former id: it is in the backup."""
    invocations: int = 0
    """Number of invocations."""
    renamed: int = 0
    """Number of files of weights and loss landscapes."""
    view: bool = False
    """Whether MLflow's SQLite file was moved to the backup."""


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of schema 2, as plain values, in the present form, its teacher's too."""
    upgraded = {name: value for name, value in values.items() if value is not None}
    keep_rate = dict(upgraded.get("keep_rate", {}))
    upgraded["data"] = _upgrade_data(values["data"])
    upgraded["model"] = _upgrade_model(values["model"], keep_rate.pop("blocks", None))
    upgraded["learning_rate"] = _given(values["learning_rate"])
    upgraded["optimizer"] = _upgrade_optimizer(values["optimizer"])
    if keep_rate:
        upgraded["keep_rate"] = keep_rate
    if "kd" in upgraded:
        upgraded["kd"] = {**_given(values["kd"]), "teacher": upgrade(values["kd"]["teacher"])}
    return upgraded


def _upgrade_data(data: Mapping[str, Any]) -> dict[str, Any]:
    given = _given(data)
    name = given.pop("distilled", None)
    return {"kind": "real", **given} if name is None else {"kind": "distilled", "distilled_set": name, **given}


def _upgrade_model(model: Mapping[str, Any], blocks: Sequence[str] | None) -> dict[str, Any]:
    """The network, and with it which blocks may be dropped, which was the schedule's to say."""
    given = _given(model)
    groups, size = given.pop("groups", None), given.pop("channels_per_group", None)
    if groups is not None:
        given["norm"] = {"kind": "group", "groups": groups}
    if size is not None:
        given["norm"] = {"kind": "channel_group", "channels_per_group": size}
    if str(given["architecture"]).startswith("torchvision:"):
        given = {"architecture": given["architecture"]}
    if blocks:
        given["drop_path_blocks"] = blocks
    return given


def _upgrade_optimizer(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    given = _given(optimizer)
    if given["name"] == "sgd":
        given["momentum"] = given.pop("beta1")
    return given


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def migrate(root: Path, find_study: Callable[[str], Study | None]) -> Migration:
    """Migrates the ledger below the storage folder `root`, which no driver may use meanwhile.

    It may be killed at any point: until the last former file is in the backup, the same call does the rest.

    Args:
        root: The storage folder.
        find_study: Returns the study of a name, for the ids of its choices; None where it is not known any more.

    Returns:
        What was done; nothing if no file is of the former schema.

    Raises:
        BadInputError: The storage is remote. Migrate a copy on a disk, and send that back.
    """
    if copy_of(root).origin is not None:
        raise BadInputError(
            f"storage = {place_of(root)!r} is remote: migrate a copy of it on a disk, and send that back"
        )
    done = Migration()
    runs, invocations = _former(root / RUNS, FORMER_SCHEMA), _former(root / INVOCATIONS, FORMER_INVOCATIONS)
    rows = list(_upgraded_rows(runs, done))
    if rows:
        name = f"{COMPACT}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}.parquet"
        write_table(root / RUNS / name, pa.Table.from_pylist(rows, schema=SCHEMA), SCHEMA_VERSION)
    for former, present in done.runs.items():
        done.renamed += _rename(root, former, present)
    for path in invocations:  # before the runs, without which a second call could not translate them
        _replace_invocation(root, path, done, find_study)
    view = root / "mlflow.db"
    if done.runs and view.exists():
        _put_aside(root, view, Path(view.name))
        done.view = True
    for path in runs:
        _put_aside(root, path, path.relative_to(root / "ledger"))
    return done


def _former(folder: Path, version: int) -> list[Path]:
    return [path for path in sorted(folder.glob("*.parquet")) if version_of(path) == str(version)]


def _rows(paths: Sequence[Path], version: int) -> Iterator[dict[str, Any]]:
    for _, table in read_tables(paths, version):
        yield from table.to_pylist()


def _upgraded_rows(paths: Sequence[Path], done: Migration) -> Iterator[dict[str, Any]]:
    for row in _rows(paths, FORMER_SCHEMA):
        former, version = row["run_id"], row["method_version"]
        try:
            result = from_row({**row, "config": json.dumps(upgrade(json.loads(row["config"])))})
        except ValueError as error:
            done.refused[former] = str(error)
            continue
        done.runs[former] = run_id(result.config, version)
        yield to_row(dataclasses.replace(result, former_run_id=former), version)


def _rename(root: Path, former: str, present: str) -> int:
    """Renames the weights of a run, and writes its loss landscape under the present id. Returns how many there were."""
    count = 0
    for path in (root / "weights").glob(f"{former}.*"):
        path.replace(path.with_name(present + path.name.removeprefix(former)))
        count += 1
    landscape = root / "landscapes" / f"{former}.json"
    if landscape.exists():
        measured = json.loads(landscape.read_text()) | {"run_id": present}
        write_atomically(landscape.with_name(f"{present}.json"), writing(json.dumps(measured) + "\n"))
        _put_aside(root, landscape, Path("landscapes") / landscape.name)
        count += 1
    return count


def _upgrade_invocation(row: Mapping[str, Any], present: Mapping[str, str], study: Study | None) -> Invocation:
    """An invocation under the present ids; a run that was never recorded keeps its former one."""
    runs: dict[str, dict[str, dict[str, str]]] = {"cell": {}, "teacher": {}}
    labels: dict[str, dict[str, str]] = {}
    for member in row["members"]:
        coordinates = _coordinates(member["arm"], member["cell"], study)
        runs[member["role"]][present.get(member["run_id"], member["run_id"])] = coordinates
        known = {"arm": study.arm_labels.get(member["arm"]) if study else None}
        known |= dict(zip([name for name in coordinates if name != "arm"], member["cell"], strict=True))
        for name, label in known.items():
            if label is not None and label != coordinates[name]:
                labels.setdefault(name, {})[coordinates[name]] = label
    return Invocation(
        id=row["id"],
        study=row["study"],
        question=row["question"],
        started_at=row["started_at"],
        command=row["command"],
        environment=json.loads(row["environment"]),
        cells=runs["cell"],
        teachers=runs["teacher"],
        labels=labels,
    )


def _coordinates(arm: str, cell: Sequence[str], study: Study | None) -> dict[str, str]:
    """Ids for the labels of schema 2. Where the study does not know a label, or is not known, the label is the id."""
    if study is None or len(study.axes) != len(cell):
        return {"arm": arm} | {f"axis {place}": label for place, label in enumerate(cell, start=1)}
    ids = [{axis.label(choice): choice for choice in axis.choices} for axis in study.axes]
    names = [axis.name for axis in study.axes]
    return {"arm": arm} | {name: known.get(label, label) for name, known, label in zip(names, ids, cell, strict=True)}


def _replace_invocation(root: Path, path: Path, done: Migration, find_study: Callable[[str], Study | None]) -> None:
    """Copies the file of an invocation to the backup, and then overwrites it atomically."""
    upgraded = [
        invocation_to_row(_upgrade_invocation(row, done.runs, find_study(row["study"])))
        for row in _rows([path], FORMER_INVOCATIONS)
    ]
    backup = root / BACKUP / path.relative_to(root / "ledger")
    backup.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, backup)
    write_table(path, pa.Table.from_pylist(upgraded, schema=INVOCATION_SCHEMA), INVOCATION_SCHEMA_VERSION)
    done.invocations += len(upgraded)


def _put_aside(root: Path, path: Path, place: Path) -> None:
    backup = root / BACKUP / place
    backup.parent.mkdir(parents=True, exist_ok=True)
    path.replace(backup)
