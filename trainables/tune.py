"""Ray Tune function trainables: a cohort of runs, or a dataset distillation. The only module here that imports Ray."""

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
    """The torch device that Ray has assigned to this process; `cpu` without a GPU.

    Limits the process to `gpu_share`, in (0, 1], of the GPU's memory. Ray only counts shares and does not enforce them;
    so a run that needs more memory fails without affecting the others on the GPU.
    """
    if not torch.cuda.is_available():
        return "cpu"
    torch.cuda.set_per_process_memory_fraction(gpu_share)
    return "cuda"


class Pace:
    """Exports the steps per second of the run in training as Ray's metric `crossarch_steps_per_second`."""

    def __init__(self, architecture: str, steps_an_epoch: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._gauge = Gauge("crossarch_steps_per_second", "Steps a second of a run.", ("architecture",))
        self._tags = {"architecture": architecture}
        self._steps_an_epoch, self._clock = steps_an_epoch, clock
        self._last: tuple[int, float] | None = None

    def tell(self, epoch: int) -> None:
        """Records that `epoch` epochs are done. The first call only starts the clock, as set-up is not training."""
        clock = self._clock()
        if self._last is not None and epoch > self._last[0]:
            self._gauge.set((epoch - self._last[0]) * self._steps_an_epoch / (clock - self._last[1]), self._tags)
        self._last = epoch, clock

    def end(self) -> None:
        """Sets the metric to 0: the process has stopped training."""
        self._gauge.set(0.0, self._tags)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's memory did not suffice: torch's own error, or CUDA's if other processes have taken the memory."""
    messages = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(message in str(error) for message in messages)


def is_lost(error: BaseException) -> bool:
    """Whether CUDA has failed such that no further CUDA call of this process can succeed."""
    return isinstance(error, torch.AcceleratorError) or (isinstance(error, RuntimeError) and "CUDA error" in str(error))


def workplace_of(spec: Mapping[str, Any], origin: Files | None) -> Workplace:
    """The workplace of a trial with the config `spec`."""
    return Workplace(
        root=Path(spec["root"]),
        checkpoint_seconds=spec["checkpoint_seconds"],
        data_root=Path(spec["data_root"]) if spec["data_root"] else None,
        origin=origin,
        stops=spec.get("stops"),
    )


def trainable(spec: Mapping[str, Any], origin: Files | None = None) -> None:
    """A Tune function trainable: trains the cohort `spec["runs"]`, one run after another, and reports on each.

    A run reports `point`s and finally its `result`, or `out_of_memory` with the reason if it had only a share of its
    GPU. An exception in a run becomes the result's outcome, as a retry would raise it again. After an error of CUDA the
    process cannot train any more: the last report has `quits`, and RuntimeError is raised. If the worker dies, its run
    is given to another worker and continues from its last checkpoint.

    Args:
        spec: `root` (folder of checkpoints, weights and data), `data_root` (folder that has data sets already, or
            None), `checkpoint_seconds`, `gpu_share` (see `claim_device`), `stops` if runs may be ended early (see
            `Workplace`), and `runs`, each with `config`, `steps` (of the whole run) and `keep_weights`.
        origin: The remote storage of which `root` is a working copy, if any.
    """
    torch.set_num_threads(1)
    workplace = workplace_of(spec, origin)
    device = claim_device(spec["gpu_share"])
    for run in spec["runs"]:
        last_report = _train(run, workplace, device, shared=spec["gpu_share"] < 1)
        tune.report(last_report)
        if last_report.get("quits"):
            raise RuntimeError("CUDA has failed in this process")


def _train(run: Mapping[str, Any], workplace: Workplace, device: str, *, shared: bool) -> dict[str, Any]:
    """Trains one run and returns its last report. `shared`: whether the run has only a share of its GPU."""
    config = from_dict(run["config"])
    pace = Pace(config.model.architecture, run["steps"] / config.epochs)

    def report(point: Point) -> str | None:
        pace.tell(point.epoch)
        tune.report({"point": asdict(point)})  # returns when the driver has processed it
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
    except Exception as error:  # any exception: the study continues, and the ledger records it
        last: dict[str, Any] = {}
        if shared and is_out_of_memory(error):
            last["out_of_memory"] = f"{type(error).__name__}: {error}"
        else:
            last["result"] = failure(config, error, started, environment).to_dict()
        if is_lost(error):
            last["quits"] = True
        return last
    finally:
        pace.end()
    return {"result": result.to_dict()}


def distillable(spec: Mapping[str, Any], origin: Files | None = None) -> None:
    """A Tune function trainable: distils a set and reports `point`s, and finally `stored` or `failed`.

    After a worker's death a retry continues from the last checkpoint.

    Args:
        spec: `config` (a DistillConfig), `name` (of the set), and `root`, `data_root`, `checkpoint_seconds` and
            `gpu_share` as for `trainable`.
        origin: The remote storage of which `root` is a working copy, if any.
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
    except Exception as error:  # any exception: a retry would raise it again
        tune.report({"failed": f"{type(error).__name__}: {error}"})
    else:
        tune.report({"stored": manifest.name})
