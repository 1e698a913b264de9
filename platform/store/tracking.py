"""Exports the ledger to MLflow: descriptions of runs, synchronisation, and a live writer while runs train.

MLflow is only a view of the ledger; it can be deleted and is then recreated.
"""

import dataclasses
import functools
import hashlib
import json
import logging
import math
import queue
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
from typing import Any, Literal, NamedTuple

import crossarch.platform.store.mlflow_environment  # noqa: F401, before MLflow

import sqlalchemy.event
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from crossarch.platform.errors import FailedError
from crossarch.platform.store.invocations import Invocation, runs_of
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import (
    attachment,
    forget,
    is_attached,
    is_level,
    mark_level,
    note_name,
    page_digest,
    safe_text,
    sqlite_path,
    study_digest,
)
from crossarch.trainables.config.identity import run_id as id_of
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.config.run import RunConfig, flatten
from crossarch.trainables.files import locked


class TrackingError(FailedError):
    """MLflow could not be reached, or failed; one sentence without credentials."""


def artifact_location(tracking_uri: str, study: str) -> str | None:
    """The URI of a study's artifacts, beside the database of an embedded store; None if a server decides that."""
    database = sqlite_path(tracking_uri)
    return None if database is None else (database.resolve().parent / "mlflow-artifacts" / study).as_uri()


def connect(tracking_uri: str) -> MlflowClient:
    """A client that is independent of MLflow's global state.

    A new SQLite store is initialised, by one process at a time. Raises whatever MLflow raises, so call it inside
    `tracked`.
    """
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
    """Makes SQLite faster in this process, for the dozen transactions of a run.

    Commits do not wait for the disk: a killed process loses nothing that way, and a power failure may damage the file,
    which is only a view of the ledger. And PRAGMA statements are executed once per connection: MLflow repeats them
    before every transaction, after which SQLite recompiles all statements.
    """

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
    def relax(connection: Any, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            with suppress(sqlite3.DatabaseError):  # not a database: fails when used; MLflow retries here
                connection.execute("PRAGMA synchronous = OFF")

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "do_execute")
    def set_once(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        name, _, value = statement.partition("=")
        if not (name.startswith("PRAGMA ") and value and isinstance(cursor, sqlite3.Cursor)):
            return False
        known = context.root_connection.info  # as long as the connection lives
        if known.get(name) != value:
            cursor.execute(statement, parameters)
            if not cursor.connection.in_transaction:  # in a transaction SQLite ignores some PRAGMAs
                known[name] = value
        return True


@contextmanager
def tracked(tracking_uri: str) -> Iterator[None]:
    """Turns every exception of the body into a TrackingError."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        raise TrackingError(f"MLflow at {safe_text(tracking_uri)} {_complaint(error)}.") from error


def _complaint(error: BaseException) -> str:
    """The error, to end a sentence: `does not answer` for errors of the network, else `failed` with the reason."""
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
"""Name of a parameter; not a tag, as MLflow's charts have no axes of tags."""
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
"""Metrics of a run that has ended, by field of `RunResult`: first its results, then, as the last two, its costs."""
_TAG_LENGTH = 4000
"""Maximum characters of a tag; servers accept 5,000 or 8,000."""


class Measurement(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    step: int
    """Number of epochs done."""
    timestamp: int
    """Milliseconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """One run as MLflow is to show it, except for its parent, whose MLflow id is not known here."""

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
        """The id of the run or invocation, by which its run in MLflow is found again."""
        return key_of(self.tags) or ""

    @property
    def digest(self) -> str:
        """A digest of all that is shown: equal digests show the same."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()[:32]


def key_of(tags: Mapping[str, str]) -> str | None:
    """The id of the run or invocation that MLflow's run with these tags shows; None if crossarch did not create it."""
    return tags.get(RUN_ID) or tags.get(INVOCATION)


def owners(invocations: Iterable[Invocation]) -> dict[str, Invocation]:
    """The invocation under which each run is shown, by run id: the first that needed it."""
    owner_of: dict[str, Invocation] = {}
    for invocation in sorted(invocations, key=lambda invocation: invocation.id):
        for run_id in invocation.runs:
            owner_of.setdefault(run_id, invocation)
    return owner_of


def describe(result: RunResult, run_id: str, invocation: Invocation) -> Description:
    """The description of a run that has ended."""
    tags = _tags(result.config, result.environment, run_id, invocation)
    return Description(
        name=run_name(run_id, invocation),
        status=_STATUS[result.outcome],
        started=milliseconds(result.started_at),
        ended=milliseconds(result.finished_at),
        tags=_cut(tags | {"outcome": result.outcome, "error": result.error}),
        params=params(result.config, run_id, invocation),
        metrics=tuple(metrics(result)),
    )


def describe_running(
    config: RunConfig,
    environment: Mapping[str, Any],
    run_id: str,
    invocation: Invocation,
    *,
    started: int,
) -> Description:
    """The description of a run in training, without its curve. `started` is in milliseconds since 1970."""
    return Description(
        name=run_name(run_id, invocation),
        status="RUNNING",
        started=started,
        tags=_cut(_tags(config, environment, run_id, invocation)),
        params=params(config, run_id, invocation),
    )


def describe_invocation(
    invocation: Invocation,
    results: Mapping[str, RunResult],
    shown: Mapping[str, Invocation],
    *,
    running: bool = False,
) -> Description:
    """The description of an invocation, the parent run of the runs that it was the first to need.

    Its status is FINISHED if all its runs have results, FAILED if some failed, and KILLED if some were never tried
    or were stopped early.

    Args:
        invocation: The invocation.
        results: Results by run id.
        shown: The owners of runs, as of `owners`.
        running: Whether the invocation is under way; then its status is RUNNING.
    """
    needed = invocation.runs
    outcomes = Counter(results[name].outcome if name in results else "missing" for name in needed)
    counts = {outcome: outcomes[outcome] for outcome in (*_STATUS, "missing")}
    status: Status = "FINISHED"
    if counts["missing"]:
        status = "KILLED"
    elif counts["failed"] + counts["blocked"]:
        status = "FAILED"
    elif counts["stopped"]:
        status = "KILLED"
    ends = [results[name].finished_at for name in needed if name in results]
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
                "runs": len(needed),
                "runs_under_earlier_invocations": sum(shown[name].id != invocation.id for name in needed),
                **counts,
            }
        ),
    )


def run_name(run_id: str, invocation: Invocation) -> str:
    """`Full · ResNet18 · seed 0`, `teacher · ConvNet · seed 0`: the labels of the run's place, and its seed."""
    names = {**invocation.names(run_id), "arm": _kind(run_id, invocation)}
    return " · ".join((*names.values(), f"seed {run_id.rpartition('-s')[2]}"))


def _kind(run_id: str, invocation: Invocation) -> str:
    return "teacher" if run_id not in invocation.cells else invocation.names(run_id)["arm"]


def params(config: RunConfig, run_id: str, invocation: Invocation) -> dict[str, str]:
    """The arm's label (or `teacher`), the settings by dotted name, and the teacher's run id."""
    settings = {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value) for name, value in flatten(config)
    }
    return {ARM: _kind(run_id, invocation)} | settings | ({"kd.teacher": id_of(config.kd.teacher)} if config.kd else {})


def metrics(result: RunResult) -> list[Measurement]:
    """The curve over epochs and, for a run with a result, its final metrics (LAST) at the last epoch.

    A run that was stopped early has only the metrics of its costs, at the epoch where it ended. The ledger has no
    timestamps of single points: they are spaced evenly over epochs from the run's start to its end.
    """
    start, end = milliseconds(result.started_at), milliseconds(result.finished_at)
    stopped = result.outcome == "stopped"
    epochs = result.curve[-1].epoch if stopped and result.curve else result.config.epochs
    curve = [
        measurement
        for point in result.curve
        for measurement in point_metrics(point, start + (end - start) * point.epoch // epochs)
    ]
    final: tuple[str, ...] = ()
    if result.is_result:
        final = LAST
    elif stopped:
        final = LAST[-2:]
    return curve + measurements({name: getattr(result, name) for name in final}, epochs, end)


def point_metrics(point: Point, timestamp: int) -> list[Measurement]:
    """The metrics of one point of a curve. `timestamp` is in milliseconds since 1970."""
    values = {
        "train_loss": point.train_loss,
        "learning_rate": point.learning_rate,
        "keep_rate": point.keep_rate,
        "keep_rate.observed": point.keep_rate_observed,
        "validation_accuracy.sample": point.validation_accuracy,
    }
    return measurements(values, point.epoch, timestamp)


def measurements(values: Mapping[str, float | None], step: int, timestamp: int) -> list[Measurement]:
    """Measurements of the `values` by metric that are not None."""
    return [Measurement(name, value, step, timestamp) for name, value in values.items() if value is not None]


def same_value(stored: float | None, wanted: float) -> bool:
    """Whether a stored value represents `wanted`: databases store infinity as the largest number."""
    if stored is None or math.isnan(wanted) or math.isnan(stored):
        return stored is not None and math.isnan(wanted) and math.isnan(stored)
    return stored == wanted or (math.isinf(wanted) and stored * wanted > 0 and abs(stored) > 1e300)


def milliseconds(instant: str) -> int:
    """Milliseconds since 1970 of an instant in ISO 8601; 0 for an empty text."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000) if instant else 0


def hardware(environment: Mapping[str, Any]) -> str:
    """The accelerator, or the processor if there is none."""
    device = str(environment.get("device", ""))
    return device if device != "cpu" else str(environment.get("cpu") or device)


def _tags(config: RunConfig, environment: Mapping[str, Any], run_id: str, invocation: Invocation) -> dict[str, Any]:
    """Tags by which runs are found: ids, where names and parameters have labels."""
    config_hash, _, seed = run_id.rpartition("-s")
    return {
        "study": invocation.study,
        "invocation": invocation.id,
        "run_id": run_id,
        "config_hash": config_hash,
        "seed": seed,
        "role": "cell" if run_id in invocation.cells else "teacher",
        "arm": invocation.runs[run_id]["arm"],
        "architecture": config.model.architecture,
        "dataset": config.data.dataset,
        "hardware": hardware(environment),
        "commit": environment.get("commit"),
    }


def _cut(tags: Mapping[str, Any]) -> dict[str, str]:
    return {f"{PREFIX}{name}": str(value)[:_TAG_LENGTH] for name, value in tags.items() if value not in (None, "")}


def missing_metrics(wanted: Iterable[Measurement], stored: Collection[tuple[str, int]]) -> list[Measurement]:
    """The measurements of `wanted` whose metric and step are not in `stored`."""
    return [measurement for measurement in wanted if (measurement.name, measurement.step) not in stored]


VIEW_KEY = "results"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
QUERY = f"workflowType=machine_learning&viewStateShareKey={VIEW_KEY}"
"""Query of a run page's URL that opens the saved view instead of MLflow's page for language models."""

VIEW_CURVES = ("validation_accuracy.sample", "train_loss")
VIEW_METRICS = ("test_accuracy", "validation_accuracy", "training_seconds")
FIRST = (ARM, "model.architecture")
MOST = 12
"""Maximum parameters shown; more are not legible as axes, and a tag has at most 5,000 characters."""


def varying(parameters: Sequence[Mapping[str, str]]) -> list[str]:
    """The names of the parameters to show: arm, network, and those in which runs of one arm and network differ.

    The seed comes last. The teacher's id is left out, as it depends on the others.
    """
    seen: dict[tuple[str | None, ...], set[str | None]] = {}
    names = sorted({name for run in parameters for name in run})
    for name in names:
        for run in parameters:
            seen.setdefault((name, *map(run.get, FIRST)), set()).add(run.get(name))
    free = {key[0] for key, values in seen.items() if len(values) > 1}
    middle = [name for name in names if name in free - {"seed", "kd.teacher"}]
    shown = [*FIRST, *middle[: MOST - 3]]
    if "seed" in free:
        shown.append("seed")
    return shown


def saved_view(parameters: Iterable[Mapping[str, str]], created: int) -> str:
    """The value of VIEW_TAG for runs with these parameters. `created` is in milliseconds since 1970."""
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
    """The URL of each study's run page, relative to the server's. Raises TrackingError if MLflow fails."""
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
"""The values that MLflow has, by metric and step; None if it has several for one step."""


@dataclasses.dataclass(kw_only=True)
class Shown:
    """The present state of a run or invocation in MLflow."""

    id: str
    """MLflow's id of the run."""
    status: str
    tags: dict[str, str]
    params: Collection[str]
    metrics: Collection[str]
    points: Stored | None = None
    """None until they are fetched."""
    latest: int = 0
    """Timestamp of the latest of them, in milliseconds since 1970; valid once they are fetched."""


class View:
    """MLflow at one tracking URI. Nothing is imported or opened before it is used."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    def sync(
        self, study: str, question: str, invocations: Iterable[Invocation], results: Mapping[str, RunResult]
    ) -> int:
        """Makes a study's experiment show its invocations and results. Returns how many of its runs had to change.

        Runs that are RUNNING in MLflow but have no result are marked as interrupted, so call it while nothing of the
        study trains. Raises TrackingError if MLflow fails; calling it again continues from there.
        """
        with tracked(self.tracking_uri):
            return self.experiment(study, question).sync(invocations, results)

    def experiment(self, study: str, question: str) -> "Experiment":
        """The study's experiment, created if it is missing. Raises whatever MLflow raises."""
        client = connect(self.tracking_uri)
        return Experiment(client, _experiment_id(client, study, question, self.tracking_uri), study)


class Experiment:
    """The runs of one study in MLflow. Methods raise whatever MLflow raises."""

    def __init__(self, client: MlflowClient, experiment_id: str, study: str) -> None:
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

    def sync(
        self,
        invocations: Iterable[Invocation],
        results: Mapping[str, RunResult],
        *,
        current: str | None = None,
        training: Collection[str] = (),
    ) -> int:
        """As `View.sync`, but leaves the invocation `current` RUNNING and does not touch the runs in `training`."""
        changed = self._remove_surplus()
        mine = sorted((inv for inv in invocations if inv.study == self.study), key=lambda invocation: invocation.id)
        shown = owners(mine)
        for invocation in mine:
            running = invocation.id == current
            changed += self.show(describe_invocation(invocation, results, shown, running=running))
        for run_id, invocation in shown.items():
            if run_id in training:
                continue
            if run_id in results:
                description = describe(results[run_id], run_id, invocation)
                changed += self.show(description, parent=invocation.id)
            else:
                changed += self._interrupted(run_id)
        ended = {name: invocation for name, invocation in shown.items() if name in results}
        self._save_view(mine, [params(results[name].config, name, invocation) for name, invocation in ended.items()])
        return changed

    def show(self, description: Description, parent: str | None = None) -> bool:
        """Makes MLflow show `description`, below the invocation `parent`. Returns whether anything had to change."""
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
        status_last = (
            shown.tags.get(_DIGEST) == tags[_DIGEST]
        )  # a run with both digest and status is complete, so one is set last
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
        """Logs points of the curve of a run that is shown; steps that are already logged are not changed."""
        shown = self._shown[run_id]
        self._log(shown, metrics, {}, {})

    def add_artifacts(self, run_id: str, paths: Iterable[Path], folder: str) -> None:
        """Logs files into an artifact folder of a run that is shown, replacing those of the same names."""
        for path in paths:
            self._client.log_artifact(self._shown[run_id].id, str(path), folder)

    def end(self, run_id: str, status: Status) -> None:
        """Ends a run that is shown with `status`, leaving all else unchanged."""
        self._client.set_terminated(self._shown[run_id].id, status)
        self._shown[run_id].status = status

    def _save_view(self, invocations: Sequence[Invocation], parameters: Sequence[Mapping[str, str]]) -> None:
        if not invocations:
            return
        value = saved_view(parameters, milliseconds(invocations[0].started_at))
        if self._client.get_experiment(self._id).tags.get(VIEW_TAG) != value:
            try:
                self._client.set_experiment_tag(self._id, VIEW_TAG, value)
            except Exception:  # another process may have set it just now
                if VIEW_TAG not in self._client.get_experiment(self._id).tags:
                    raise

    def _interrupted(self, run_id: str) -> bool:
        shown = self._shown.get(run_id)
        if shown is None or shown.status != "RUNNING":
            return False
        self.end(run_id, "KILLED")
        return True

    def _remove_surplus(self) -> int:
        """Deletes duplicates of runs, which two concurrent drivers or a repeated request may have created."""
        count = len(self._surplus)
        while self._surplus:
            self._client.delete_run(self._surplus[-1])
            self._surplus.pop()
        return count

    def _create(self, description: Description, tags: Mapping[str, str]) -> Shown:
        """Creates a run, with its digest if `show` will set its final status last; else `show` sets the digest last."""
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
        """Logs the values that MLflow does not have yet, tags last: the digest then implies that all else is there.

        No timestamp is earlier than those already logged, as MLflow sorts by them and the points of a result are spaced
        evenly. The client splits a batch into requests of at most 1,000 values, 100 of them parameters or tags. If one
        request suffices, it has the tags as well: MLflow stores them last.
        """
        stored = self._points(shown)
        new_metrics = missing_metrics(metrics, stored)
        new_params = {name: value for name, value in params.items() if name not in shown.params}
        new_tags = {name: value for name, value in tags.items() if shown.tags.get(name) != value}
        shown.points = None  # until all have been logged
        metric_entities = [
            Metric(metric.name, metric.value, max(metric.timestamp, shown.latest), metric.step)
            for metric in new_metrics
        ]
        param_entities = [Param(*pair) for pair in new_params.items()]
        tag_entities = [RunTag(*pair) for pair in new_tags.items()]
        count = len(metric_entities) + len(param_entities) + len(tag_entities)
        if max(len(param_entities), len(tag_entities)) <= 100 and count <= 1000:
            self._client.log_batch(
                shown.id, metrics=metric_entities, params=param_entities, tags=tag_entities, synchronous=True
            )
        else:
            self._client.log_batch(shown.id, metrics=metric_entities, params=param_entities, synchronous=True)
            self._client.log_batch(shown.id, tags=tag_entities, synchronous=True)
        shown.latest = max([shown.latest, *(metric.timestamp for metric in new_metrics)])
        shown.points = stored | {(metric.name, metric.step): metric.value for metric in new_metrics}
        shown.metrics = {*shown.metrics, *(metric.name for metric in new_metrics)}
        shown.params = {*shown.params, *new_params}
        shown.tags |= new_tags


def _contradicts(stored: Stored, wanted: Iterable[Measurement]) -> bool:
    """Whether a point is stored that is not in `wanted`, or several times, or with another value."""
    values = {(metric.name, metric.step): metric.value for metric in wanted}
    return any(
        not same_value(value, values.get(step, math.nan)) or step not in values for step, value in stored.items()
    )


def _search(client: MlflowClient, experiment_id: str) -> Iterator[Shown]:
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


def _experiment_id(client: MlflowClient, study: str, question: str, tracking_uri: str) -> str:
    """The id of the study's experiment, which is restored if it was deleted and created if it is missing."""
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        try:
            tags = {"mlflow.note.content": question, "mlflow.experimentKind": "custom_model_development"}
            return str(client.create_experiment(study, artifact_location(tracking_uri, study), tags))
        except MlflowException:  # another process may have created it just now
            experiment = client.get_experiment_by_name(study)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def sync_study(ledger: Ledger, root: Path, study: str, tracking: str, *, anyway: bool = False) -> int:
    """Makes the study's experiment show the ledger. Returns how many of its runs had to change.

    Does nothing if neither has changed since the last synchronisation, as far as is known here, unless `anyway`. Call
    it while nothing of the study trains. Raises TrackingError if MLflow fails.
    """
    invocations = ledger.invocations(study)
    if not invocations:
        return 0
    results = ledger.read(runs_of(invocations))
    digest = study_digest(invocations, results)
    if is_level(root, tracking, study, digest) and not anyway:
        return 0
    changed = View(tracking).sync(study, invocations[-1].question, invocations, results)
    if changed:
        forget(root, tracking, note_name(study))  # the run to which the report was attached may be a new one
    mark_level(root, tracking, study, digest)
    return changed


_POINTS_WAITING = 10_000
"""Maximum live points that wait for delivery. Further ones are dropped; the run's result has them again."""
_BREATH = 0.5
"""Seconds between two deliveries, so that events are delivered in batches. Points of a run that ends meanwhile are
not delivered, as its result has them."""
_LONGEST_PAUSE = 300.0
"""Maximum pause in seconds: after n failures in a row the writer pauses for 2^n seconds, up to this."""


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


@dataclass(frozen=True, kw_only=True)
class _Closed:
    """The last event."""


_Event = _Opened | _Started | _Done | _Reported | _Closed


class Writer:
    """Exports one invocation to MLflow while it runs, from a thread of its own. Only `close` blocks; no method raises.

    Failed deliveries are retried after a pause, and once more on closing; later, `View.sync` recovers them from the
    ledger. `clock` returns seconds.
    """

    def __init__(self, tracking_uri: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.last_error: str | None = None
        """The latest failure, in one sentence; None without any."""
        self.failures = 0
        """Number of failed deliveries."""
        self._wanted: dict[str, int] = {}
        """The number of the latest event of each run, and 0 for the invocation."""
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
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
        """Starts the export of `current`, after the study's `earlier` invocations and `results`. Call it once."""
        invocations = (*(invocation for invocation in earlier if invocation.id != current.id), current)
        self._wanted[current.id] = 0
        self._events.put(_Opened(invocations=invocations, current=current, results=dict(results or {})))
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)
        self._thread.start()

    def running(self, run_id: str, config: RunConfig, environment: Mapping[str, Any] | None = None) -> None:
        """A run has started, or restarted."""
        number = self._want(run_id)
        self._events.put(
            _Started(run_id=run_id, number=number, config=config, environment=environment or {}, instant=_now())
        )

    def point(self, run_id: str, point: Point) -> None:
        """A run in training has reported a point; it is dropped if too many wait."""
        with self._lock:
            if self._points_waiting >= _POINTS_WAITING:
                return
            self._points_waiting += 1
        self._events.put(_Reported(run_id=run_id, metrics=point_metrics(point, _now())))

    def done(self, result: RunResult) -> None:
        """A run has ended with `result`."""
        run_id = result.run_id
        self._events.put(_Done(run_id=run_id, number=self._want(run_id), result=result))

    def close(self, timeout: float) -> int:
        """Ends the invocation, waiting up to `timeout` seconds for outstanding deliveries.

        Returns how many runs are not up to date in MLflow, the invocation's included.
        """
        self._events.put(_Closed())
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
                if isinstance(event, _Closed):
                    closed = True
                else:
                    self._courier.take(event)
            error = self._courier.deliver(last=closed)
            if error is not None:
                self.failures += 1
                self.last_error = error
            self._closing.wait(_BREATH)

    def _waiting(self) -> list[_Event]:
        """All events that wait, after waiting for the first; empty if a failed delivery is due for a retry."""
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
    """The writer's thread: the state to be shown, and the attempts to deliver it. Called only by that thread."""

    def __init__(self, tracking_uri: str, clock: Callable[[], float]) -> None:
        self.shown: dict[str, int] = {}
        """The number of the latest event that MLflow has of each run, and 0 for the closed invocation."""
        self._view = View(tracking_uri)
        self._clock = clock
        self._experiment: Experiment | None = None
        self._opened: _Opened | None = None
        self._owners: dict[str, Invocation] = {}
        self._running: dict[str, _Started] = {}
        self._points: dict[str, list[Measurement]] = {}
        self._taken: dict[str, int] = {}
        self._failures_in_a_row = 0
        self._again_at = 0.0

    def take(self, event: _Event) -> None:
        """Adds an event to the state to be shown."""
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
        """Seconds until the next attempt; None if nothing is to be delivered."""
        behind = self._experiment is None or self._points or self._behind()
        return max(0.0, self._again_at - self._clock()) if behind and self._opened is not None else None

    def deliver(self, *, last: bool) -> str | None:
        """Delivers the state to MLflow; `last` also ends the invocation. Returns why that failed, or None."""
        if self._opened is None or (self._clock() < self._again_at and not last):
            return None
        try:
            with tracked(self._view.tracking_uri):
                self._deliver(self._opened, last=last)
        except TrackingError as error:
            self._experiment = None  # which values arrived is unknown: fetch them again
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
        """Synchronises the whole study, as `View.sync`. If `last`, runs still in training are marked as interrupted."""
        experiment = self._experiment or self._view.experiment(opened.current.study, opened.current.question)
        experiment.sync(
            opened.invocations,
            opened.results,
            current=None if last else opened.current.id,
            training=() if last else self._running,
        )
        self._experiment = experiment
        if last:
            self.shown |= self._taken | {opened.current.id: 0}

    def _show(self, opened: _Opened, run_id: str) -> None:
        """Shows the present state of one run, below the invocation that needed it first."""
        if self._experiment is None:
            return
        invocation = self._owners.get(run_id)
        started = self._running.get(run_id)
        if invocation is not None:
            if started is not None:
                description = describe_running(
                    started.config, started.environment, run_id, invocation, started=started.instant
                )
            else:
                description = describe(opened.results[run_id], run_id, invocation)
            self._experiment.show(description, parent=invocation.id)
        self.shown[run_id] = self._taken[run_id]

    def _behind(self) -> list[str]:
        return [run_id for run_id, number in self._taken.items() if self.shown.get(run_id) != number]


def _now() -> int:
    """Milliseconds since 1970."""
    return round(time.time() * 1000)


REPORT_FOLDER = "report"
"""Artifact folder of the page, which keeps its file name: `report/index.html`."""

REPORT_TAG = "report.sha256"
"""Tag of the parent run with the page's digest. Without PREFIX, as `sync` deletes unknown tags with that prefix."""


def attach(invocations: Sequence[Invocation], root: Path, tracking_uri: str, page: Path) -> bool:
    """Attaches `page` to the run of the last of `invocations`, which are ordered oldest first.

    Returns whether the page had to be sent; it is not if there is no such run, or if it has this very page already.
    Raises TrackingError if MLflow fails.
    """
    if is_attached(invocations, root, tracking_uri, page):
        return False
    last, digest = invocations[-1], page_digest(page)
    with tracked(tracking_uri):
        sent = _send(last, tracking_uri, page, digest)
    if sent is not None:
        mark_level(root, tracking_uri, note_name(last.study), attachment(last, digest))
    return bool(sent)


def _send(invocation: Invocation, tracking_uri: str, page: Path, digest: str) -> bool | None:
    """Attaches `page` to the invocation's run. Returns whether it had to be sent; None if there is no such run."""
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
    matches = client.search_runs([experiment.experiment_id], f"tags.`{INVOCATION}` = '{invocation.id}'")
    parents = [run for run in matches if "mlflow.parentRunId" not in run.data.tags]
    if not parents:
        return None
    run = parents[0]
    if run.data.tags.get(REPORT_TAG) == digest:
        return False
    client.log_artifact(run.info.run_id, str(page), REPORT_FOLDER)
    client.set_tag(run.info.run_id, REPORT_TAG, digest)
    return True
