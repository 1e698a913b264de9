"""Speed of the engines relative to the field's usual training loop: steps per second of one run, in turns.

    python -m crossarch.trainables.analysis.engine_speed runs.json [--out FILE] [--device D] [--epochs N] [--repeats R]

`runs.json` comes from `crossarch bench --export`; torch and lion-pytorch suffice. Images and labels are random.
"""

import dataclasses
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import flop_registry

from crossarch.trainables.analysis.step_cost import (
    FEWEST_REPEATS,
    Timed,
    in_turns,
    make_work,
    one_thread,
    ratios,
    synchronize,
    time_runs,
)
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import RunConfig, flatten
from crossarch.trainables.cpu.memory import keep_memory, return_memory
from crossarch.trainables.environment import describe
from crossarch.trainables.methods.augmentation import POOL, ROTATION_DEGREES, SCALE, chosen
from crossarch.trainables.training.engine import AHEAD, autocast, drawn_steps, prepared_steps, speed_up, take
from crossarch.trainables.training.execute import now
from crossarch.trainables.training.loop import Work, objective, reference, step


def field_epoch(work: Work, workers: int) -> float:
    """Trains one epoch with a new DataLoader of `workers` workers, as usual in the field. Returns the mean loss."""
    losses = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some machines have fewer cores than 4 workers
        loader = DataLoader(
            TensorDataset(work.images, work.labels),
            batch_size=work.config.batch_size,
            shuffle=True,
            num_workers=workers,
        )
        for images, labels in loader:
            losses.append(field_step(work, images, labels))
    return sum(losses) / len(losses)


def field_step(work: Work, images: Tensor, labels: Tensor) -> float:
    """Takes one step as is usual in the field. Returns its loss, which synchronises the device."""
    config, progress = work.config, work.progress
    augmented = field_augment(images, config.augmentation.folds, config.augmentation.pool)
    loss = objective(config, progress.model(augmented), labels, work.teacher, augmented)
    progress.optimizer.zero_grad()
    loss.backward()
    progress.optimizer.step()
    progress.steps += 1
    return loss.item()


def field_augment(images: Tensor, folds: int, pool: tuple[str, ...]) -> Tensor:
    """As `augment`, but builds the grids of scale and rotate sample by sample, as in DSA's code."""
    for name in chosen(folds, pool):
        images = {"scale": field_scale, "rotate": field_rotate}.get(name, POOL[name])(images)
    return images


def field_scale(images: Tensor) -> Tensor:
    """Scales each axis by its own factor."""
    across, down = (torch.rand(len(images)) * (SCALE - 1 / SCALE) + 1 / SCALE for _ in range(2))
    return _warp(images, [[[across[i], 0, 0], [0, down[i], 0]] for i in range(len(images))])


def field_rotate(images: Tensor) -> Tensor:
    """Rotates each image about its centre."""
    angle = (torch.rand(len(images)) - 0.5) * 2 * ROTATION_DEGREES / 180 * math.pi
    rows = [
        [[torch.cos(angle[i]), torch.sin(-angle[i]), 0], [torch.sin(angle[i]), torch.cos(angle[i]), 0]]
        for i in range(len(images))
    ]
    return _warp(images, rows)


def _warp(images: Tensor, rows: list[list[list[Any]]]) -> Tensor:
    theta = torch.tensor(rows, dtype=images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False).to(images.device)
    return F.grid_sample(images, grid, align_corners=False)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Measured peak rates of a device."""

    flops: float
    """Floating point operations per second of a matrix product in float32."""
    bandwidth: float
    """Bytes read and written per second by a copy."""


class Operators(TorchDispatchMode):
    """Records floating point operations and bytes read and written of every operator that runs in the context."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorded: list[tuple[float, float]] = []
        """Operations and bytes of each operator."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs and records the operator; views are not recorded."""
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            count = flop_registry.get(func._overloadpacket)
            flops = count(*args, **(kwargs or {}), out_val=result) if count else 0
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
            self.recorded.append((flops, sum(tensor.numel() * tensor.element_size() for tensor in tensors)))
        return result


def roofline_seconds(step: Callable[[], object], rates: Rates) -> float:
    """Lower bound of a step's seconds: the sum over its operators of the larger of arithmetic and memory time."""
    with Operators() as operators:
        step()
    return math.fsum(max(flops / rates.flops, size / rates.bandwidth) for flops, size in operators.recorded)


def measure_rates(device: torch.device, side: int = 1024, megabytes: int = 64) -> Rates:
    """The best rates of a few products of `side` x `side` matrices, and of a few copies of `megabytes` MiB."""
    left = torch.randn(side, side, device=device)
    source = torch.randn(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    return Rates(
        flops=2 * side**3 / min(_times(lambda: left @ left, device)),
        bandwidth=2 * megabytes * 2**20 / min(_times(lambda: target.copy_(source), device)),
    )


def _times(call: Callable[[], object], device: torch.device, repeats: int = 8) -> Iterator[float]:
    for _ in range(repeats):
        synchronize(device)
        begun = time.perf_counter()
        call()
        synchronize(device)
        yield time.perf_counter() - begun


FIELD = ("field, 4", "field, 0")
LOOPS = (*FIELD, "reference", "fast", "fast_bfloat16")
"""The loops that are compared: the field's loop with 4 workers and with 0, and the engines."""


class Bench:
    """One run by one of LOOPS. The timed unit is an epoch, as the field's loop spends most time between epochs."""

    def __init__(self, config: RunConfig, loop: str, device: str) -> None:
        begun = time.perf_counter()
        self.work = make_work(config.replace({"engine": loop} if loop not in FIELD else {}), device)
        self.loop = loop
        self.losses = torch.zeros((), device=device, dtype=self.work.images.dtype)
        if loop.startswith("fast"):
            for network in (self.work.progress.model, self.work.teacher):
                if network is not None:
                    speed_up(network, self.work.config)
        self.seconds(1)
        self.setup_seconds = time.perf_counter() - begun
        """Seconds of building the run and of its first epoch."""

    def seconds(self, steps: int) -> float:
        """Mean seconds per epoch over `steps` epochs."""
        device = self.work.images.device
        if self.loop.startswith("fast"):
            keep_memory()
        else:
            return_memory()
        synchronize(device)
        begun = time.perf_counter()
        self.train(steps)
        synchronize(device)
        return (time.perf_counter() - begun) / steps

    def train(self, epochs: int) -> None:
        """Trains `epochs` epochs, all with the schedules of the epoch of the lowest keep rate.

        The fast engines draw no steps beyond these epochs.
        """
        work, first = self.work, self.work.progress.epoch
        if self.loop in FIELD:
            for _ in range(epochs):
                self.losses += field_epoch(work, 4 if self.loop == FIELD[0] else 0)
        elif self.loop == "reference":
            take_epoch = reference(work)
            for _ in range(epochs):
                take_epoch(first, self.losses)
        else:
            precision = autocast(work.config, work.images.device)
            upcoming = (drawn for _ in range(epochs) for drawn in drawn_steps(work, range(first, first + 1)))
            upcoming = (dataclasses.replace(drawn, closes=False) for drawn in upcoming)
            for ready in prepared_steps(upcoming, work.teacher, precision):
                self.losses += take(work.config, work.progress, ready, precision)


def measure(
    runs: Iterable[Timed],
    *,
    epochs: int | None = None,
    repeats: int,
    device: str = "cpu",
    loops: Sequence[str] = LOOPS,
    on_run: Callable[[str], None] = lambda run: None,
) -> dict[str, Any]:
    """Times every run with every loop. Returns a document for JSON, with the conditions of the measurement.

    A turn has `epochs` epochs, or by default `turn_epochs`. `on_run` is called with each run's name before its turns.
    Raises ValueError for too few epochs or repeats.
    """
    if (epochs is not None and epochs < 1) or repeats < FEWEST_REPEATS:
        raise ValueError(f"epochs = {epochs}, repeats = {repeats}: at least 1 and {FEWEST_REPEATS} are needed")
    started, rows = now(), list[dict[str, Any]]()
    for run in runs:
        on_run(f"{run.network}, {run.arm}")
        turn = epochs or turn_epochs(run.config)
        measured = measure_run(run, epochs=turn, repeats=repeats, device=device, loops=loops)
        rows += [{"epochs": turn, **result} for result in measured]
    return {
        "measured_at": started,
        "environment": dict(describe(device)),
        "load_average": os.getloadavg()[0],
        "threads": 1,
        "repeats": repeats,
        "runs": rows,
    }


def turn_epochs(config: RunConfig) -> int:
    """Epochs of a turn in which the fast engines prepare as many images at once as in a run."""
    return math.ceil(AHEAD / (config.data.images_per_class * DATASETS[config.data.dataset].classes))


@one_thread()
def measure_run(run: Timed, *, epochs: int, repeats: int, device: str, loops: Sequence[str]) -> list[dict[str, Any]]:
    """Measures one run with every loop: steps per second, gains over the field's loops, roofline share, memory."""
    rates = measure_rates(torch.device(device))
    benches = [Bench(run.config, loop, device) for loop in loops]
    seconds = dict(zip(loops, in_turns(benches, steps=epochs, repeats=repeats, untimed=0), strict=True))
    batches = math.ceil(len(benches[0].work.images) / run.config.batch_size)
    best = roofline(run.config, rates, device)
    return [row(run, bench, seconds, batches, best, rates) for bench in benches]


def row(
    run: Timed, bench: Bench, seconds: Mapping[str, Sequence[float]], batches: int, best: float, rates: Rates
) -> dict[str, Any]:
    """The results of one loop: `seconds` per epoch by loop and turn; `best` is the roofline's seconds per step."""
    own = seconds[bench.loop]
    epoch = statistics.median(own)
    gains = {other: ratios(seconds[other], own) for other in FIELD if other in seconds}
    return {
        "network": run.network,
        "arm": run.arm,
        "images_per_class": run.config.data.images_per_class,
        "width": dict(flatten(run.config)).get("model.width"),
        "loop": bench.loop,
        "seconds": list(own),
        "steps_a_second": batches / epoch,
        "gain": {other: gain for other, (gain, _) in gains.items()},
        "gain_interval": {other: interval for other, (_, interval) in gains.items()},
        "roofline_share": best * batches / epoch,
        "rates": {"flops": rates.flops, "bandwidth": rates.bandwidth},
        "setup_seconds": bench.setup_seconds,
        "run_seconds": bench.setup_seconds + run.config.epochs * epoch,
        "peak_bytes": peak_bytes(bench),
        "loss_is_finite": bool(torch.isfinite(bench.losses)),
    }


def roofline(config: RunConfig, rates: Rates, device: str) -> float:
    """The roofline's seconds of one step of the reference loop."""
    work = make_work(config, device, config.batch_size)
    return roofline_seconds(lambda: step(config, work.progress, work.images, work.labels, work.teacher), rates)


def peak_bytes(bench: Bench) -> int:
    """Peak bytes allocated in an epoch, beyond those allocated before; on a CPU without those of loaders' workers."""
    device = bench.work.images.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        kept = torch.cuda.memory_allocated(device)
        bench.train(1)
        return torch.cuda.max_memory_allocated(device) - kept
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        if bench.loop in FIELD:
            size = bench.work.config.batch_size
            field_step(bench.work, bench.work.images[:size], bench.work.labels[:size])
        else:
            bench.train(1)
    level = peak = 0
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        peak = max(peak, level)
    return peak


HEADINGS = ("Network", "IPC", "loop", "steps/s", "over 4 workers", "over 0 workers", "roof", "MiB")


def table(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows under HEADINGS as texts: ratios of steps per second to the field's loops with 95 % intervals."""
    return [
        (
            run["network"],
            str(run["images_per_class"]),
            run["loop"].replace("bfloat16", "bf16"),
            f"{run['steps_a_second']:.2f}",
            *(_gain(run, loop) for loop in FIELD),
            f"{run['roofline_share']:.0%}",
            f"{run['peak_bytes'] / 2**20:.0f}",
        )
        for run in document["runs"]
    ]


def diverged(document: Mapping[str, Any]) -> list[str]:
    """`network, loop` of each run whose loss is not finite."""
    return [f"{run['network']}, {run['loop']}" for run in document["runs"] if not run["loss_is_finite"]]


def _gain(run: Mapping[str, Any], loop: str) -> str:
    """`2.10 (1.95–2.30)`, the ratio to a loop of the field; empty for that loop itself, and if it was not measured."""
    if loop not in run["gain"] or loop == run["loop"]:
        return ""
    low, high = run["gain_interval"][loop]
    return f"{run['gain'][loop]:.2f} ({low:.2f}–{high:.2f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    epochs = ("epochs", None, "timed epochs of a turn; default: as far as engines look ahead")
    document = time_runs(arguments, "bench", "Times engines, without Ray.", epochs, 15, measure, HEADINGS, table)
    if document is None:
        return 2
    return 1 if diverged(document) else 0


if __name__ == "__main__":
    raise SystemExit(main())
