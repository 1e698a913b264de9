"""The ledger: every run ever tried, in Parquet. It is authoritative; MLflow and the reports are views of it.

There is one small file per run, moved into place atomically, so that a crash loses at most the run it interrupts.
Reading keeps one row per run, so that the same run in several files, which a crash during compaction may leave, does no
harm. Writers and compaction exclude each other by a lock file; readers need no lock and no write permission.

Object storage has neither renames nor locks. There a file's name ends in a digest of its content, so that two writers
of one run do not overwrite each other; readers choose between their rows as between two attempts, and compaction
deletes only the files it has read.
"""

import hashlib
import secrets
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crossarch.platform.errors import OtherVersionError
from crossarch.platform.store.invocations import (
    INVOCATION_SCHEMA,
    INVOCATION_SCHEMA_VERSION,
    Invocation,
    invocation_from_row,
    invocation_to_row,
)
from crossarch.platform.store.parquet import read_tables, remove_temporaries, writing
from crossarch.platform.store.schema import EXACT_COLUMNS, SCHEMA, SCHEMA_VERSION, from_row, to_row
from crossarch.platform.store.storage import copy_of
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.files import locked

RUNS, INVOCATIONS = "ledger/runs/", "ledger/invocations/"
COMPACT = "compact-"
_ATTEMPTS = 5
"""Attempts to read: a reader starts over when files that it listed are gone because another process compacted them."""


class Ledger:
    """The ledger of a storage. `root` is the storage's folder, or the working copy of remote storage.

    Nothing is created before something is written. All methods raise OSError if the disk or the remote storage refuses
    or does not answer.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._copy = copy_of(root)
        self._runs = root / RUNS
        self._invocations = root / INVOCATIONS
        self._lock = root / "ledger" / ".lock"

    def write(self, result: RunResult) -> bool:
        """Records a run, durably.

        Returns False, and writes nothing, if the recorded attempt takes precedence: a result is never replaced by a
        failure, nor a newer attempt by an older one.
        """
        row = to_row(result)
        with locked(self._lock):
            elsewhere = self._runs.glob(f"{result.run_id}~*.parquet") if self._copy.origin else ()
            there = [path for path in (self._runs / f"{result.run_id}.parquet", *elsewhere) if path.exists()]
            known = [rank for _, table in read_tables(there, SCHEMA_VERSION, _RANKING) for rank in _ranks(table)]
            if known and max(known) > _rank(result.outcome, result.finished_at):
                return False
            table = pa.Table.from_struct_array(pa.array([row], pa.struct(list(SCHEMA))))
            self._copy.write(self._name(result.run_id, row), writing(table, SCHEMA_VERSION, brief=True))
        return True

    def read(self, run_ids: Collection[str] | None = None) -> dict[str, RunResult]:
        """The recorded runs by run id: all, or those of `run_ids` that are recorded.

        A run has the id it was recorded under, which differs from `RunResult.run_id` once METHOD_VERSION has risen. Of
        several attempts results precede failures, then the newest counts. A file that cannot be read is skipped with a
        warning. Raises OtherVersionError for a file of another schema version, or a configuration that this version
        does not accept.
        """
        return {row["run_id"]: self._result(row) for row in self._load(EXACT_COLUMNS, run_ids).to_pylist()}

    def _result(self, row: dict[str, Any]) -> RunResult:
        try:
            return from_row(row)
        except (ValueError, TypeError) as error:
            raise OtherVersionError(
                f"the run {row['run_id']} below {str(self.root)!r} is of another version of crossarch: {error}"
            ) from error

    def table(self) -> pa.Table:
        """All recorded runs, one row each, with all columns. Warns and raises as `read` does."""
        return self._load(None, None)

    def versions(self) -> dict[str, int]:
        """The METHOD_VERSION that each recorded run was trained under, by run id. Warns and raises as `read` does."""
        table = self._load([*_RANKING, "method_version"], None)
        return dict(zip(table["run_id"].to_pylist(), table["method_version"].to_pylist(), strict=True))

    def compact(self, above: int = 500) -> int:
        """Merges the run files into one if there are more than `above`. Returns how many files were merged.

        It may be killed at any point without losing or duplicating runs: the merged files are deleted only after the
        new one is in place.
        """
        self._copy.pull(RUNS)
        if not self._runs.exists():
            return 0
        self.clean_temporaries()
        with locked(self._lock):
            files = self._files()
            if len(files) <= above:
                return 0
            readable = dict(read_tables(files, SCHEMA_VERSION))
            if not readable:
                return 0
            name = f"{COMPACT}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}.parquet"
            merged = _one_row_a_run(list(readable.values()))
            self._copy.write(RUNS + name, writing(merged, SCHEMA_VERSION))
            for path in readable:
                self._copy.drop(RUNS + path.name)
        return len(readable)

    def clean_temporaries(self) -> None:
        """Removes the temporary files that killed writers left."""
        if self._lock.parent.exists():
            with locked(self._lock):
                remove_temporaries(self._runs)
                remove_temporaries(self._invocations)

    def write_invocation(self, invocation: Invocation) -> None:
        """Records an invocation, the start of a study, durably."""
        table = pa.Table.from_pylist([invocation_to_row(invocation)], schema=INVOCATION_SCHEMA)
        with locked(self._lock):
            self._copy.write(f"{INVOCATIONS}{invocation.id}.parquet", writing(table, INVOCATION_SCHEMA_VERSION))

    def invocations(self, study: str | None = None) -> list[Invocation]:
        """The recorded invocations of all studies, or of one, oldest first. Warns and raises as `read` does."""
        self._copy.pull(INVOCATIONS)
        files = sorted(self._invocations.glob("*.parquet"))
        rows = (row for _, table in read_tables(files, INVOCATION_SCHEMA_VERSION) for row in table.to_pylist())
        found = [invocation_from_row(row) for row in rows if study in (None, row["study"])]
        return sorted(found, key=lambda invocation: invocation.id)

    def _name(self, run_id: str, row: dict[str, Any]) -> str:
        """The name of a row's file; in remote storage with a digest of the row."""
        if not self._copy.origin:
            return f"{RUNS}{run_id}.parquet"
        digest = hashlib.sha256(repr(sorted(row.items())).encode()).hexdigest()[:16]
        return f"{RUNS}{run_id}~{digest}.parquet"

    def _files(self) -> list[Path]:
        return sorted(self._runs.glob("*.parquet"))

    def _load(self, columns: list[str] | None, run_ids: Collection[str] | None) -> pa.Table:
        wanted = None if run_ids is None else set(run_ids)
        self._copy.pull(RUNS)
        for attempt in range(1, _ATTEMPTS + 1):
            files = [
                path
                for path in self._files()
                if wanted is None or _run_of(path) in wanted or path.name.startswith(COMPACT)
            ]
            try:
                tables = [table for _, table in read_tables(files, SCHEMA_VERSION, columns)]
            except FileNotFoundError:
                if attempt == _ATTEMPTS:
                    raise
                continue
            break
        table = _one_row_a_run(tables, columns)
        if wanted is None:
            return table
        return table.filter(pc.is_in(table["run_id"], pa.array(sorted(wanted), pa.string())))


_RANKING = ["run_id", "outcome", "finished_at"]


def _run_of(path: Path) -> str:
    """The run id in the name of a file, unless that is a compacted one."""
    return path.stem.partition("~")[0]


def _rank(outcome: str, finished_at: str) -> tuple[bool, str]:
    """The order of two attempts at one run: the larger takes precedence. Results before failures, then the newer."""
    return outcome in ("finished", "diverged"), finished_at


def _ranks(table: pa.Table) -> list[tuple[bool, str]]:
    return [_rank(*row) for row in zip(table["outcome"].to_pylist(), table["finished_at"].to_pylist(), strict=True)]


def _one_row_a_run(tables: list[pa.Table], columns: list[str] | None = None) -> pa.Table:
    """The attempt of each run that takes precedence, under SCHEMA's columns or `columns`, and any newer ones."""
    wanted = SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])
    unmarked = [table.replace_schema_metadata(None) for table in tables]
    table = pa.concat_tables([wanted.empty_table(), *unmarked], promote_options="default")
    best: dict[str, tuple[tuple[bool, str], int]] = {}
    for index, (run_id, rank) in enumerate(zip(table["run_id"].to_pylist(), _ranks(table), strict=True)):
        if run_id not in best or rank > best[run_id][0]:
            best[run_id] = (rank, index)
    return table.take(pa.array([index for _, index in best.values()], pa.int64()))
