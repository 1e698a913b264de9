"""The ledger's schema: one run as one Arrow row, with typed columns for queries and JSON for exact reconstruction.

Settings and environment are stored twice, on purpose: as typed columns (`keep_rate.minimum`, `environment.device`) that
pandas and DuckDB filter and group by, and as the JSON texts `config` and `environment`, from which the run is rebuilt
to the last bit, its teacher's recipe included. The columns of settings follow the configuration's schema: a new setting
is a new column, which is null in the rows of older files.
"""

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from crossarch.trainables import environment
from crossarch.trainables.config.identity import METHOD_VERSION, run_id
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.config.run import RunConfig, flatten, from_dict, setting_fields

SCHEMA_VERSION = 3
"""Incremented when a setting or column is renamed, removed or changes its type; not when one is added."""

_ARROW_TYPES: dict[Any, pa.DataType] = {float: pa.float64(), int: pa.int64(), str: pa.string(), bool: pa.bool_()}


def arrow_type(annotation: Any) -> pa.DataType:
    """The Arrow type of an annotation: a scalar, a Literal of strings, a tuple of these, or one of these or None.

    Raises KeyError for any other annotation.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return arrow_type(arguments[0])
    if origin in (types.UnionType, typing.Union):
        (annotation,) = (kind for kind in arguments if kind is not types.NoneType)
        return arrow_type(annotation)
    if origin is tuple:
        return pa.list_(arrow_type(arguments[0]))
    if origin is typing.Literal:
        return pa.string()
    return _ARROW_TYPES[annotation]


def columns(part: type, but: Collection[str] = ()) -> list[pa.Field]:
    """A column for each field of a dataclass, in its order, except the fields `but`."""
    annotations = typing.get_type_hints(part)
    return [
        pa.field(each.name, arrow_type(annotations[each.name]))
        for each in dataclasses.fields(part)
        if each.name not in but
    ]


def setting_columns() -> list[pa.Field]:
    """A column for each setting by its dotted name; forms of a union share those of one name."""
    types_of = {name: arrow_type(field.annotation) for name, field in setting_fields() if name != "seed"}
    return [pa.field(name, type_) for name, type_ in types_of.items()]


CURVE = pa.list_(pa.struct(columns(Point)))

_RESULT = columns(RunResult, but=("config", "curve", "environment"))
"""Fields of `RunResult` that a row holds unchanged, under the same name."""

SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string()),
        pa.field("config_hash", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("method_version", pa.int64()),
        *_RESULT,
        pa.field("teacher_run_id", pa.string()),
        *setting_columns(),
        *(pa.field(f"environment.{key}", pa.string()) for key in environment.KEYS),
        pa.field("environment", pa.string()),
        pa.field("config", pa.string()),
        pa.field("curve", CURVE),
    ]
)
"""One run. Accuracies are in %, losses in nats, times in seconds, instants in ISO 8601 UTC."""

EXACT_COLUMNS = ["run_id", *(field.name for field in _RESULT), "environment", "config", "curve"]
"""The columns that `from_row` needs."""


def to_row(result: RunResult, method_version: int = METHOD_VERSION) -> dict[str, Any]:
    """The values of SCHEMA's columns for one run; None where a part is absent.

    `method_version` is the METHOD_VERSION that the run was trained under.
    """
    name = run_id(result.config, method_version)
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in flatten(result.config)}
    return {
        **dict.fromkeys(SCHEMA.names),
        **settings,
        **{f"environment.{key}": str(value) for key, value in result.environment.items() if key in environment.KEYS},
        **{field.name: getattr(result, field.name) for field in _RESULT},
        "run_id": name,
        "config_hash": name.rpartition("-s")[0],
        "method_version": method_version,
        "teacher_run_id": run_id(result.config.kd.teacher, method_version) if result.config.kd else None,
        "environment": json.dumps(dict(result.environment)),
        "config": json.dumps(result.config.to_dict()),
        "curve": [dataclasses.asdict(point) for point in result.curve],
    }


def from_row(row: Mapping[str, Any]) -> RunResult:
    """The inverse of `to_row`, exact. Fields that an older row lacks have their defaults.

    Raises ValueError if the row's configuration is no longer valid.
    """
    return RunResult(
        config=_config(row["config"]),
        environment=json.loads(row["environment"]),
        curve=tuple(Point(**_present(point)) for point in row["curve"]),
        **_present({field.name: row.get(field.name) for field in _RESULT}),
    )


@functools.lru_cache(maxsize=16384)
def _config(text: str) -> RunConfig:
    return from_dict(json.loads(text))


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
