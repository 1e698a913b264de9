"""A cohort of runs, or one distillation, as a Ray Tune trial: the only module of this room that knows Ray."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.util.metrics import Gauge

from crossarch.trainables.config.distiller import from_dict as distill_from_dict
from crossarch.trainables.config.result import Point
from crossarch.trainables.config.run import from_dict
from crossarch.trainables.distillers import execute as distillation
from crossarch.trainables.environment import describe
from crossarch.trainables.training.execute import Workplace, execute, failure, now
from crossarch.trainables.working_copy import Files


def claim_device(gpu_share: float) -> str:
    """torch's name of the device that Ray has given this process, of whose memory it may take `gpu_share`, in (0, 1].

    Ray only counts shares of a GPU. A run that wants more memory than its own fails alone.
    """
    if not torch.cuda.is_available():
        return "cpu"
    torch.cuda.set_per_process_memory_fraction(gpu_share)
    return "cuda"


class Pace:
    """Steps a second of the run that this process trains, as Ray's metric `crossarch_steps_per_second`."""

    def __init__(self, architecture: str, steps_an_epoch: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._gauge = Gauge("crossarch_steps_per_second", "Steps a second of a run.", ("architecture",))
        self._tags = {"architecture": architecture}
        self._steps_an_epoch, self._clock = steps_an_epoch, clock
        self._last: tuple[int, float] | None = None

    def tell(self, epoch: int) -> None:
        """So many epochs are done. The first report only begins to count: what came before is not all training."""
        clock = self._clock()
        if self._last is not None and epoch > self._last[0]:
            self._gauge.set((epoch - self._last[0]) * self._steps_an_epoch / (clock - self._last[1]), self._tags)
        self._last = epoch, clock

    def end(self) -> None:
        """The process trains no more."""
        self._gauge.set(0.0, self._tags)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's memory did not suffice: torch's own error, or CUDA's where other processes have taken it."""
    told = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in told)


def is_lost(error: BaseException) -> bool:
    """Whether CUDA has failed, after which no further call of this process to it can succeed."""
    return isinstance(error, torch.AcceleratorError) or (isinstance(error, RuntimeError) and "CUDA error" in str(error))


def workplace_of(spec: Mapping[str, Any], origin: Files | None) -> Workplace:
    """Where a trial of `spec` works."""
    return Workplace(
        root=Path(spec["root"]),
        checkpoint_seconds=spec["checkpoint_seconds"],
        data_root=Path(spec["data_root"]) if spec["data_root"] else None,
        origin=origin,
        stops=spec.get("stops"),
    )


def trainable(spec: Mapping[str, Any], origin: Files | None = None) -> None:
    """A Tune function trainable: trains the cohort `runs` of `spec`, one after another, and reports on each.

    `spec` holds `root` (folder of checkpoints, weights and data), `data_root` (where data sets already lie, or None),
    `checkpoint_seconds` and `gpu_share` (see `claim_device`), of each run its `config`, `steps` (of the whole run) and
    `keep_weights`, and where runs may be ended early `stops` (see `Workplace`); `origin` is the storage elsewhere of
    which `root` is a working copy.

    A run reports `point`s, and at the end its `result`, or that it is `out_of_memory` where it had but a share of its
    GPU. An exception in a run is its outcome: trying it again would raise it again. After an error of CUDA's this
    process can train no other: its last report says that it `quits`, and it raises RuntimeError. A worker that dies is
    another matter: its run is given to another, and goes on from its last checkpoint.
    """
    torch.set_num_threads(1)
    workplace = workplace_of(spec, origin)
    device = claim_device(spec["gpu_share"])
    for run in spec["runs"]:
        told = _train(run, workplace, device, shared=spec["gpu_share"] < 1)
        tune.report(told)
        if told.get("quits"):
            raise RuntimeError("CUDA has failed in this process")


def _train(run: Mapping[str, Any], workplace: Workplace, device: str, *, shared: bool) -> dict[str, Any]:
    """The last report of one run; `shared` is whether its GPU has other runs."""
    config = from_dict(run["config"])
    pace = Pace(config.model.architecture, run["steps"] / config.epochs)

    def report(point: Point) -> str | None:
        pace.tell(point.epoch)
        tune.report({"point": asdict(point)})  # returns once the driver has heard it
        return workplace.why_stop(config)

    started, environment = now(), describe(device)
    try:
        result = execute(
            config,
            workplace,
            device=device,
            keep_weights=run["keep_weights"],
            on_report=report,
        )
    except Exception as error:  # whatever it is, the study goes on and the ledger tells
        quits = {"quits": True} if is_lost(error) else {}
        if shared and is_out_of_memory(error):
            return {"out_of_memory": f"{type(error).__name__}: {error}", **quits}
        return {"result": failure(config, error, started, environment).to_dict(), **quits}
    finally:
        pace.end()
    return {"result": result.to_dict()}


def distillable(spec: Mapping[str, Any], origin: Files | None = None) -> None:
    """A Tune function trainable: distils the set of `spec` and reports `point`s, at the end `stored` or `failed`.

    `spec` holds `config` (a distillation), `name` (of the set), `root`, `data_root`, `checkpoint_seconds` and
    `gpu_share`. After a worker's death it goes on from its last checkpoint, as a run does.
    """
    torch.set_num_threads(1)
    workplace = workplace_of(spec, origin)
    try:
        manifest = distillation.execute(
            distill_from_dict(spec["config"]),
            workplace,
            spec["name"],
            device=claim_device(spec["gpu_share"]),
            on_report=lambda point: tune.report({"point": asdict(point)}),
        )
    except Exception as error:  # whatever it is, trying again would raise it again
        tune.report({"failed": f"{type(error).__name__}: {error}"})
    else:
        tune.report({"stored": manifest.name})
