"""MLflow as a view of the ledger: one experiment a study, a run an invocation, below it the runs it first needed.

Runs are found again by tag and never doubled, and what is shown carries the digest of its description, so that
levelling touches only what differs. From an empty server everything is rebuilt; what contradicts the ledger (a
value, a step it does not have) is replaced by a new run, as MLflow's points cannot be taken back.
"""

import dataclasses
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crossarch.platform.record.invocations import Invocation
from crossarch.platform.record.mlflow_description import (
    PREFIX,
    Description,
    Measurement,
    Status,
    describe,
    describe_invocation,
    key_of,
    milliseconds,
    missing_metrics,
    owners,
    params,
    same_value,
)
from crossarch.platform.record.mlflow_saved_view import TAG, saved_view
from crossarch.platform.record.mlflow_store import artifact_location, connect, tracked
from crossarch.trainables.result import RunResult

if TYPE_CHECKING:
    from mlflow import MlflowClient

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
        if self._client.get_experiment(self._id).tags.get(TAG) != value:
            try:
                self._client.set_experiment_tag(self._id, TAG, value)
            except Exception:  # another process may have just set it
                if TAG not in self._client.get_experiment(self._id).tags:
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
