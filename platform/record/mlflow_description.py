"""What MLflow shall show of a run and of an invocation, as plain values: pure, and without mlflow."""

import dataclasses
import hashlib
import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from crossarch.platform.record.invocations import Invocation, Member
from crossarch.trainables.config import RunConfig, flatten
from crossarch.trainables.identity import run_id
from crossarch.trainables.result import Point, RunResult

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

PREFIX = "crossarch."
RUN_ID = f"{PREFIX}run_id"
INVOCATION = f"{PREFIX}invocation"
ARM = "arm"
"""A parameter, as MLflow draws no tags as axes."""
_STATUS: dict[str, Status] = {
    "finished": "FINISHED",
    "diverged": "FAILED",
    "failed": "FAILED",
    "blocked": "KILLED",
    "stopped": "KILLED",
}
LAST = (
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "best_test_accuracy",
    "training_seconds",
    "device_seconds",
)
"""Metrics of a run that has ended, by the names of `RunResult`: what it came to, and at last what it cost."""
_TAG_LENGTH = 4000
"""Characters; servers take 5,000 or 8,000."""


class Measurement(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    step: int
    """Epochs done."""
    timestamp: int
    """Milliseconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """One run as MLflow shall show it, but for its parent."""

    name: str
    status: Status
    started: int
    """Milliseconds since 1970; 0 if unknown."""
    ended: int | None = None
    tags: Mapping[str, str]
    params: Mapping[str, str] = dataclasses.field(default_factory=dict)
    metrics: tuple[Measurement, ...] = ()

    @property
    def key(self) -> str:
        """The tag that finds it again: a run's id, or an invocation's."""
        return key_of(self.tags) or ""

    @property
    def digest(self) -> str:
        """Equal digests show the same."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()[:32]


def key_of(tags: Mapping[str, str]) -> str | None:
    """The run or invocation that has these tags; None where it is not ours."""
    return tags.get(RUN_ID) or tags.get(INVOCATION)


def owners(invocations: Iterable[Invocation]) -> dict[str, tuple[Invocation, Member]]:
    """The invocation that shows each run: the first that has it as a member, in a cell rather than as a teacher."""
    found: dict[str, tuple[Invocation, Member]] = {}
    for invocation in sorted(invocations, key=lambda invocation: invocation.id):
        for member in sorted(invocation.members, key=lambda member: member.role == "teacher"):
            found.setdefault(member.run_id, (invocation, member))
    return found


def describe(result: RunResult, member: Member, invocation: Invocation) -> Description:
    """A run that ended."""
    tags = _tags(result.config, result.environment, member, invocation)
    return Description(
        name=run_name(member),
        status=_STATUS[result.outcome],
        started=milliseconds(result.started_at),
        ended=milliseconds(result.finished_at),
        tags=_cut(tags | {"outcome": result.outcome, "error": result.error}),
        params=params(result.config, member),
        metrics=tuple(metrics(result)),
    )


def describe_running(
    config: RunConfig,
    environment: Mapping[str, Any],
    member: Member,
    invocation: Invocation,
    *,
    started: int,
) -> Description:
    """A run in training, without its curve. `started` is in milliseconds since 1970."""
    return Description(
        name=run_name(member),
        status="RUNNING",
        started=started,
        tags=_cut(_tags(config, environment, member, invocation)),
        params=params(config, member),
    )


def describe_invocation(
    invocation: Invocation,
    results: Mapping[str, RunResult],
    shown: Mapping[str, tuple[Invocation, Member]],
    *,
    running: bool = False,
) -> Description:
    """The parent of the runs that an invocation was the first to need; `shown` is from `owners`.

    FINISHED: all its members have results. FAILED: some failed. KILLED: some were never tried, or stopped early.
    """
    members = {member.run_id for member in invocation.members}
    outcomes = Counter(results[name].outcome if name in results else "missing" for name in members)
    counts = {outcome: outcomes[outcome] for outcome in (*_STATUS, "missing")}
    failed, killed = counts["failed"] + counts["blocked"], counts["stopped"]
    status: Status = "KILLED" if counts["missing"] else "FAILED" if failed else "KILLED" if killed else "FINISHED"
    ends = [results[name].finished_at for name in members if name in results]
    return Description(
        name=f"{invocation.started_at[:19].replace('T', ' ')} UTC",
        status="RUNNING" if running else status,
        started=milliseconds(invocation.started_at),
        ended=None if running else milliseconds(max([*ends, invocation.started_at])),
        tags=_cut(
            {
                "study": invocation.study,
                "invocation": invocation.id,
                "command": invocation.command,
                "hardware": hardware(invocation.environment),
                "commit": invocation.environment.get("commit"),
                "runs": len(members),
                "runs_under_earlier_invocations": sum(shown[name][0].id != invocation.id for name in members),
                **counts,
            }
        ),
    )


def run_name(member: Member) -> str:
    """`full · ResNet18 · seed 0`, `teacher · ConvNet · seed 0`."""
    return " · ".join((_kind(member), *member.cell, f"seed {member.run_id.rpartition('-s')[2]}"))


def _kind(member: Member) -> str:
    return "teacher" if member.role == "teacher" else member.arm


def params(config: RunConfig, member: Member) -> dict[str, str]:
    """The arm (or `teacher`), the settings by dotted name, and the teacher's run id."""
    settings = {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value) for name, value in flatten(config)
    }
    return {ARM: _kind(member)} | settings | ({"kd.teacher": run_id(config.kd.teacher)} if config.kd else {})


def metrics(result: RunResult) -> list[Measurement]:
    """The curve over epochs and, where the run has a result, its last numbers at the last epoch.

    Of one that was stopped early these are what it cost, at the epoch where it ended. The ledger keeps no instant for
    each point: epochs are spread evenly from the run's start to its end.
    """
    start, end = milliseconds(result.started_at), milliseconds(result.finished_at)
    stopped = result.outcome == "stopped"
    epochs = result.curve[-1].epoch if stopped and result.curve else result.config.epochs
    curve = [
        measurement
        for point in result.curve
        for measurement in point_metrics(point, start + (end - start) * point.epoch // epochs)
    ]
    known = LAST if result.is_result else LAST[-2:] if stopped else ()
    return curve + measurements({name: getattr(result, name) for name in known}, epochs, end)


def point_metrics(point: Point, timestamp: int) -> list[Measurement]:
    """One point of a curve; `timestamp` is in milliseconds since 1970."""
    values = {
        "train_loss": point.train_loss,
        "learning_rate": point.learning_rate,
        "keep_rate": point.keep_rate,
        "keep_rate.observed": point.keep_rate_observed,
        "validation_accuracy.sample": point.validation_accuracy,
    }
    return measurements(values, point.epoch, timestamp)


def measurements(values: Mapping[str, float | None], step: int, timestamp: int) -> list[Measurement]:
    """Values by metric, those that there are."""
    return [Measurement(name, value, step, timestamp) for name, value in values.items() if value is not None]


def same_value(stored: float | None, wanted: float) -> bool:
    """Whether a store holds `wanted`, as far as it can: databases keep infinity as the largest number."""
    if stored is None or math.isnan(wanted) or math.isnan(stored):
        return stored is not None and math.isnan(wanted) and math.isnan(stored)
    return stored == wanted or (math.isinf(wanted) and stored * wanted > 0 and abs(stored) > 1e300)


def milliseconds(instant: str) -> int:
    """Since 1970; 0 for an instant that is not known."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000) if instant else 0


def hardware(environment: Mapping[str, Any]) -> str:
    """The accelerator, or the processor where there is none."""
    device = str(environment.get("device", ""))
    return device if device != "cpu" else str(environment.get("cpu") or device)


def _tags(config: RunConfig, environment: Mapping[str, Any], member: Member, invocation: Invocation) -> dict[str, Any]:
    config_hash, _, seed = member.run_id.rpartition("-s")
    return {
        "study": invocation.study,
        "invocation": invocation.id,
        "run_id": member.run_id,
        "config_hash": config_hash,
        "seed": seed,
        "role": member.role,
        "arm": member.arm,
        "architecture": config.model.architecture,
        "dataset": config.data.dataset,
        "hardware": hardware(environment),
        "commit": environment.get("commit"),
    }


def _cut(tags: Mapping[str, Any]) -> dict[str, str]:
    return {f"{PREFIX}{name}": str(value)[:_TAG_LENGTH] for name, value in tags.items() if value not in (None, "")}


def missing_metrics(wanted: Iterable[Measurement], stored: Collection[tuple[str, int]]) -> list[Measurement]:
    """Those of steps without a value."""
    return [measurement for measurement in wanted if (measurement.name, measurement.step) not in stored]
