"""Small Parquet files that are there whole or not at all, and that say which schema they follow."""

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
"""Threads: opening many small files waits for the disk and for the footer's parser, which lets go of the GIL."""


def writing(table: pa.Table, version: int, *, brief: bool = False) -> Callable[[Path], None]:
    """Writes a file of `table`, marked with the schema's version; for `write_atomically` and its like.

    A `brief` one has no dictionaries and statistics of its columns, which for a row or two cost more than they save.
    """
    marked = table.replace_schema_metadata({_VERSION_KEY: str(version).encode()})
    return lambda path: pq.write_table(marked, path, use_dictionary=not brief, write_statistics=not brief)


def write_table(path: Path, table: pa.Table, version: int) -> None:
    """One file of `table`, moved into place atomically and durably. Raises OSError where the disk refuses."""
    write_atomically(path, writing(table, version))


def read_tables(
    paths: Sequence[Path], version: int, columns: Collection[str] | None = None
) -> Iterator[tuple[Path, pa.Table]]:
    """The files of `paths` that can be read, with their rows; a broken one is warned of and left out.

    Raises OtherVersionError for a file of another schema version, and FileNotFoundError or PermissionError for one that
    is not there or not ours to read.
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
            found = (schema.metadata or {}).get(_VERSION_KEY, b"none").decode()
            if found == str(version):
                names = [name for name in schema.names if columns is None or name in columns]
                return file.read(columns=names, use_threads=False).select(names)
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as error:
        return str(error).partition("\n")[0]
    raise OtherVersionError(f"{path} has schema version {found}, but this version of crossarch reads {version}")


def remove_temporaries(folder: Path) -> None:
    """Removes what killed writers left behind. The caller holds the lock that writers hold."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)
