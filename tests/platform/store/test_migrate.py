"""A ledger of schema 2 is brought to the present schema: nothing is lost, and each run is what it was.

`schema2_configs.json` holds configurations of all studies' smoke forms, and of single runs, as the last version with
schema 2 wrote them, with their ids, and what they are now.
"""

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small import SMALL

from crossarch.platform.errors import BadInputError, OtherVersionError
from crossarch.platform.store.ledger import INVOCATIONS, RUNS, Ledger
from crossarch.platform.store.migrate import BACKUP, migrate, upgrade
from crossarch.platform.store.parquet import write_table
from crossarch.platform.store.schema import to_row
from crossarch.search_spaces.study import Axis, Study
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import from_dict

KNOWN = json.loads((Path(__file__).parent / "schema2_configs.json").read_text())
SHARED = Path(__file__).parents[4] / "shared" / "ledger"
"""Rows that the former version recorded, where they lie beside the checkout."""
NAMES = [each["former_run_id"] for each in KNOWN]


def test_the_known_configurations_are_of_every_kind() -> None:
    formers = [each["former"] for each in KNOWN]
    assert {each["learning_rate"]["schedule"] for each in formers} == {"periodic", "cosine", "step"}
    assert {each["optimizer"]["name"] for each in formers} == {"lion", "adamw", "sgd"}
    assert {bool(each["data"]["distilled"]) for each in formers} == {True, False}
    assert {each["kd"] is None for each in formers} == {True, False}
    assert any(each["model"]["architecture"].startswith("torchvision:") for each in formers)
    assert any(each["keep_rate"] and each["keep_rate"]["blocks"] for each in formers)
    assert {each["model"]["norm"] for each in formers} >= {"batch", "instance", "group"}


@pytest.mark.parametrize("known", KNOWN, ids=NAMES)
def test_a_former_configuration_is_the_present_one(known: dict[str, Any]) -> None:
    config = from_dict(upgrade(known["former"]))
    assert config.to_dict() == from_dict(known["present"]).to_dict()
    assert run_id(config, 2) == known["run_id"]


def former_row(known: dict[str, Any], result: RunResult, method_version: int = 2) -> dict[str, Any]:
    """A row of schema 2: the columns of settings are left out, as nothing is read from them."""
    row = {name: value for name, value in to_row(result).items() if "." not in name and name != "former_run_id"}
    config_hash, _, seed = known["former_run_id"].rpartition("-s")
    return row | {
        "run_id": known["former_run_id"],
        "config_hash": config_hash,
        "seed": int(seed),
        "method_version": method_version,
        "config": json.dumps(known["former"]),
    }


def write_row(root: Path, row: dict[str, Any]) -> None:
    write_table(root / RUNS / f"{row['run_id']}.parquet", pa.Table.from_pylist([row]), 2)


@pytest.fixture
def former(tmp_path: Path, result_of: Callable[..., RunResult]) -> dict[str, RunResult]:
    """A storage folder with rows, weights, a landscape and an invocation of schema 2; the results by former id."""
    results = {}
    for known in KNOWN:
        result = result_of(from_dict(known["present"]))
        write_row(tmp_path, former_row(known, result))
        results[known["former_run_id"]] = result
    first = NAMES[0]
    for folder in ("weights", "landscapes"):
        (tmp_path / folder).mkdir()
    for name in (f"{first}.pt", f"{first}.best.pt"):
        (tmp_path / "weights" / name).write_text(name)
    (tmp_path / "landscapes" / f"{first}.json").write_text(json.dumps({"run_id": first, "losses": [1.0]}))
    (tmp_path / "mlflow.db").write_text("view")
    row = {
        "id": "20261101T000000000000Z-abcdef",
        "study": "some",
        "question": "What?",
        "started_at": "2026-11-01T00:00:00+00:00",
        "command": "crossarch run some",
        "environment": "{}",
        "members": [
            {"run_id": first, "arm": "full", "cell": ["IPC one", "ConvNet"], "role": "cell"},
            {"run_id": NAMES[1], "arm": "baseline", "cell": ["IPC one", "ConvNet"], "role": "teacher"},
            {"run_id": "0123456789abcdef-s0", "arm": "full", "cell": ["unheard of", "ConvNet"], "role": "cell"},
        ],
    }
    write_table(tmp_path / INVOCATIONS / f"{row['id']}.parquet", pa.Table.from_pylist([row]), 1)
    return results


@pytest.fixture
def labelled() -> Study:
    data = Axis(name="data", choices={"one": {}}, labels={"one": "IPC one"})
    return dataclasses.replace(SMALL, axes=(data, *SMALL.axes))


def nowhere(name: str) -> Study | None:
    return None


def test_a_former_ledger_is_refused_with_the_command_that_migrates_it(
    tmp_path: Path, former: dict[str, RunResult]
) -> None:
    with pytest.raises(OtherVersionError, match=r"has schema version 2, .* reads 3: `crossarch ledger migrate`$"):
        Ledger(tmp_path).read()
    with pytest.raises(OtherVersionError, match=r"has schema version 1, .* reads 2: `crossarch ledger migrate`$"):
        Ledger(tmp_path).invocations()


def test_every_run_is_there_under_its_present_id(tmp_path: Path, former: dict[str, RunResult]) -> None:
    done = migrate(tmp_path, nowhere)
    assert done.runs == {each["former_run_id"]: each["run_id"] for each in KNOWN}
    assert done.refused == {}
    found = Ledger(tmp_path).read()
    assert set(found) == set(done.runs.values())
    for name, result in former.items():
        there = found[done.runs[name]]
        assert there.former_run_id == name
        assert there.to_dict() == result.to_dict() | {"former_run_id": name}


def test_a_run_keeps_the_method_version_that_it_was_trained_under(
    tmp_path: Path, result_of: Callable[..., RunResult]
) -> None:
    config = from_dict(KNOWN[0]["present"])
    write_row(tmp_path, former_row(KNOWN[0], result_of(config), method_version=1))
    done = migrate(tmp_path, nowhere)
    assert Ledger(tmp_path).versions() == {run_id(config, 1): 1}
    assert list(done.runs.values()) == [run_id(config, 1)] != [run_id(config, 2)]


def test_weights_and_landscapes_go_with_their_run(tmp_path: Path, former: dict[str, RunResult]) -> None:
    done = migrate(tmp_path, nowhere)
    first, present = NAMES[0], KNOWN[0]["run_id"]
    assert done.renamed == 3
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == [f"{present}.best.pt", f"{present}.pt"]
    assert (tmp_path / "weights" / f"{present}.pt").read_text() == f"{first}.pt"
    (landscape,) = (tmp_path / "landscapes").iterdir()
    assert landscape.name == f"{present}.json"
    assert json.loads(landscape.read_text()) == {"run_id": present, "losses": [1.0]}


def test_an_invocation_has_ids_and_labels_of_the_study(
    tmp_path: Path, former: dict[str, RunResult], labelled: Study
) -> None:
    done = migrate(tmp_path, lambda name: {"some": labelled}.get(name))
    (there,) = Ledger(tmp_path).invocations("some")
    first, second = KNOWN[0]["run_id"], KNOWN[1]["run_id"]
    assert done.invocations == 1
    assert there.cells == {
        first: {"arm": "full", "data": "one", "architecture": "ConvNet"},
        "0123456789abcdef-s0": {"arm": "full", "data": "unheard of", "architecture": "ConvNet"},
    }
    assert there.teachers == {second: {"arm": "baseline", "data": "one", "architecture": "ConvNet"}}
    assert there.names(first) == {"arm": labelled.label("arm", "full"), "data": "IPC one", "architecture": "ConvNet"}
    assert (there.question, there.command) == ("What?", "crossarch run some")


def test_an_invocation_of_a_study_that_is_not_known_keeps_its_labels(
    tmp_path: Path, former: dict[str, RunResult]
) -> None:
    migrate(tmp_path, nowhere)
    (there,) = Ledger(tmp_path).invocations()
    assert there.runs[KNOWN[0]["run_id"]] == {"arm": "full", "axis 1": "IPC one", "axis 2": "ConvNet"}
    assert list(there.names(KNOWN[0]["run_id"]).values()) == ["full", "IPC one", "ConvNet"]


def test_former_files_are_kept_and_can_be_put_back(tmp_path: Path, former: dict[str, RunResult]) -> None:
    before = {path.name: path.read_bytes() for path in (tmp_path / RUNS).iterdir()}
    done = migrate(tmp_path, nowhere)
    backup = tmp_path / BACKUP
    assert {path.name: path.read_bytes() for path in (backup / "runs").iterdir()} == before
    assert len(list((backup / "invocations").iterdir())) == 1
    assert (backup / "mlflow.db").read_text() == "view"
    assert done.view
    assert not (tmp_path / "mlflow.db").exists()
    shutil.rmtree(tmp_path / RUNS)
    shutil.copytree(backup / "runs", tmp_path / RUNS)
    assert migrate(tmp_path, nowhere).runs == done.runs


def test_a_second_migration_does_nothing(tmp_path: Path, former: dict[str, RunResult]) -> None:
    migrate(tmp_path, nowhere)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = migrate(tmp_path, nowhere)
    assert (done.runs, done.invocations, done.renamed, done.view) == ({}, 0, 0, False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_migration_that_was_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, former: dict[str, RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each of its changes to the disk: a file written, moved, or copied."""
    for name in NAMES[3:]:
        (tmp_path / RUNS / f"{name}.parquet").unlink()
    expected, wanted = {each["former_run_id"]: each["run_id"] for each in KNOWN[:3]}, None
    for survived in itertools.count():
        root, left = tmp_path / f"killed-{survived}", iter(range(survived))
        shutil.copytree(tmp_path, root, ignore=shutil.ignore_patterns("killed-*"))

        def mortal(function: Callable[..., Any], left: Iterator[int] = left) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return function(*arguments)

            return call

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", mortal(Path.replace))
            patched.setattr(shutil, "copyfile", mortal(shutil.copyfile))
            try:
                migrate(root, nowhere)
            except KeyboardInterrupt:
                killed = True
            else:
                killed = False
        migrate(root, nowhere)
        found = Ledger(root).read()
        assert {result.former_run_id: name for name, result in found.items()} == expected
        (invocation,) = Ledger(root).invocations()
        wanted = wanted or invocation
        assert invocation == wanted
        assert set(invocation.runs) == {expected[NAMES[0]], expected[NAMES[1]], "0123456789abcdef-s0"}
        assert sorted(path.stem for path in (root / BACKUP / "runs").iterdir()) == sorted(NAMES[:3])
        assert (root / BACKUP / "mlflow.db").exists()
        assert len(list((root / "weights").iterdir())) == 2
        if not killed:
            break
    assert survived > 10, "so many changes does it make at least"


def test_a_run_that_cannot_be_migrated_is_told_and_kept(tmp_path: Path, result_of: Callable[..., RunResult]) -> None:
    known = KNOWN[0]
    spoilt = known | {"former": known["former"] | {"epochs": 0}}
    write_row(tmp_path, former_row(spoilt, result_of(from_dict(known["present"]))))
    done = migrate(tmp_path, nowhere)
    assert done.runs == {}
    assert list(done.refused) == [known["former_run_id"]]
    assert done.refused[known["former_run_id"]].startswith("epochs = 0 ")
    assert (tmp_path / BACKUP / "runs" / f"{known['former_run_id']}.parquet").exists()
    assert Ledger(tmp_path).read() == {}


def test_remote_storage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "origin").write_text("s3://bucket/prefix")
    with pytest.raises(BadInputError, match="is remote: migrate a copy of it on a disk"):
        migrate(tmp_path, nowhere)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no rows of the former version lie beside the checkout")
def test_rows_that_the_former_version_recorded(tmp_path: Path) -> None:
    shutil.copytree(SHARED, tmp_path / RUNS)
    rows = {path.stem: pq.read_table(path).to_pylist()[0] for path in SHARED.glob("*.parquet")}
    done = migrate(tmp_path, nowhere)
    found = Ledger(tmp_path).read()
    assert set(done.runs) == set(rows)
    assert not done.refused
    for former_id, row in rows.items():
        result = found[done.runs[former_id]]
        assert result.test_accuracy == row["test_accuracy"]
        assert [point.train_loss for point in result.curve] == [point["train_loss"] for point in row["curve"]]
        assert result.config.seed == row["seed"]
        assert result.config.epochs == row["epochs"]
