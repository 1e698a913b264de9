"""One start of a study: when, by which command, where, and which runs it was about."""

import dataclasses
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa

from crossarch.platform.store.schema import columns

INVOCATION_SCHEMA_VERSION = 1

Role = Literal["cell", "teacher"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A run's place in a study. A run may have several, in one study and in many."""

    run_id: str
    arm: str
    cell: tuple[str, ...]
    """The label of each axis' choice, in the order of the axes."""
    role: Role = "cell"
    """`cell`: a number of the study's table. `teacher`: trained because a member learns from it."""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One start of a study, and all the runs it needed, whether trained by it or there already."""

    id: str
    """Sorts by time."""
    study: str
    question: str = ""
    """What the study asks."""
    started_at: str
    """ISO 8601 UTC."""
    command: str
    environment: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[Member, ...]


INVOCATION_SCHEMA = pa.schema(
    [
        *columns(Invocation, but=("environment", "members")),
        pa.field("environment", pa.string()),
        pa.field("members", pa.list_(pa.struct(columns(Member)))),
    ]
)


def invocation_id(instant: datetime) -> str:
    """A new name that sorts by time: the instant in UTC to the microsecond, and random digits."""
    return f"{instant.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}"


def begin(*, study: str, question: str = "", command: str, members: tuple[Member, ...]) -> Invocation:
    """An invocation that starts now, under a new id."""
    now = datetime.now(UTC)
    return Invocation(
        id=invocation_id(now),
        study=study,
        question=question,
        started_at=now.isoformat(),
        command=command,
        members=members,
    )


def invocation_to_row(invocation: Invocation) -> dict[str, Any]:
    """The values of INVOCATION_SCHEMA's columns."""
    return {**dataclasses.asdict(invocation), "environment": json.dumps(dict(invocation.environment))}


def invocation_from_row(row: Mapping[str, Any]) -> Invocation:
    """The inverse of `invocation_to_row`."""
    members = tuple(Member(**{**member, "cell": tuple(member["cell"])}) for member in row["members"])
    return Invocation(**{**row, "environment": json.loads(row["environment"]), "members": members})
