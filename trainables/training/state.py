"""Checkpoints, from which an interrupted run continues as if it had not been interrupted, and weights of teachers."""

import hashlib
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from crossarch.trainables.config.result import Point
from crossarch.trainables.files import write_atomically
from crossarch.trainables.working_copy import StorageUnreachableError, WorkingCopy

KEPT = 2
"""Number of checkpoints kept: the last, and the one before it in case the last is damaged."""


@dataclass(kw_only=True)
class Progress:
    """The training state of a run, except for the random number generators."""

    model: nn.Module
    optimizer: Optimizer
    epoch: int = 0
    """Number of epochs done."""
    steps: int = 0
    """Number of optimizer steps taken."""
    steps_reported: int = 0
    """Number of them at the last report."""
    training_seconds: float = 0.0
    curve: list[Point] = field(default_factory=list)
    best_accuracy: float | None = None
    """Best accuracy on the whole test set, in %; None unless it is tested during training."""
    best_weights: dict[str, Tensor] | None = None
    begun: float = field(default_factory=time.perf_counter)
    """The time at which the run began, on this process' clock, minus the seconds spent before interruptions."""

    @property
    def device_seconds(self) -> float:
        """Seconds spent on the device so far, summed over resumptions."""
        return time.perf_counter() - self.begun

    def keep_best(self, accuracy: float) -> None:
        """Keeps the present weights if `accuracy`, on the whole test set in %, is better than all before."""
        if self.best_accuracy is None or accuracy > self.best_accuracy:
            self.best_accuracy, self.best_weights = accuracy, copy_weights(self.model)


class Checkpoints:
    """The checkpoints of one run or dataset distillation, in a folder of its own, at most one every `every_seconds`.

    With a working copy `copy` that contains the folder, they are kept at its origin as well.
    """

    def __init__(self, folder: Path, every_seconds: float = 30.0, copy: WorkingCopy | None = None) -> None:
        self.folder = folder
        self._copy = copy or WorkingCopy(folder.parent)
        self._name = f"{self._copy.name(folder)}/"
        self.every_seconds = every_seconds
        self._last = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough for another."""
        return time.monotonic() - self._last >= self.every_seconds

    def save_if_due(self, progress: Progress) -> None:
        """Writes a checkpoint, atomically, if the last is old enough. Keeps the last two."""
        if self.is_due:
            self.save(progress.epoch, capture(progress))

    def save(self, number: int, state: dict[str, Any]) -> None:
        """Writes tensors and plain values atomically as the checkpoint after `number` epochs or steps; keeps two."""
        write_atomically(self.folder / f"{number:08d}.pt", lambda path: torch.save(state, path))
        try:
            self._copy.push(self._name)
            for old in self._paths()[:-KEPT]:
                self._copy.drop(self._name + old.name)
        except StorageUnreachableError as error:
            warnings.warn(f"checkpoint {number} is on this machine only: {error}", stacklevel=2)
        self._last = time.monotonic()

    def restore(self, progress: Progress) -> bool:
        """Restores `progress` and the random number generators from the last readable checkpoint, if there is one."""
        state = self.last()
        if state is not None:
            reinstate(progress, state)
        return state is not None

    def last(self) -> dict[str, Any] | None:
        """The state in the last readable checkpoint, on the CPU; None without one."""
        self._copy.pull(self._name)
        for path in reversed(self._paths()):
            try:
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # a damaged file may fail in any way; the one before it is still good
                warnings.warn(f"checkpoint {path.name} cannot be read and is passed over: {error}", stacklevel=2)
                continue
            return state
        return None

    def clear(self) -> None:
        """Removes the run's checkpoints."""
        self._copy.drop(self._name)

    def leave(self) -> None:
        """Removes the run's checkpoints from this machine if they are kept in remote storage as well."""
        if self._copy.origin is not None:
            self._copy.forget(self._name)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.pt"))


def capture(progress: Progress) -> dict[str, Any]:
    """The whole training state as tensors and plain values: weights, optimizer, counters, curve, generators."""
    return {
        "model": progress.model.state_dict(),
        "optimizer": progress.optimizer.state_dict(),
        "epoch": progress.epoch,
        "steps": progress.steps,
        "training_seconds": progress.training_seconds,
        "device_seconds": progress.device_seconds,
        "curve": [asdict(point) for point in progress.curve],
        "best_accuracy": progress.best_accuracy,
        "best_weights": progress.best_weights,
        **capture_rng(),
    }


def reinstate(progress: Progress, state: dict[str, Any]) -> None:
    """The inverse of `capture`."""
    progress.model.load_state_dict(state["model"])
    progress.optimizer.load_state_dict(state["optimizer"])
    progress.epoch = state["epoch"]
    progress.steps = progress.steps_reported = state["steps"]
    progress.training_seconds = state["training_seconds"]
    progress.begun -= state["device_seconds"]
    progress.curve = [Point(**point) for point in state["curve"]]
    progress.best_accuracy = state["best_accuracy"]
    progress.best_weights = state["best_weights"]
    reinstate_rng(state)


def capture_rng() -> dict[str, Any]:
    """The states of the random number generators."""
    return {
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def reinstate_rng(state: dict[str, Any]) -> None:
    """The inverse of `capture_rng`, from a mapping that may hold more."""
    torch.set_rng_state(state["rng"])
    if state["cuda_rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda_rng"])


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's weights on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def save_weights(weights: dict[str, Tensor], path: Path, copy: WorkingCopy | None = None) -> str:
    """Writes weights atomically, into the working copy `copy` if given, and returns their digest."""
    copy = copy or WorkingCopy(path.parent)
    copy.write(copy.name(path), lambda temporary: torch.save(weights, temporary))
    return weights_digest(weights)


def load_weights(model: nn.Module, path: Path) -> str:
    """Loads the weights in `path` into `model` and returns their digest.

    Raises FileNotFoundError if the file is missing, and RuntimeError if its weights are of another network.
    """
    weights = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(weights)
    return weights_digest(weights)


def file_digest(path: Path) -> str:
    """The digest of the weights in a file. Raises ValueError, in one sentence, if it does not have weights."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        return weights_digest(weights)
    except Exception as error:  # a damaged file may fail in any way
        raise ValueError(f"{path.name} holds no weights: {str(error).partition(chr(10))[0]}") from error


def weights_digest(weights: dict[str, Tensor]) -> str:
    """SHA-256 over names and values of weights, independent of the file format."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
