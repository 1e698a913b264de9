"""One run as one Arrow row: columns for whoever queries, JSON for whoever must have the run back exactly.

Settings and environment are there twice: as typed columns (`keep_rate.minimum`, `environment.device`) to filter and
group by, and as JSON from which the run is rebuilt to the last bit, its teacher's recipe included. Columns follow the
dataclasses: a new setting is a new column, null in the rows of files that are older than it.
"""

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa

from crossarch.trainables import environment
from crossarch.trainables.config.identity import METHOD_VERSION, run_id
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.config.run import RunConfig, Settings, flatten, from_dict

SCHEMA_VERSION = 2
"""Raised when a setting or column is renamed, removed or changes its type; adding one leaves it."""

_ARROW_TYPES: dict[Any, pa.DataType] = {float: pa.float64(), int: pa.int64(), str: pa.string(), bool: pa.bool_()}


def arrow_type(annotation: Any) -> pa.DataType:
    """The Arrow type of an annotation: a scalar or words, a tuple of these, or either or None. Raises KeyError else."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = (kind for kind in typing.get_args(annotation) if kind is not types.NoneType)
    if typing.get_origin(annotation) is tuple:
        return pa.list_(arrow_type(typing.get_args(annotation)[0]))
    if typing.get_origin(annotation) is typing.Literal:
        return pa.string()
    return _ARROW_TYPES[annotation]


def columns(part: type, but: Collection[str] = ()) -> list[pa.Field]:
    """A column for each field of a dataclass, in its order, `but` some."""
    annotations = typing.get_type_hints(part)
    return [
        pa.field(each.name, arrow_type(annotations[each.name]))
        for each in dataclasses.fields(part)
        if each.name not in but
    ]


def setting_fields(part: type[Settings] = RunConfig, prefix: str = "") -> Iterator[pa.Field]:
    """A column for each leaf setting, by the names and in the order of `config.flatten`; teachers have none."""
    annotations = typing.get_type_hints(part)
    for field in dataclasses.fields(part):
        kinds = typing.get_args(annotations[field.name]) or (annotations[field.name],)
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)), None)
        if inner is None:
            yield pa.field(f"{prefix}{field.name}", arrow_type(annotations[field.name]))
        elif inner is not RunConfig:
            yield from setting_fields(inner, f"{prefix}{field.name}.")


CURVE = pa.list_(pa.struct(columns(Point)))

_RESULT = columns(RunResult, but=("config", "curve", "environment"))
"""What a row and a `RunResult` both hold, under one name and as it is."""

SCHEMA = pa.schema(
    [
        pa.field("run_id", pa.string()),
        pa.field("config_hash", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("method_version", pa.int64()),
        *_RESULT,
        pa.field("teacher_run_id", pa.string()),
        *(field for field in setting_fields() if field.name != "seed"),
        *(pa.field(f"environment.{key}", pa.string()) for key in environment.KEYS),
        pa.field("environment", pa.string()),
        pa.field("config", pa.string()),
        pa.field("curve", CURVE),
    ]
)
"""One run. Accuracies are in %, losses in nats, times in seconds, instants in ISO 8601 UTC."""

EXACT_COLUMNS = ["run_id", *(field.name for field in _RESULT), "environment", "config", "curve"]
"""The columns that `from_row` needs."""


def to_row(result: RunResult) -> dict[str, Any]:
    """The values of SCHEMA's columns for one run; None where a part is absent."""
    name = result.run_id
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in flatten(result.config)}
    return {
        **dict.fromkeys(SCHEMA.names),
        **settings,
        **{f"environment.{key}": str(value) for key, value in result.environment.items() if key in environment.KEYS},
        **{field.name: getattr(result, field.name) for field in _RESULT},
        "run_id": name,
        "config_hash": name.rpartition("-s")[0],
        "method_version": METHOD_VERSION,
        "teacher_run_id": run_id(result.config.kd.teacher) if result.config.kd else None,
        "environment": json.dumps(dict(result.environment)),
        "config": json.dumps(result.config.to_dict()),
        "curve": [dataclasses.asdict(point) for point in result.curve],
    }


def from_row(row: Mapping[str, Any]) -> RunResult:
    """The run that `to_row` made the row of, exactly; what an older row lacks has its default.

    Raises ValueError where the row's configuration is no longer allowed.
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
