"""Ledgers of older and newer versions of crossarch: refused by name, or read with what they lack at its default."""

import dataclasses
import json

import pyarrow.parquet as pq
import pytest

from crossarch.platform.errors import OtherVersionError
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.parquet import write_table
from crossarch.platform.store.schema import SCHEMA_VERSION
from crossarch.trainables.config.identity import METHOD_VERSION


@pytest.fixture
def recorded(configs, result_of, tmp_path):
    """A ledger of one run, and its file."""
    result = result_of(configs[0])
    Ledger(tmp_path).write(result)
    return Ledger(tmp_path), tmp_path / "ledger" / "runs" / f"{result.run_id}.parquet"


def rewrite(file, change, version=SCHEMA_VERSION):
    """The file with `change` made to its table, as another version would have written it."""
    write_table(file, change(pq.read_table(file)), version)


@pytest.mark.parametrize(
    ("version", "hint"), [(SCHEMA_VERSION - 1, ": `crossarch ledger migrate`"), (SCHEMA_VERSION + 1, "")]
)
@pytest.mark.parametrize("read", [Ledger.read, Ledger.table, Ledger.versions])
def test_another_schema_is_refused_by_name(recorded, version, hint, read):
    """With what brings an older one up to date."""
    ledger, file = recorded
    rewrite(file, lambda table: table, version)
    told = f"{file.name} has schema version {version}, but this version of crossarch reads {SCHEMA_VERSION}{hint}$"
    with pytest.raises(OtherVersionError, match=told):
        read(ledger)


def test_a_setting_of_the_future_is_refused_by_the_runs_name(recorded):
    """Schemas stay the same where a setting is added, so that the configuration tells."""
    ledger, file = recorded
    (name,) = ledger.read()

    def with_aeons(table):
        config = json.dumps({**json.loads(table["config"][0].as_py()), "aeons": 3})
        place = table.schema.get_field_index("config")
        return table.set_column(place, "config", [[config]])

    rewrite(file, with_aeons)
    with pytest.raises(OtherVersionError, match=f"^the run {name} below .* of another version .*: aeons is unknown"):
        ledger.read()


def test_what_an_older_file_lacks_is_no_obstacle(recorded):
    ledger, file = recorded
    (before,) = ledger.read().values()
    rewrite(file, lambda table: table.drop_columns(["validation_accuracy", "precision", "environment.cuda"]))
    (after,) = ledger.read().values()
    assert after == dataclasses.replace(before, validation_accuracy=None)
    assert ledger.table()["precision"].to_pylist() == [None]


def test_every_run_tells_its_method_version(recorded):
    ledger, _ = recorded
    assert ledger.versions() == dict.fromkeys(ledger.read(), METHOD_VERSION)
    assert Ledger(ledger.root / "nowhere").versions() == {}
