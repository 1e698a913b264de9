"""MLflow as a view of the ledger: what it shows, how it is brought level, live points while a run trains."""

import dataclasses
import functools
import hashlib
import json
import logging
import math
import os
import queue
import re
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from crossarch.platform.errors import FailedError
from crossarch.platform.store.invocations import Invocation, Member
from crossarch.platform.store.ledger import Ledger
from crossarch.trainables.config.identity import run_id as id_of
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.config.run import RunConfig, flatten
from crossarch.trainables.files import locked, write_atomically, writing

if TYPE_CHECKING:
    from mlflow import MlflowClient


_SQLITE = "sqlite:///"

_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow reads these whenever it needs them. Its own are 120 s and 7 retries over 4 minutes, a line for each run on
the terminal, and reports of use to its makers. What the user has set stays."""


class TrackingError(FailedError):
    """MLflow could not be reached, or refused; one sentence without credentials."""


def default_tracking_uri(root: Path) -> str:
    """The embedded store: a SQLite file `mlflow.db` in `root`."""
    return f"{_SQLITE}{root.resolve() / 'mlflow.db'}"


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite store; None for every other store."""
    return Path(tracking_uri.removeprefix(_SQLITE).partition("?")[0]) if tracking_uri.startswith(_SQLITE) else None


def artifact_location(tracking_uri: str, study: str) -> str | None:
    """Where an embedded store keeps a study's artifacts, beside its database; None where the server decides."""
    database = sqlite_path(tracking_uri)
    return None if database is None else (database.resolve().parent / "mlflow-artifacts" / study).as_uri()


def safe_text(text: str) -> str:
    """`text` without the user names and passwords of the addresses in it."""
    return re.sub(r"://[^/\s'\"]*@", "://", text)


def connect(tracking_uri: str) -> "MlflowClient":
    """A client apart from MLflow's global state. A new SQLite store is initialised, one process at a time.

    Call it inside `tracked`.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    database = sqlite_path(tracking_uri)
    if database is None:
        return MlflowClient(tracking_uri=tracking_uri)
    _spare_sqlite()
    with locked(database.with_name(f"{database.name}.lock")):
        return MlflowClient(tracking_uri=tracking_uri)


@functools.cache
def _spare_sqlite() -> None:
    """Spares SQLite, in this process, what a run would cost it a dozen times.

    It leaves it to the system when commits reach the disk. A killed process costs nothing that way. Power that fails
    may cost the file, which is a view of the ledger. And a connection is told its settings once: MLflow repeats them
    before every transaction, after which SQLite compiles all statements anew.
    """
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def relax(connection: Any, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            with suppress(sqlite3.DatabaseError):  # not a database: told when it is used; MLflow tries here for 100 s
                connection.execute("PRAGMA synchronous = OFF")

    @event.listens_for(Engine, "do_execute")
    def set_once(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        name, _, value = statement.partition("=")
        if not (name.startswith("PRAGMA ") and value and isinstance(cursor, sqlite3.Cursor)):
            return False
        known = context.root_connection.info  # as long as the connection lives
        if known.get(name) != value:
            cursor.execute(statement, parameters)
            if not cursor.connection.in_transaction:  # in one, SQLite passes some over
                known[name] = value
        return True


@contextmanager
def tracked(tracking_uri: str) -> Iterator[None]:
    """Turns everything that fails inside into a TrackingError."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        raise TrackingError(f"MLflow at {safe_text(tracking_uri)} {_complaint(error)}.") from error


def _complaint(error: BaseException) -> str:
    """What happened, to end a sentence: silence of the network apart from all else."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, ConnectionError | TimeoutError | socket.gaierror):
            return f"does not answer ({link.strerror or type(link).__name__})"
        link = link.__cause__ or link.__context__
    reason = safe_text(str(error)).partition("\n")[0].rstrip(". ")
    return f"failed: {reason or type(error).__name__}"


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
    return {ARM: _kind(member)} | settings | ({"kd.teacher": id_of(config.kd.teacher)} if config.kd else {})


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


VIEW_KEY = "results"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
QUERY = f"workflowType=machine_learning&viewStateShareKey={VIEW_KEY}"
"""Of the address of a run page that opens with the view, rather than as MLflow's page for language models."""

VIEW_CURVES = ("validation_accuracy.sample", "train_loss")
VIEW_METRICS = ("test_accuracy", "validation_accuracy", "training_seconds")
FIRST = (ARM, "model.architecture")
MOST = 12
"""Parameters shown; more are not legible as axes, and a tag has 5,000 characters."""


def varying(parameters: Sequence[Mapping[str, str]]) -> list[str]:
    """The arm, the network, and the parameters by which runs of one arm and network differ, by name.

    Seeds come last, and a teacher's identity is left out, as it follows from the rest.
    """
    seen: dict[tuple[str | None, ...], set[str | None]] = {}
    names = sorted({name for each in parameters for name in each})
    for name in names:
        for each in parameters:
            seen.setdefault((name, *map(each.get, FIRST)), set()).add(each.get(name))
    free = {key[0] for key, values in seen.items() if len(values) > 1}
    middle = [name for name in names if name in free - {"seed", "kd.teacher"}]
    return [*FIRST, *middle[: MOST - 3], *(["seed"] if "seed" in free else [])]


def saved_view(parameters: Iterable[Mapping[str, str]], created: int) -> str:
    """The tag's value for runs with these parameters; `created` is in milliseconds since 1970."""
    shown = varying(list(parameters))
    outcome = f"tags.`{PREFIX}outcome`"
    state: dict[str, Any] = {
        "searchFilter": f"tags.`{PREFIX}role` = 'cell'",
        "orderByKey": "metrics.`test_accuracy`",
        "orderByAsc": False,
        "selectedColumns": [
            *(f"metrics.`{name}`" for name in VIEW_METRICS),
            *(f"params.`{name}`" for name in shown),
            outcome,
        ],
        "runsHiddenMode": "FIRST_20_RUNS",  # of those with curves; parallel coordinates show all
        "compareRunSections": [_section("Comparison", columns=1), _section("Curves", columns=2)],
        "compareRunCharts": [
            _chart("PARALLEL", "Comparison", selectedParams=shown, selectedMetrics=["test_accuracy"], showAllRuns=True),
            *(_chart("LINE", "Curves", metricKey=name) for name in VIEW_CURVES),
        ],
    }
    return json.dumps({"name": "Results", "createdAt": created, "updatedAt": created, "state": json.dumps(state)})


def pages(tracking_uri: str) -> dict[str, str]:
    """The address of each study's run page, below the server's. Raises TrackingError where MLflow fails."""
    with tracked(tracking_uri):
        shown = [each for each in connect(tracking_uri).search_experiments() if VIEW_TAG in each.tags]
    return {each.name: f"/#/experiments/{each.experiment_id}/runs?{QUERY}" for each in shown}


def _section(name: str, *, columns: int) -> dict[str, Any]:
    return {"uuid": name, "name": name, "display": True, "isReordered": False, "columns": columns}


def _chart(kind: str, section: str, **settings: Any) -> dict[str, Any]:
    uuid = "-".join((kind, settings.get("metricKey", section)))
    return {"type": kind, "uuid": uuid, "metricSectionId": section, "isGenerated": False, "deleted": False} | settings


_DIGEST = f"{PREFIX}level"
_PARENT = "mlflow.parentRunId"
_PAGE = 1000

Stored = dict[tuple[str, int], float | None]
"""The points MLflow has, by metric and step; None where it has several for one step."""


@dataclasses.dataclass(kw_only=True)
class Shown:
    """What MLflow shows now of one run or invocation."""

    id: str
    """MLflow's own name of it."""
    status: str
    tags: dict[str, str]
    params: Collection[str]
    metrics: Collection[str]
    points: Stored | None = None
    """None until they are asked for."""
    latest: int = 0
    """Instant of the latest of them, in milliseconds since 1970; once they were asked for."""


class View:
    """MLflow at one address; nothing is imported or opened before it is used."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    def level(
        self, study: str, question: str, invocations: Iterable[Invocation], results: Mapping[str, RunResult]
    ) -> int:
        """Makes a study's experiment show its invocations and results; how many runs had to change.

        It takes what is RUNNING without a result for interrupted: call it while nothing of the study trains.
        Raises TrackingError where MLflow fails; calling it again goes on from there.
        """
        with tracked(self.tracking_uri):
            return self.experiment(study, question).level(invocations, results)

    def experiment(self, study: str, question: str) -> "Experiment":
        """Found or created. Raises what MLflow raises."""
        client = connect(self.tracking_uri)
        return Experiment(client, _experiment_id(client, study, question, self.tracking_uri), study)


class Experiment:
    """The runs of one study in MLflow. Methods raise what MLflow raises."""

    def __init__(self, client: "MlflowClient", experiment_id: str, study: str) -> None:
        self._client = client
        self._id = experiment_id
        self.study = study
        self._shown: dict[str, Shown] = {}
        self._surplus: list[str] = []
        for shown in _search(client, experiment_id):
            key = key_of(shown.tags)
            if key in self._shown:
                self._surplus.append(shown.id)
            elif key is not None:
                self._shown[key] = shown

    def level(
        self,
        invocations: Iterable[Invocation],
        results: Mapping[str, RunResult],
        *,
        current: str | None = None,
        training: Collection[str] = (),
    ) -> int:
        """As `View.level`, but leaves the invocation `current` RUNNING and the runs in `training` alone."""
        changed = self._remove_surplus()
        mine = sorted((inv for inv in invocations if inv.study == self.study), key=lambda invocation: invocation.id)
        shown = owners(mine)
        for invocation in mine:
            running = invocation.id == current
            changed += self.show(describe_invocation(invocation, results, shown, running=running))
        for run_id, (invocation, member) in shown.items():
            if run_id in training:
                continue
            if run_id in results:
                description = describe(results[run_id], member, invocation)
                changed += self.show(description, parent=invocation.id)
            else:
                changed += self._interrupted(run_id)
        self._save_view(mine, [params(results[name].config, shown[name][1]) for name in shown if name in results])
        return changed

    def show(self, description: Description, parent: str | None = None) -> bool:
        """Shows `description`, below the invocation `parent`; whether anything had to change."""
        tags = {**description.tags, _DIGEST: description.digest}
        if parent is not None:
            tags[_PARENT] = self._shown[parent].id
        shown = self._shown.get(description.key)
        if shown is not None:
            if shown.status == description.status and all(shown.tags.get(name) == tags[name] for name in tags):
                return False
            if description.status != "RUNNING" and _contradicts(self._points(shown), description.metrics):
                self._client.delete_run(shown.id)
                shown = None
        if shown is None:
            shown = self._create(description, tags)
        status_last = shown.tags.get(_DIGEST) == tags[_DIGEST]  # complete is what has both: one comes after all else
        if not status_last:
            self._set_status(shown, description)
        for name in set(shown.tags) - set(tags):
            if name.startswith(PREFIX):
                self._client.delete_tag(shown.id, name)
                del shown.tags[name]
        self._log(shown, description.metrics, description.params, tags)
        if status_last:
            self._set_status(shown, description)
        return True

    def add_points(self, run_id: str, metrics: Iterable[Measurement]) -> None:
        """Continues a curve; steps that are there already stay as they are."""
        shown = self._shown[run_id]
        self._log(shown, metrics, {}, {})

    def add_artifacts(self, run_id: str, paths: Iterable[Path], folder: str) -> None:
        """Puts files into a folder of a run that is shown, in place of those of the same names."""
        for path in paths:
            self._client.log_artifact(self._shown[run_id].id, str(path), folder)

    def end(self, run_id: str, status: Status) -> None:
        """Ends a run that is shown, as it is."""
        self._client.set_terminated(self._shown[run_id].id, status)
        self._shown[run_id].status = status

    def _save_view(self, invocations: Sequence[Invocation], parameters: Sequence[Mapping[str, str]]) -> None:
        if not invocations:
            return
        value = saved_view(parameters, milliseconds(invocations[0].started_at))
        if self._client.get_experiment(self._id).tags.get(VIEW_TAG) != value:
            try:
                self._client.set_experiment_tag(self._id, VIEW_TAG, value)
            except Exception:  # another process may have just set it
                if VIEW_TAG not in self._client.get_experiment(self._id).tags:
                    raise

    def _interrupted(self, run_id: str) -> bool:
        shown = self._shown.get(run_id)
        if shown is None or shown.status != "RUNNING":
            return False
        self.end(run_id, "KILLED")
        return True

    def _remove_surplus(self) -> int:
        """Two drivers at once, or a request that was repeated, may have made one run twice."""
        count = len(self._surplus)
        while self._surplus:
            self._client.delete_run(self._surplus[-1])
            self._surplus.pop()
        return count

    def _create(self, description: Description, tags: Mapping[str, str]) -> Shown:
        """Begins a run, with its digest where only `show` will give it its status."""
        ends = description.status in ("FINISHED", "FAILED")
        first = {name: value for name, value in tags.items() if ends or name != _DIGEST}
        run = self._client.create_run(
            self._id, start_time=description.started or None, tags=first, run_name=description.name
        )
        shown = Shown(id=run.info.run_id, status=run.info.status, tags=first, params=(), metrics=(), points={})
        self._shown[description.key] = shown
        return shown

    def _set_status(self, shown: Shown, description: Description) -> None:
        if description.status != "RUNNING":
            self._client.set_terminated(shown.id, description.status, description.ended)
        elif shown.status != "RUNNING":
            self._client.update_run(shown.id, "RUNNING")
        shown.status = description.status

    def _points(self, shown: Shown) -> Stored:
        if shown.points is None:
            stored: Stored = {}
            for name in shown.metrics:
                for metric in self._client.get_metric_history(shown.id, name):
                    step = (name, metric.step)
                    shown.latest = max(shown.latest, metric.timestamp)
                    stored[step] = None if step in stored else metric.value
            shown.points = stored
        return shown.points

    def _log(
        self, shown: Shown, metrics: Iterable[Measurement], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """Logs what is not there, tags last: a digest that comes late tells that the rest is there.

        No instant is before one that is there: a result brings such as are spread evenly, and MLflow sorts by them.
        The client splits it into requests of at most 1,000 values, 100 of them parameters or tags. Where one is enough,
        tags go in it, too: MLflow stores them after the rest.
        """
        from mlflow.entities import Metric, Param, RunTag

        stored = self._points(shown)
        new_metrics = missing_metrics(metrics, stored)
        new_params = {name: value for name, value in params.items() if name not in shown.params}
        new_tags = {name: value for name, value in tags.items() if shown.tags.get(name) != value}
        shown.points = None  # until all is known to have arrived
        values = {
            "metrics": [
                Metric(metric.name, metric.value, max(metric.timestamp, shown.latest), metric.step)
                for metric in new_metrics
            ],
            "params": [Param(*pair) for pair in new_params.items()],
        }
        marks = {"tags": [RunTag(*pair) for pair in new_tags.items()]}
        small = (
            max(len(new_params), len(new_tags)) <= 100 and len(new_metrics) + len(new_params) + len(new_tags) <= 1000
        )
        for batch in (values | marks,) if small else (values, marks):
            self._client.log_batch(shown.id, **batch, synchronous=True)
        shown.latest = max([shown.latest, *(metric.timestamp for metric in new_metrics)])
        shown.points = stored | {(metric.name, metric.step): metric.value for metric in new_metrics}
        shown.metrics = {*shown.metrics, *(metric.name for metric in new_metrics)}
        shown.params = {*shown.params, *new_params}
        shown.tags |= new_tags


def _contradicts(stored: Stored, wanted: Iterable[Measurement]) -> bool:
    """Whether a point is stored that is not wanted, or twice, or with another value."""
    values = {(metric.name, metric.step): metric.value for metric in wanted}
    return any(
        not same_value(value, values.get(step, math.nan)) or step not in values for step, value in stored.items()
    )


def _search(client: "MlflowClient", experiment_id: str) -> Iterator[Shown]:
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], max_results=_PAGE, order_by=["attributes.start_time ASC"], page_token=token
        )
        for run in page:
            yield Shown(
                id=run.info.run_id,
                status=run.info.status,
                tags=dict(run.data.tags),
                params=set(run.data.params),
                metrics=set(run.data.metrics),
            )
        token = page.token
        if not token:
            return


def _experiment_id(client: "MlflowClient", study: str, question: str, tracking_uri: str) -> str:
    """Found, restored if it was deleted, or created."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        try:
            tags = {"mlflow.note.content": question, "mlflow.experimentKind": "custom_model_development"}
            return str(client.create_experiment(study, artifact_location(tracking_uri, study), tags))
        except MlflowException:  # another process may have just created it
            experiment = client.get_experiment_by_name(study)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


_VIEW_VERSION = 2
"""Raised when the view shows the same ledger in another way: then everything is to be levelled anew."""


def sync_study(ledger: Ledger, root: Path, study: str, tracking: str, *, anyway: bool = False) -> int:
    """As `View.level`, but does nothing where the experiment was level when last looked at, unless `anyway`."""
    invocations = ledger.invocations(study)
    if not invocations:
        return 0
    members = {member.run_id for invocation in invocations for member in invocation.members}
    results = ledger.read(members)
    digest = study_digest(invocations, results)
    if is_level(root, tracking, study, digest) and not anyway:
        return 0
    changed = View(tracking).level(study, invocations[-1].question, invocations, results)
    if changed:
        forget(root, tracking, note_name(study))  # the run that had the report may be a new one
    mark_level(root, tracking, study, digest)
    return changed


def study_digest(invocations: Iterable[Invocation], results: Mapping[str, RunResult]) -> str:
    """What a level view of a study depends on."""
    runs = sorted(f"{name} {result.outcome} {result.finished_at}" for name, result in results.items())
    lines = [str(_VIEW_VERSION), *sorted(invocation.id for invocation in invocations), *runs]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_level(root: Path, tracking_uri: str, study: str, digest: str) -> bool:
    """Whether the study was levelled at this server with this digest; never where a SQLite file is gone."""
    database = sqlite_path(tracking_uri)
    if database is not None and not database.exists():
        return False
    note = _note(root, tracking_uri, study)
    return note.exists() and note.read_text() == digest


def mark_level(root: Path, tracking_uri: str, study: str, digest: str) -> None:
    """Remembers that the study is level. Raises OSError where the disk refuses."""
    write_atomically(_note(root, tracking_uri, study), writing(digest))


def forget(root: Path, tracking_uri: str, study: str) -> None:
    """The opposite of `mark_level`."""
    _note(root, tracking_uri, study).unlink(missing_ok=True)


def note_name(study: str) -> str:
    """The name under which `level` remembers what was attached."""
    return f"{study}\nreport"


def _note(root: Path, tracking_uri: str, study: str) -> Path:
    key = hashlib.sha256(f"{safe_text(tracking_uri)}\n{study}".encode()).hexdigest()[:16]
    return root / "ledger" / "level" / key


_POINTS_WAITING = 10_000
"""Live points beyond these are dropped: the run's result brings them again."""
_BREATH = 0.5
"""Seconds from one delivery to the next: what comes meanwhile goes together, and the points of a run that ends not
at all, as its result brings them."""
_LONGEST_PAUSE = 300.0
"""Seconds. After the n-th failure in a row the writer leaves MLflow alone for 2^n seconds, up to these."""


@dataclass(frozen=True, kw_only=True)
class _Opened:
    invocations: tuple[Invocation, ...]
    current: Invocation
    results: dict[str, RunResult]


@dataclass(frozen=True, kw_only=True)
class _Started:
    run_id: str
    number: int
    config: RunConfig
    environment: Mapping[str, Any]
    instant: int


@dataclass(frozen=True, kw_only=True)
class _Done:
    run_id: str
    number: int
    result: RunResult


@dataclass(frozen=True, kw_only=True)
class _Reported:
    run_id: str
    metrics: list[Measurement]


_Event = _Opened | _Started | _Done | _Reported


class Writer:
    """MLflow's view of one invocation, live. No method raises or waits, but for `close`.

    What could not be delivered is tried again after a pause, and once more on closing. `clock` gives seconds.
    """

    def __init__(self, tracking_uri: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.last_error: str | None = None
        """The latest failure, in one sentence."""
        self.failures = 0
        self._wanted: dict[str, int] = {}
        self._events: queue.SimpleQueue[_Event | None] = queue.SimpleQueue()
        """None is the last."""
        self._points_waiting = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._courier = _Courier(tracking_uri, clock)
        self._thread: threading.Thread | None = None

    def open(
        self,
        current: Invocation,
        *,
        earlier: Iterable[Invocation] = (),
        results: Mapping[str, RunResult] | None = None,
    ) -> None:
        """Begins, once, to show `current`: first the study's `earlier` invocations and `results`, then what comes."""
        invocations = (*(invocation for invocation in earlier if invocation.id != current.id), current)
        self._wanted[current.id] = 0
        self._events.put(_Opened(invocations=invocations, current=current, results=dict(results or {})))
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)
        self._thread.start()

    def running(self, run_id: str, config: RunConfig, environment: Mapping[str, Any] | None = None) -> None:
        """A member has begun, or begins again."""
        number = self._want(run_id)
        self._events.put(
            _Started(run_id=run_id, number=number, config=config, environment=environment or {}, instant=_now())
        )

    def point(self, run_id: str, point: Point) -> None:
        """A run that is `running` has reported; dropped where too many reports wait."""
        with self._lock:
            if self._points_waiting >= _POINTS_WAITING:
                return
            self._points_waiting += 1
        self._events.put(_Reported(run_id=run_id, metrics=point_metrics(point, _now())))

    def done(self, result: RunResult) -> None:
        """A run has ended."""
        run_id = result.run_id
        self._events.put(_Done(run_id=run_id, number=self._want(run_id), result=result))

    def close(self, timeout: float) -> int:
        """Ends the invocation in at most `timeout` seconds; how many runs, it included, are not level."""
        self._events.put(None)
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout)
        return sum(self._courier.shown.get(name) != number for name, number in self._wanted.items())

    def _want(self, run_id: str) -> int:
        self._wanted[run_id] = self._wanted.get(run_id, 0) + 1
        return self._wanted[run_id]

    def _work(self) -> None:
        closed = False
        while not closed:
            for event in self._waiting():
                if event:
                    self._courier.take(event)
                closed = closed or event is None
            error = self._courier.deliver(last=closed)
            if error is not None:
                self.failures += 1
                self.last_error = error
            self._closing.wait(_BREATH)

    def _waiting(self) -> list[_Event | None]:
        """All that wait; none where it is time to try again first."""
        try:
            events = [self._events.get(timeout=self._courier.patience())]
        except queue.Empty:
            return []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                break
        with self._lock:
            self._points_waiting -= sum(isinstance(event, _Reported) for event in events)
        return events


class _Courier:
    """The thread's side: what is to be shown, and the attempts to show it. Only its thread calls it."""

    def __init__(self, tracking_uri: str, clock: Callable[[], float]) -> None:
        self.shown: dict[str, int] = {}
        """The number of the latest event of each run, and 0 of the closed invocation, that MLflow has."""
        self._view = View(tracking_uri)
        self._clock = clock
        self._experiment: Experiment | None = None
        self._opened: _Opened | None = None
        self._owners: dict[str, tuple[Invocation, Member]] = {}
        self._running: dict[str, _Started] = {}
        self._points: dict[str, list[Measurement]] = {}
        self._taken: dict[str, int] = {}
        self._failures_in_a_row = 0
        self._again_at = 0.0

    def take(self, event: _Event) -> None:
        """Remembers what is to be shown."""
        match event:
            case _Opened():
                self._opened = event
                self._owners = owners(event.invocations)
            case _Started():
                self._running[event.run_id] = event
                self._taken[event.run_id] = event.number
            case _Reported():
                if event.run_id in self._running:
                    self._points.setdefault(event.run_id, []).extend(event.metrics)
            case _Done() if self._opened is not None:
                self._opened.results[event.run_id] = event.result
                self._running.pop(event.run_id, None)
                self._taken[event.run_id] = event.number

    def patience(self) -> float | None:
        """Seconds until the next attempt; None where nothing waits for one."""
        behind = self._experiment is None or self._points or self._behind()
        return max(0.0, self._again_at - self._clock()) if behind and self._opened is not None else None

    def deliver(self, *, last: bool) -> str | None:
        """Brings MLflow level as far as it lets us; why it could not, or None. `last` ends the invocation."""
        if self._opened is None or (self._clock() < self._again_at and not last):
            return None
        try:
            with tracked(self._view.tracking_uri):
                self._deliver(self._opened, last=last)
        except TrackingError as error:
            self._experiment = None  # what arrived is unknown: look again
            self._failures_in_a_row += 1
            self._again_at = self._clock() + min(2.0**self._failures_in_a_row, _LONGEST_PAUSE)
            return str(error)
        self._failures_in_a_row = 0
        return None

    def _deliver(self, opened: _Opened, *, last: bool) -> None:
        if self._experiment is None or last:
            self._open_or_close(opened, last=last)
        if last:
            return
        for run_id in self._behind():
            self._show(opened, run_id)
        for run_id in list(self._points):
            if self._experiment is not None and run_id in self._running:
                self._experiment.add_points(run_id, self._points[run_id])
            del self._points[run_id]

    def _open_or_close(self, opened: _Opened, *, last: bool) -> None:
        """Levels the whole study, as `View.level` would; on closing, what still runs counts as interrupted."""
        experiment = self._experiment or self._view.experiment(opened.current.study, opened.current.question)
        experiment.level(
            opened.invocations,
            opened.results,
            current=None if last else opened.current.id,
            training=() if last else self._running,
        )
        self._experiment = experiment
        if last:
            self.shown |= self._taken | {opened.current.id: 0}

    def _show(self, opened: _Opened, run_id: str) -> None:
        if self._experiment is None:
            return
        owner = self._owners.get(run_id)
        started = self._running.get(run_id)
        if owner is not None:
            invocation, member = owner
            if started is not None:
                description = describe_running(
                    started.config, started.environment, member, invocation, started=started.instant
                )
            else:
                description = describe(opened.results[run_id], member, invocation)
            self._experiment.show(description, parent=invocation.id)
        self.shown[run_id] = self._taken[run_id]

    def _behind(self) -> list[str]:
        return [run_id for run_id, number in self._taken.items() if self.shown.get(run_id) != number]


def _now() -> int:
    """Milliseconds since 1970."""
    return round(time.time() * 1000)


REPORT_FOLDER = "report"
"""Of the artifact, which keeps the page's file name: `report/index.html`."""

REPORT_TAG = "report.sha256"
"""Of the parent run; without our prefix, as levelling removes what it does not know under that."""


def attach(invocations: Sequence[Invocation], root: Path, tracking_uri: str, page: Path) -> bool:
    """Attaches `page` to the run of the last of `invocations`, if it has one; whether it had to be sent.

    Raises TrackingError where MLflow fails.
    """
    database = sqlite_path(tracking_uri)
    if not invocations or (database is not None and not database.exists()):
        return False
    last = invocations[-1]
    digest = hashlib.sha256(page.read_bytes()).hexdigest()
    note = f"{digest} {last.id}"
    if is_level(root, tracking_uri, note_name(last.study), note):
        return False
    with tracked(tracking_uri):
        sent = _send(last, tracking_uri, page, digest)
    if sent is not None:
        mark_level(root, tracking_uri, note_name(last.study), note)
    return bool(sent)


def _send(invocation: Invocation, tracking_uri: str, page: Path, digest: str) -> bool | None:
    """As `attach`; None where there is no such run."""
    client = connect(tracking_uri)
    experiment = client.get_experiment_by_name(invocation.study)
    if experiment is None:
        return None
    if experiment.artifact_location != (
        artifact_location(tracking_uri, invocation.study) or experiment.artifact_location
    ):
        raise TrackingError(
            f"MLflow at {safe_text(tracking_uri)} keeps files in {experiment.artifact_location!r}, as the results lay "
            "elsewhere when it was made: remove this mlflow.db and `crossarch sync` makes it anew."
        )
    found = client.search_runs([experiment.experiment_id], f"tags.`{INVOCATION}` = '{invocation.id}'")
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    if not parents:
        return None
    run = parents[0]
    if run.data.tags.get(REPORT_TAG) == digest:
        return False
    client.log_artifact(run.info.run_id, str(page), REPORT_FOLDER)
    client.set_tag(run.info.run_id, REPORT_TAG, digest)
    return True
