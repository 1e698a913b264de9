"""What one run leaves behind: plain values that the ledger, MLflow and a bare machine's JSON files all share."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import RunConfig, from_dict

Outcome = Literal["finished", "diverged", "failed", "blocked", "stopped"]
"""`diverged`: the loss left the finite numbers. `failed`: an error or lost workers. `blocked`: its teacher did not
finish. `stopped`: ended early, as asked, where others did better. Only `finished` and `diverged` are results; `failed`
and `blocked` are tried again by the next `run`, `stopped` by the next that does not stop runs early."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One report during training, at the end of an epoch."""

    epoch: int
    """Epochs done, from 1."""
    train_loss: float
    """Mean loss over the steps since the last report, as trained (augmented, dropped, distilled)."""
    learning_rate: float
    keep_rate: float
    keep_rate_observed: float | None = None
    """Share of paths kept since the last report; None where the network drops none."""
    validation_accuracy: float | None = None
    """In %, on at most 1,000 validation images; None at reports without evaluation."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The outcome of one run. Accuracies are in %, times in seconds, instants in ISO 8601 UTC."""

    config: RunConfig
    outcome: Outcome
    error: str | None = None
    """Why it did not finish, in one paragraph; None where it did."""
    test_accuracy: float | None = None
    """Final epoch, whole test set, in %."""
    test_loss: float | None = None
    """Final epoch, whole test set, mean cross-entropy in nats."""
    validation_accuracy: float | None = None
    """Final epoch, all validation images, in %: what a search may optimise."""
    best_test_accuracy: float | None = None
    """The best of `test_evaluations` on the whole test set, in %: selected on test data, never a headline."""
    curve: tuple[Point, ...] = ()
    parameters: int = 0
    """Trained parameters of the network."""
    steps: int = 0
    """Optimizer steps taken."""
    training_seconds: float = 0.0
    """In the training loop alone, summed over resumptions."""
    device_seconds: float = 0.0
    """From building the network to the end of its test, evaluations included, summed over resumptions."""
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Hardware, versions and commit (`environment.describe`)."""
    teacher_sha256: str | None = None
    """Digest of the teacher's weights this run learned from."""
    weights_sha256: str | None = None
    """Digest of this run's final weights, where they were kept."""
    started_at: str = ""
    finished_at: str = ""

    @property
    def run_id(self) -> str:
        """`<config hash>-s<seed>`."""
        return run_id(self.config)

    @property
    def is_result(self) -> bool:
        """Whether the outcome is what the configuration leads to, so that training again would not change it."""
        return self.outcome in ("finished", "diverged")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, ready for JSON."""
        return dataclasses.asdict(self)


def result_from_dict(values: Mapping[str, Any]) -> RunResult:
    """The inverse of `RunResult.to_dict`. Raises ValueError for a bad configuration, TypeError for unknown names."""
    curve = tuple(Point(**point) for point in values.get("curve", ()))
    return RunResult(**{**values, "config": from_dict(values["config"]), "curve": curve})
