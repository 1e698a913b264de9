"""Executes one run, from configuration to result: data, teacher, training, final evaluation, environment."""

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.identity import run_id, weights_file
from crossarch.trainables.config.result import Outcome, Point, RunResult
from crossarch.trainables.config.run import DataConfig, DistilledData, RunConfig
from crossarch.trainables.data.distilled_sets import Store
from crossarch.trainables.data.images import Images
from crossarch.trainables.data.load import load
from crossarch.trainables.environment import describe
from crossarch.trainables.models.registry import build, parameter_count
from crossarch.trainables.training.engine import train
from crossarch.trainables.training.evaluate import evaluate
from crossarch.trainables.training.loop import DivergedError, EndedError
from crossarch.trainables.training.state import Checkpoints, Progress, copy_weights, load_weights, save_weights
from crossarch.trainables.working_copy import Files, WorkingCopy


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """The folders of a run: teachers' weights, data, checkpoints. They outlive its process."""

    root: Path
    checkpoint_seconds: float = 30.0
    data_root: Path | None = None
    """A folder that has real data sets already, in torchvision's layout."""
    origin: Files | None = None
    """The remote storage of which `root` is a working copy; None if `root` is the storage itself."""
    stops: str | None = None
    """Folder below the root in which a driver puts requests to end runs early; None disables them."""

    @property
    def copy(self) -> WorkingCopy:
        """The root as a working copy of its origin."""
        return WorkingCopy(self.root, self.origin)

    def weights(self, config: RunConfig, which: str = "final") -> Path:
        """The file of a teacher's weights, `final` or `best`."""
        return self.root / "weights" / weights_file(config, which)

    @property
    def data(self) -> Path:
        """The folder of distilled sets, downloads and caches."""
        return self.root / "data"

    def checkpoints(self, config: RunConfig) -> Checkpoints:
        """The checkpoints of a run."""
        return Checkpoints(self.root / "checkpoints" / run_id(config), self.checkpoint_seconds, self.copy)

    def why_stop(self, config: RunConfig) -> str | None:
        """The driver's reason to end the run early; None without such a request, or if the storage does not answer."""
        if self.stops is None:
            return None
        name = f"{self.stops}/{run_id(config)}"
        try:
            self.copy.pull(name)
            return (self.root / name).read_text(encoding="utf-8")
        except OSError:
            return None


def execute(
    config: RunConfig,
    workplace: Workplace,
    *,
    device: str = "cpu",
    keep_weights: bool = False,
    on_report: Callable[[Point], str | None] = lambda point: None,
) -> RunResult:
    """Trains and tests one run, continuing from its last checkpoint if there is one.

    A loss that is not finite is the outcome `diverged`, and a reason returned by `on_report` the outcome `stopped`;
    neither raises.

    Args:
        config: The run.
        workplace: Its folders.
        device: The torch device.
        keep_weights: Whether to save the weights, as students need them.
        on_report: As for `loop.train`.

    Raises:
        FileNotFoundError: The teacher's weights, or data, are missing.
        ValueError: The distilled set is not the one that `config` names.
    """
    started = now()
    fetch_set(config.data, workplace)
    data = load(config.data, workplace.data, workplace.data_root)
    teacher, teacher_digest = load_teacher(config, workplace, device)
    outcome: Outcome = "finished"
    accuracy, loss, validation, error, digest = None, None, None, None, None
    try:
        progress = train(
            config,
            data,
            device=device,
            teacher=teacher,
            checkpoints=workplace.checkpoints(config),
            on_report=on_report,
        )
        accuracy, loss = final_test(config, progress, data)
        validation, _ = evaluate(progress.model, data.validation, data.validation_labels)
        if keep_weights:
            digest = save_for_students(config, progress, workplace)
    except EndedError as ended:
        progress, error = ended.progress, str(ended)
        outcome = "diverged" if isinstance(ended, DivergedError) else "stopped"
    workplace.checkpoints(config).leave()
    return RunResult(
        config=config,
        outcome=outcome,
        error=error,
        test_accuracy=accuracy,
        test_loss=loss,
        validation_accuracy=validation,
        best_test_accuracy=None if outcome == "stopped" else progress.best_accuracy,
        curve=tuple(progress.curve),
        parameters=parameter_count(progress.model),
        steps=progress.steps,
        training_seconds=progress.training_seconds,
        device_seconds=progress.device_seconds,
        environment=describe(device),
        teacher_sha256=teacher_digest,
        weights_sha256=digest,
        started_at=started,
        finished_at=now(),
    )


def final_test(config: RunConfig, progress: Progress, data: Images) -> tuple[float, float]:
    """Accuracy in % and loss in nats on the whole test set, after the last epoch.

    With several tests, its weights may become the best. Raises DivergedError if the loss is not finite.
    """
    accuracy, loss = evaluate(progress.model, data.test, data.test_labels)
    if not math.isfinite(loss):
        raise DivergedError(f"the test loss is {loss} after the last epoch", progress)
    if config.test_evaluations > 1:
        progress.keep_best(accuracy)
    return accuracy, loss


def save_for_students(config: RunConfig, progress: Progress, workplace: Workplace) -> str:
    """Saves the final weights and, with several tests, the best ones. Returns the digest of the final weights."""
    copy, final = workplace.copy, copy_weights(progress.model)
    if config.test_evaluations > 1:
        save_weights(progress.best_weights or final, workplace.weights(config, "best"), copy)
    return save_weights(final, workplace.weights(config), copy)


def fetch_set(config: DataConfig, workplace: Workplace) -> None:
    """Fetches the run's distilled set from the origin, unless the local copy has the SHA-256 that `config` names.

    A damaged local copy is fetched again. Does nothing without an origin.
    """
    if not isinstance(config, DistilledData) or workplace.origin is None:
        return
    store = Store(workplace.data / "distilled")
    name = workplace.copy.name(store.file(config.distilled_set))
    workplace.copy.pull(name)
    try:
        whole = store.read(config.distilled_set)[0].sha256 == config.sha256
    except (FileNotFoundError, ValueError):
        whole = False
    if not whole:
        workplace.copy.forget(name)
        workplace.copy.pull(name)


def load_teacher(config: RunConfig, workplace: Workplace, device: str) -> tuple[nn.Module | None, str | None]:
    """The teacher in evaluation mode on `device`, and its weights' digest; None without knowledge distillation."""
    if config.kd is None:
        return None, None
    recipe = config.kd.teacher
    teacher = build(recipe.model, DATASETS[recipe.data.dataset], recipe.keep_rate)
    teacher.to(getattr(torch, recipe.precision))
    weights = workplace.weights(recipe, config.kd.teacher_weights)
    workplace.copy.pull(workplace.copy.name(weights))
    digest = load_weights(teacher, weights)
    return teacher.to(device, getattr(torch, config.precision)).eval(), digest


def failure(config: RunConfig, error: Exception, started: str, environment: Mapping[str, str]) -> RunResult:
    """The result of a run that raised `error`: outcome `failed`, with exception, file and line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    reason = f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
    return RunResult(
        config=config, outcome="failed", error=reason, environment=environment, started_at=started, finished_at=now()
    )


def blocked(config: RunConfig, teacher_id: str, outcome: str) -> RunResult:
    """The result of a run whose teacher has no weights: outcome `blocked`, with the teacher's id and `outcome`."""
    return RunResult(config=config, outcome="blocked", error=f"its teacher {teacher_id} {outcome}", finished_at=now())


def now() -> str:
    """The present time, ISO 8601 in UTC with microseconds."""
    return datetime.now(UTC).isoformat()
