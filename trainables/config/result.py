"""Result of a run: plain values shared by the ledger, MLflow and the JSON files of training without Ray."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import RunConfig, from_dict

Outcome = Literal["finished", "diverged", "failed", "blocked", "stopped"]
"""How a run ended.

`finished`: trained to the end. `diverged`: the loss became non-finite. `failed`: an error or lost workers. `blocked`:
the teacher did not finish. `stopped`: early stopping, as other runs did better. Only `finished` and `diverged` are
results; `failed` and `blocked` are retried by the next `run`, `stopped` by the next one without early stopping.
"""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One report during training, at the end of an epoch."""

    epoch: int
    """Number of completed epochs, from 1."""
    train_loss: float
    """Mean training loss over the steps since the last report, with augmentation, DropPath and distillation term."""
    learning_rate: float
    keep_rate: float
    keep_rate_observed: float | None = None
    """Share of paths kept since the last report; None without DropPath."""
    validation_accuracy: float | None = None
    """Accuracy in % on at most 1,000 validation images; None at reports without evaluation."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """Result of one run. Accuracies are in %, durations in seconds, times in ISO 8601 UTC."""

    config: RunConfig
    outcome: Outcome
    error: str | None = None
    """Why the run did not finish, in one paragraph; None if it did."""
    test_accuracy: float | None = None
    """Accuracy after the final epoch on the whole test set, in %."""
    test_loss: float | None = None
    """Mean cross-entropy after the final epoch on the whole test set, in nats."""
    validation_accuracy: float | None = None
    """Accuracy after the final epoch on all validation images, in %; the objective of searches."""
    best_test_accuracy: float | None = None
    """Best of `test_evaluations` on the whole test set, in %: selected on test data, so never a main result."""
    curve: tuple[Point, ...] = ()
    parameters: int = 0
    """Number of trainable parameters."""
    steps: int = 0
    """Number of optimizer steps."""
    training_seconds: float = 0.0
    """Seconds in the training loop only, summed over resumptions."""
    device_seconds: float = 0.0
    """Seconds from building the network to the end of its test, with evaluations, summed over resumptions."""
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Hardware, versions and commit (`environment.describe`)."""
    teacher_sha256: str | None = None
    """SHA-256 of the teacher's weights."""
    weights_sha256: str | None = None
    """SHA-256 of the final weights, if they were kept."""
    former_run_id: str | None = None
    """The run id given by an earlier version of crossarch, if the ledger was migrated."""
    started_at: str = ""
    finished_at: str = ""

    @property
    def run_id(self) -> str:
        """Run id, `<config hash>-s<seed>`."""
        return run_id(self.config)

    @property
    def is_result(self) -> bool:
        """Whether the outcome follows from the configuration, so that training again would not change it."""
        return self.outcome in ("finished", "diverged")

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values for JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return values | {
            "config": self.config.to_dict(),
            "curve": [dataclasses.asdict(point) for point in self.curve],
            "environment": dict(self.environment),
        }


def result_from_dict(values: Mapping[str, Any]) -> RunResult:
    """The inverse of `RunResult.to_dict`. Raises ValueError for a bad configuration, TypeError for unknown names."""
    curve = tuple(Point(**point) for point in values.get("curve", ()))
    return RunResult(**{**values, "config": from_dict(values["config"]), "curve": curve})
