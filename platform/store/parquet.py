"""Small Parquet files, written atomically and marked with the version of their schema."""

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crossarch.platform.errors import OtherVersionError
from crossarch.trainables.files import TEMPORARY_SUFFIX, write_atomically

_VERSION_KEY = b"crossarch.schema"
_READERS = 4
"""Threads: opening many small files waits for the disk and for the parser of footers, which releases the GIL."""


def writing(table: pa.Table, version: int, *, brief: bool = False) -> Callable[[Path], None]:
    """A function, for `write_atomically` and the like, that writes `table` to a file, marked with the schema's version.

    If `brief`, without dictionaries and statistics of columns, which cost more than they save for a row or two.
    """
    marked = table.replace_schema_metadata({_VERSION_KEY: str(version).encode()})
    return lambda path: pq.write_table(marked, path, use_dictionary=not brief, write_statistics=not brief)


def write_table(path: Path, table: pa.Table, version: int) -> None:
    """One file of `table`, moved into place atomically and durably. Raises OSError where the disk refuses."""
    write_atomically(path, writing(table, version))


def read_tables(
    paths: Sequence[Path], version: int, columns: Collection[str] | None = None
) -> Iterator[tuple[Path, pa.Table]]:
    """The files of `paths` with their rows, in the same order. A broken file is left out with a warning.

    `columns` restricts which columns are read; None reads all. Raises OtherVersionError for a file of another schema
    version, FileNotFoundError for one that is missing, and PermissionError for one that may not be read.
    """
    with ThreadPoolExecutor(_READERS) as readers:
        for path, table in zip(paths, readers.map(lambda path: _read(path, version, columns), paths), strict=True):
            if isinstance(table, pa.Table):
                yield path, table
            else:
                warnings.warn(f"{path} cannot be read and is left out: {table}", stacklevel=2)


def _read(path: Path, version: int, columns: Collection[str] | None) -> pa.Table | str:
    try:
        with pq.ParquetFile(pa.BufferReader(path.read_bytes()), pre_buffer=False) as file:
            schema = file.schema_arrow
            found = _version(schema)
            if found == str(version):
                names = [name for name in schema.names if columns is None or name in columns]
                return file.read(columns=names, use_threads=False).select(names)
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as error:
        return str(error).partition("\n")[0]
    hint = ": `crossarch ledger migrate`" if found.isdigit() and int(found) < version else ""
    raise OtherVersionError(f"{path} has schema version {found}, but this version of crossarch reads {version}{hint}")


def version_of(path: Path) -> str | None:
    """The schema version that a file is marked with, "none" where it has no mark; None for a broken file."""
    try:
        return _version(pq.read_schema(path))
    except pa.ArrowException:
        return None


def _version(schema: pa.Schema) -> str:
    return str((schema.metadata or {}).get(_VERSION_KEY, b"none").decode())


def remove_temporaries(folder: Path) -> None:
    """Removes what killed writers left behind. The caller holds the lock that writers hold."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)
