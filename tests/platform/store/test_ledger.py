import dataclasses
import os
import time
import warnings

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossarch.platform.store import ledger as ledger_module
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.parquet import write_table
from crossarch.platform.store.schema import SCHEMA, SCHEMA_VERSION, to_row
from crossarch.trainables.config.result import Point

EARLY, LATE = "2026-11-21T08:00:00+00:00", "2026-11-21T09:00:00+00:00"


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


def run_files(ledger):
    return sorted((ledger.root / "ledger" / "runs").glob("*.parquet"))


def test_nothing_is_created_before_something_is_written(ledger, tmp_path):
    assert ledger.read() == {}
    assert ledger.read(["x"]) == {}
    assert ledger.table().num_rows == 0
    assert ledger.invocations() == []
    assert ledger.compact() == 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_read(ledger, configs, result_of, by_id):
    results = [result_of(config) for config in configs]
    assert all(ledger.write(result) for result in results)
    assert ledger.read() == by_id(*results)
    assert ledger.read([results[3].run_id, "unknown"]) == by_id(results[3])
    assert ledger.read([]) == {}


def test_the_table_has_one_row_a_run_under_declared_columns(ledger, configs, result_of):
    for config in configs:
        ledger.write(result_of(config))
    table = ledger.table()
    assert table.schema.equals(SCHEMA)
    assert table.num_rows == len(configs)
    frame = table.to_pandas().set_index("run_id")
    assert frame.groupby("model.architecture")["test_accuracy"].count().to_dict() == {"convnet": 3, "resnet18": 6}
    assert set(frame["environment.cpu"]) == {"Made-up 9000"}


@pytest.mark.parametrize("failure", ["failed", "blocked", "stopped"])
def test_a_later_failure_never_displaces_a_result(ledger, configs, result_of, failure):
    finished = result_of(configs[0], at=EARLY)
    assert ledger.write(finished)
    assert not ledger.write(result_of(configs[0], at=LATE, outcome=failure, error="no GPU"))
    assert ledger.read() == {finished.run_id: finished}


def test_precedence_holds_between_files_too(ledger, configs, result_of):
    diverged = result_of(configs[0], at=EARLY, outcome="diverged", error="nan")
    ledger.write(diverged)
    ledger.compact(above=0)
    ledger.write(result_of(configs[0], at=LATE, outcome="failed", error="no GPU"))
    assert len(run_files(ledger)) == 2
    assert ledger.read() == ledger.read([diverged.run_id]) == {diverged.run_id: diverged}
    assert ledger.table()["outcome"].to_pylist() == ["diverged"]


def test_the_newest_attempt_of_equal_standing_counts(ledger, configs, result_of):
    ledger.write(result_of(configs[0], at=LATE, test_accuracy=2.0))
    assert not ledger.write(result_of(configs[0], at=EARLY, test_accuracy=1.0))
    ledger.write(result_of(configs[1], at=EARLY, outcome="failed", error="first"))
    ledger.write(result_of(configs[1], at=LATE, outcome="failed", error="second"))
    first, second = (ledger.read()[result_of(config).run_id] for config in configs[:2])
    assert first.test_accuracy == 2.0
    assert second.error == "second"


def test_a_result_displaces_an_earlier_failure(ledger, configs, result_of):
    ledger.write(result_of(configs[0], at=LATE, outcome="failed", error="no GPU"))
    finished = result_of(configs[0], at=EARLY)
    assert ledger.write(finished)
    assert ledger.read() == {finished.run_id: finished}


def test_killed_before_the_file_is_in_place_the_old_state_stands(ledger, configs, result_of, monkeypatch):
    old = result_of(configs[0], at=EARLY, test_accuracy=1.0)
    ledger.write(old)

    def killed(*_):
        raise OSError("killed")

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(OSError, match="killed"):
        ledger.write(result_of(configs[0], at=LATE, test_accuracy=2.0))
    assert ledger.read() == {old.run_id: old}


def test_leftover_temporary_files_are_ignored_and_cleaned(ledger, configs, result_of):
    result = result_of(configs[0])
    ledger.write(result)
    left = run_files(ledger)[0].with_name(f".{result.run_id}.parquet.abc.partial")
    left.write_bytes(b"PAR1 half a fi")
    assert ledger.read() == {result.run_id: result}
    ledger.clean_temporaries()
    assert not left.exists()
    assert ledger.read() == {result.run_id: result}


def test_compaction_leaves_one_file_with_every_run(ledger, configs, result_of, by_id):
    results = [result_of(config) for config in configs]
    for result in results:
        ledger.write(result)
    assert ledger.compact(above=len(results)) == 0
    assert ledger.compact(above=len(results) - 1) == len(results)
    assert len(run_files(ledger)) == 1
    assert ledger.read() == by_id(*results)
    assert ledger.read([results[2].run_id]) == by_id(results[2])
    newer = result_of(configs[0], at=LATE, test_accuracy=3.0)
    ledger.write(newer)
    ledger.compact(above=1)
    assert len(run_files(ledger)) == 1
    assert ledger.read() == by_id(*results, newer)


def test_a_crash_between_merge_and_delete_loses_and_doubles_nothing(ledger, configs, result_of, by_id, monkeypatch):
    results = [result_of(config) for config in configs]
    for result in results:
        ledger.write(result)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(ledger.root), "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            ledger.compact(above=1)
    assert len(run_files(ledger)) == len(results) + 1
    assert ledger.read() == by_id(*results)
    assert ledger.table().num_rows == len(results)
    ledger.compact(above=1)
    assert len(run_files(ledger)) == 1
    assert ledger.read() == by_id(*results)


def test_a_reader_follows_a_compaction_that_overtakes_it(ledger, configs, result_of, by_id, monkeypatch):
    results = [result_of(config) for config in configs]
    for result in results:
        ledger.write(result)
    read_tables, other = ledger_module.read_tables, Ledger(ledger.root)

    def overtaken(*arguments):
        monkeypatch.setattr(ledger_module, "read_tables", read_tables)
        other.compact(above=1)
        return read_tables(*arguments)

    monkeypatch.setattr(ledger_module, "read_tables", overtaken)
    assert ledger.read() == by_id(*results)


@pytest.mark.parametrize("length", [0, 10, -100])
def test_a_truncated_file_is_skipped_with_a_warning(ledger, configs, result_of, by_id, length):
    kept, lost = result_of(configs[0]), result_of(configs[1])
    ledger.write(kept)
    ledger.write(lost)
    path = ledger.root / "ledger" / "runs" / f"{lost.run_id}.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    with pytest.warns(UserWarning, match=f"{lost.run_id}.parquet cannot be read"):
        assert ledger.read() == by_id(kept)
    with pytest.warns(UserWarning, match="cannot be read"):
        ledger.compact(above=1)
    assert path.exists(), "compaction keeps what it could not read"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ledger.write(lost)
    assert ledger.read() == by_id(kept, lost), "training it again heals the ledger"


def test_another_schema_version_is_refused_by_name(ledger, configs, result_of):
    result = result_of(configs[0])
    path = ledger.root / "ledger" / "runs" / f"{result.run_id}.parquet"
    write_table(path, pa.Table.from_pylist([to_row(result)], schema=SCHEMA), SCHEMA_VERSION + 1)
    message = f"{path.name} has schema version {SCHEMA_VERSION + 1}, but .* reads {SCHEMA_VERSION}"
    with pytest.raises(ValueError, match=message):
        ledger.read()
    pq.write_table(pa.table({"run_id": ["x"]}), path)
    with pytest.raises(ValueError, match=f"{path.name} has schema version none"):
        ledger.read()


def test_a_file_without_newer_columns_is_read(ledger, configs, result_of):
    old, new = result_of(configs[0]), result_of(configs[1])
    ledger.write(new)
    row = to_row(old)
    row["curve"] = [{"epoch": point["epoch"], "train_loss": point["train_loss"]} for point in row["curve"]]
    struct = pa.struct([("epoch", pa.int64()), ("train_loss", pa.float64())])
    missing = ("curve", "steps", "model.norm.kind", "weights_sha256")
    schema = pa.schema([*(field for field in SCHEMA if field.name not in missing)])
    table = pa.Table.from_pylist([row], schema=schema).append_column(
        "curve", pa.array([row["curve"]], pa.list_(struct))
    )
    write_table(ledger.root / "ledger" / "runs" / "old.parquet", table, SCHEMA_VERSION)
    rows = {row["run_id"]: row for row in ledger.table().to_pylist()}
    assert rows[old.run_id]["model.norm.kind"] is None
    assert rows[old.run_id]["curve"][0] == {
        **dict.fromkeys(rows[new.run_id]["curve"][0]),
        "epoch": old.curve[0].epoch,
        "train_loss": old.curve[0].train_loss,
    }
    assert rows[new.run_id]["model.norm.kind"] == "batch"
    ledger.compact(above=1)
    assert ledger.table().num_rows == 2


def test_a_missing_value_reads_as_its_default(ledger, configs, result_of):
    old = result_of(configs[0])
    schema = pa.schema([field for field in SCHEMA if field.name not in ("steps", "weights_sha256")])
    table = pa.Table.from_pylist([to_row(old)], schema=schema)
    write_table(ledger.root / "ledger" / "runs" / "old.parquet", table, SCHEMA_VERSION)
    assert ledger.read() == {old.run_id: dataclasses.replace(old, steps=0)}


def test_columns_of_a_newer_file_survive_compaction(ledger, configs, result_of):
    ledger.write(result_of(configs[0]))
    result = result_of(configs[1])
    table = pa.Table.from_pylist([to_row(result)], schema=SCHEMA).append_column("future", pa.array(["kept"]))
    write_table(ledger.root / "ledger" / "runs" / f"{result.run_id}.parquet", table, SCHEMA_VERSION)
    ledger.compact(above=1)
    assert sorted(ledger.table()["future"].to_pylist(), key=str) == [None, "kept"]
    assert ledger.read()[result.run_id] == result


def test_runs_are_known_by_the_id_they_were_recorded_under(ledger, configs, result_of, monkeypatch):
    result = result_of(configs[0])
    recorded = result.run_id
    ledger.write(result)
    monkeypatch.setattr("crossarch.trainables.config.identity.METHOD_VERSION", 99)
    assert result.run_id != recorded
    assert list(ledger.read()) == [recorded]


def test_reading_five_hundred_files_is_fast(ledger, configs, result_of):
    points = tuple(Point(epoch=n, train_loss=0.1, learning_rate=0.1, keep_rate=1.0) for n in range(1, 101))
    row = pa.Table.from_pylist([to_row(result_of(configs[-1], curve=points))], schema=SCHEMA)
    folder = ledger.root / "ledger" / "runs"
    folder.mkdir(parents=True)
    for index in range(500):
        table = row.set_column(0, "run_id", pa.array([f"{index:016x}-s0"]))
        marked = table.replace_schema_metadata({b"crossarch.schema": str(SCHEMA_VERSION).encode()})
        pq.write_table(marked, folder / f"{index:016x}-s0.parquet")
    wanted = [f"{index:016x}-s0" for index in range(400)]

    def seconds(read):
        started = time.process_time()
        read()
        return time.process_time() - started

    times = {
        "all": min(seconds(ledger.read) for _ in range(2)),
        "some": min(seconds(lambda: ledger.read(wanted)) for _ in range(2)),
        "table": min(seconds(ledger.table) for _ in range(2)),
    }
    assert max(times.values()) < 3, f"about 1 s of processor time, but {times}"
