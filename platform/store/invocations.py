"""Records of invocations: each start of a study, with its time, command, environment and runs."""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from crossarch.platform.store.schema import columns
from crossarch.search_spaces.study import PlannedRun, Study, each_once

INVOCATION_SCHEMA_VERSION = 2
"""Incremented when a column is renamed, removed or changes its type; not when one is added."""

Coordinates = Mapping[str, str]
"""The ids of a run's arm and of its choice on each axis, as `PlannedRun.coordinates`."""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One start of a study, and all runs it needed, whether it trained them or they were recorded already."""

    id: str
    """From `invocation_id`: sorts by time."""
    study: str
    question: str = ""
    """What the study asks."""
    started_at: str
    """ISO 8601 UTC."""
    command: str
    environment: Mapping[str, Any] = field(default_factory=dict)
    cells: Mapping[str, Coordinates]
    """The runs whose accuracies are part of the study's table, by run id."""
    teachers: Mapping[str, Coordinates] = field(default_factory=dict)
    """The runs that were needed only because others learn from them, by run id."""
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By coordinate, what people read in place of an id, where that is not the id itself."""

    @property
    def runs(self) -> dict[str, Coordinates]:
        """Cells, then teachers."""
        return {**self.cells, **self.teachers}

    def names(self, run_id: str) -> dict[str, str]:
        """The labels of a run's coordinates. Raises KeyError for a run that the invocation did not need."""
        return {name: self.labels.get(name, {}).get(value, value) for name, value in self.runs[run_id].items()}


def runs_of(invocations: Iterable[Invocation]) -> set[str]:
    """The ids of all runs that the invocations needed."""
    return {name for invocation in invocations for name in invocation.runs}


_COORDINATES = pa.list_(pa.struct({"run_id": pa.string(), "coordinates": pa.map_(pa.string(), pa.string())}))

INVOCATION_SCHEMA = pa.schema(
    [
        *columns(Invocation, but=("environment", "cells", "teachers", "labels")),
        pa.field("environment", pa.string()),
        pa.field("cells", _COORDINATES),
        pa.field("teachers", _COORDINATES),
        pa.field("labels", pa.string()),
    ]
)
"""`environment` and `labels` are JSON."""


def invocation_id(instant: datetime) -> str:
    """A new id that sorts by time: the instant in UTC to the microsecond, and six random hexadecimal digits."""
    return f"{instant.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}"


def begin(study: Study, runs: Iterable[PlannedRun], command: str) -> Invocation:
    """An invocation of the study that starts now, under a new id, and needs `runs` and their teachers."""
    now = datetime.now(UTC)
    return Invocation(
        id=invocation_id(now),
        study=study.name,
        question=study.question,
        started_at=now.isoformat(),
        command=command,
        **needed(study, runs),
    )


def needed(study: Study, runs: Iterable[PlannedRun]) -> dict[str, Any]:
    """The fields `cells`, `teachers` and `labels` of an invocation of the study that needs `runs`."""
    cells, teachers = each_once(runs)
    labels: dict[str, dict[str, str]] = {}
    for run in (*cells.values(), *teachers.values()):
        for name, value in run.coordinates.items():
            label = study.label(name, value)
            if label != value:
                labels.setdefault(name, {})[value] = label
    return {
        "cells": {name: run.coordinates for name, run in cells.items()},
        "teachers": {name: run.coordinates for name, run in teachers.items()},
        "labels": labels,
    }


def invocation_to_row(invocation: Invocation) -> dict[str, Any]:
    """The values of INVOCATION_SCHEMA's columns."""
    return {
        **vars(invocation),
        "environment": json.dumps(dict(invocation.environment)),
        "cells": _to_list(invocation.cells),
        "teachers": _to_list(invocation.teachers),
        "labels": json.dumps({name: dict(labels) for name, labels in invocation.labels.items()}),
    }


def _to_list(runs: Mapping[str, Coordinates]) -> list[dict[str, Any]]:
    return [{"run_id": name, "coordinates": list(coordinates.items())} for name, coordinates in runs.items()]


def invocation_from_row(row: Mapping[str, Any]) -> Invocation:
    """The inverse of `invocation_to_row`."""
    runs = {name: {each["run_id"]: dict(each["coordinates"]) for each in row[name]} for name in ("cells", "teachers")}
    texts = {name: json.loads(row[name]) for name in ("environment", "labels")}
    return Invocation(**{**row, **texts, **runs})
