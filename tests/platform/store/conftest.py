"""Made-up runs of a small study, and an MLflow store that is initialised once."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from small import SMALL

from crossarch.platform.store.invocations import Invocation, needed
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import connect
from crossarch.search_spaces.study import PlannedRun
from crossarch.trainables.config.result import Point, RunResult
from crossarch.trainables.config.run import RunConfig

ENVIRONMENT = {"device": "cpu", "cpu": "Made-up 9000", "cores": "2", "torch": "2.13.0", "commit": "0123456789ab"}


@pytest.fixture(scope="session")
def planned() -> list[PlannedRun]:
    """Nine runs: baseline ConvNet and ResNet18, full ResNet18 with its teacher's recipe inside, three seeds each."""
    return list(SMALL.expand())


@pytest.fixture(scope="session")
def configs(planned: list[PlannedRun]) -> list[RunConfig]:
    return [run.config for run in planned]


def curve(epochs: int, reports: int) -> tuple[Point, ...]:
    """Numbers that no decimal notation holds exactly, and None where real curves have None."""
    return tuple(
        Point(
            epoch=(index + 1) * epochs // reports,
            train_loss=2 / (index + 3),
            learning_rate=1e-4 / 3,
            keep_rate=1 - index / (3 * reports),
            keep_rate_observed=None if index % 2 else 1 / 7 + index,
            validation_accuracy=100 / 3 if index == reports - 1 else None,
        )
        for index in range(reports)
    )


@pytest.fixture(scope="session")
def result_of() -> Callable[..., RunResult]:
    def make(config: RunConfig, *, at: str = "2026-11-21T08:00:00.123456+00:00", **changes: Any) -> RunResult:
        values: dict[str, Any] = {
            "config": config,
            "outcome": "finished",
            "test_accuracy": 100 / 3 + config.seed,
            "test_loss": 1 / 3,
            "validation_accuracy": 200 / 7,
            "best_test_accuracy": 250 / 7,
            "curve": curve(config.epochs, 5),
            "parameters": 12345,
            "steps": 678,
            "training_seconds": 0.1 + 0.2,
            "device_seconds": 1e-17,
            "environment": ENVIRONMENT,
            "started_at": "2026-11-21T07:50:00.000001+00:00",
            "finished_at": at,
        }
        return RunResult(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def invocation_of(planned: list[PlannedRun]) -> Callable[..., Invocation]:
    """An invocation of a study at an hour, with some of the planned runs (all of them) as cells."""

    def make(hour: int = 7, *, study: str = "quickstart", runs: slice = slice(None)) -> Invocation:
        cells = {run.run_id: run.coordinates for run in planned[runs]}
        return Invocation(
            id=f"20261121T{hour:02}0000000000Z-abcdef",
            study=study,
            started_at=f"2026-11-21T{hour:02}:00:00+00:00",
            command=f"crossarch run {study}",
            environment=ENVIRONMENT,
            cells=cells,
            labels=needed(SMALL, planned)["labels"],
        )

    return make


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mlflow-template")
    connect(default_tracking_uri(root))
    return root / "mlflow.db"


@pytest.fixture
def tracking_uri(_template: Path, tmp_path: Path) -> str:
    """A SQLite store of its own, copied, as the first start of one takes seconds."""
    shutil.copy(_template, tmp_path / "mlflow.db")
    return default_tracking_uri(tmp_path)


@pytest.fixture
def by_id() -> Callable[..., Mapping[str, RunResult]]:
    return lambda *results: {result.run_id: result for result in results}
