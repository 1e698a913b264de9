"""Exports dataset distillations to MLflow's experiment `distill`: parameters, curve, pictures.

The store of distilled sets is authoritative; MLflow is a view of it.
"""

import json
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from crossarch.platform.store.tracking import (
    PREFIX,
    Description,
    Experiment,
    Measurement,
    Status,
    TrackingError,
    View,
    hardware,
    tracked,
)
from crossarch.trainables.config.distiller import DistillConfig, distill_id
from crossarch.trainables.data.manifest import Manifest
from crossarch.trainables.distillers.loop import DistillPoint

EXPERIMENT = "distill"
QUESTION = "The distilled sets made here: how they were distilled, how fast, and what they look like."
METRICS = ("loss", "label_entropy", "validation_accuracy")
"""Metrics of a curve. Times are left out: after a resumption they would contradict those already logged."""


def parameters(config: DistillConfig) -> dict[str, str]:
    """All settings by name, defaults resolved to values."""
    return {name: str(value) for name, value in config.resolved().to_dict().items() if value is not None}


def measurements(points: Iterable["dict[str, Any]"], timestamp: int) -> tuple[Measurement, ...]:
    """The curve's values; `timestamp` is in milliseconds since 1970."""
    return tuple(
        Measurement(name=name, value=point[name], step=point["step"], timestamp=timestamp)
        for point in points
        for name in METRICS
        if point.get(name) is not None
    )


def describe_running(config: DistillConfig, name: str, started: int, status: Status = "RUNNING") -> Description:
    """The description of a distillation that runs or was stopped, without its curve.

    `started` is in milliseconds since 1970.
    """
    return Description(name=name, status=status, started=started, tags=_tags(config, name), params=parameters(config))


def describe_finished(config: DistillConfig, manifest: Manifest) -> Description:
    """The description of a distillation whose set is in the store, entirely from its manifest."""
    facts = json.loads(manifest.facts)
    ended = round(datetime.fromisoformat(manifest.created_at).timestamp() * 1000)
    last = Measurement(name="seconds", value=facts["seconds"], step=facts["steps"], timestamp=ended)
    more = {"sha256": manifest.sha256, "commit": facts["environment"]["commit"]}
    more["hardware"] = hardware(facts["environment"])
    return Description(
        name=manifest.name,
        status="FINISHED",
        started=ended - round(1000 * facts["seconds"]),
        ended=ended,
        tags=_tags(config, manifest.name) | {f"{PREFIX}{key}": str(value) for key, value in more.items() if value},
        params=parameters(config),
        metrics=(*measurements(facts["curve"], ended), last),
    )


def _tags(config: DistillConfig, name: str) -> dict[str, str]:
    tags = {
        "run_id": distill_id(config),
        "role": "distillation",
        "set": name,
        "distiller": config.distiller,
        "dataset": config.dataset,
        "seed": str(config.seed),
    }
    return {f"{PREFIX}{key}": value for key, value in tags.items()}


class DistillationView:
    """One dataset distillation as a run in MLflow, updated while it runs.

    Methods never raise: at MLflow's first failure `tell` is called with a sentence, and nothing more is exported. As a
    context manager it ends the run with status KILLED if the body raises.
    """

    def __init__(self, tracking_uri: str, config: DistillConfig, name: str, tell: Callable[[str], None]) -> None:
        self.tracking_uri, self.config, self.name = tracking_uri, config, name
        self._tell = tell
        self._experiment: Experiment | None = None
        self._broken = False
        self._started = round(time.time() * 1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # An exception, Ctrl-C among them, must not leave a run with status RUNNING.
        if exception[0] is not None and self._experiment is not None:
            self.stopped("KILLED")

    def running(self) -> None:
        """Creates the run, or sets it to RUNNING again."""
        self._try(lambda shown: shown.show(describe_running(self.config, self.name, self._started)))

    def point(self, point: DistillPoint) -> None:
        """Logs one point of the curve; steps that are already logged are not changed."""
        values = measurements([vars(point)], round(time.time() * 1000))
        self._try(lambda shown: shown.add_points(distill_id(self.config), values))

    def artifacts(self, paths: Iterable[Path], folder: str) -> None:
        """Logs files into the run's artifact folder `folder`."""
        self._try(lambda shown: shown.add_artifacts(distill_id(self.config), paths, folder))

    def finished(self, manifest: Manifest) -> bool:
        """Ends the run as FINISHED, from its manifest. Returns whether anything had to change."""
        return bool(self._try(lambda shown: shown.show(describe_finished(self.config, manifest))))

    def stopped(self, status: Status) -> None:
        """Ends the run, which made no set, with `status`. What was logged stays."""
        self._try(lambda shown: shown.end(distill_id(self.config), status))

    def _try(self, act: Callable[[Experiment], Any]) -> Any:
        if self._broken:
            return None
        try:
            with tracked(self.tracking_uri):
                if self._experiment is None:
                    self._experiment = View(self.tracking_uri).experiment(EXPERIMENT, QUESTION)
                return act(self._experiment)
        except TrackingError as error:
            self._broken = True
            self._tell(f"MLflow does not show this: {error} The same command makes up for it.")
            return None
