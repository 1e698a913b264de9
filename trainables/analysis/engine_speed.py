"""What the engines gain over the field's loop: steps a second of one run, by each of them, in turns.

    python -m crossarch.trainables.analysis.engine_speed runs.json [--out FILE] [--device D] [--epochs N] [--repeats R]

`runs.json` is what `crossarch bench --export` writes; torch and lion-pytorch suffice. Images and labels are random.
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
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.cpu.memory import keep_memory, return_memory
from crossarch.trainables.environment import describe
from crossarch.trainables.methods.augmentation import POOL, ROTATION_DEGREES, SCALE, chosen
from crossarch.trainables.training.engine import AHEAD, autocast, drawn_steps, prepared_steps, speed_up, take
from crossarch.trainables.training.execute import now
from crossarch.trainables.training.loop import Work, objective, reference, step


def field_epoch(work: Work, workers: int) -> float:
    """Trains an epoch of `work` by a new loader with so many workers, and returns the mean loss."""
    losses = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the field asks for more workers than some machines have cores
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
    """A step, and its loss at once."""
    config, progress = work.config, work.progress
    augmented = field_augment(images, config.augmentation.folds, config.augmentation.pool)
    loss = objective(config, progress.model(augmented), labels, work.teacher, augmented)
    progress.optimizer.zero_grad()
    loss.backward()
    progress.optimizer.step()
    progress.steps += 1
    return loss.item()


def field_augment(images: Tensor, folds: int, pool: tuple[str, ...]) -> Tensor:
    """`augment`, with the grids of scale and rotate made sample by sample."""
    for name in chosen(folds, pool):
        images = {"scale": field_scale, "rotate": field_rotate}.get(name, POOL[name])(images)
    return images


def field_scale(images: Tensor) -> Tensor:
    """Each axis stretched by a factor of its own."""
    across, down = (torch.rand(len(images)) * (SCALE - 1 / SCALE) + 1 / SCALE for _ in range(2))
    return _warp(images, [[[across[i], 0, 0], [0, down[i], 0]] for i in range(len(images))])


def field_rotate(images: Tensor) -> Tensor:
    """Turned about the centre."""
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
    """What a device can do, as measured."""

    flops: float
    """Of a matrix product of float32, floating point operations a second."""
    bandwidth: float
    """Of a copy, bytes read and written a second."""


class Operators(TorchDispatchMode):
    """Notes floating point operations and bytes, read and written, of every operator that runs within it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.noted: list[tuple[float, float]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the operator; views cost nothing."""
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            count = flop_registry.get(func._overloadpacket)
            flops = count(*args, **(kwargs or {}), out_val=result) if count else 0
            tensors = [each for each in tree_leaves((args, kwargs, result)) if isinstance(each, Tensor)]
            self.noted.append((flops, sum(each.numel() * each.element_size() for each in tensors)))
        return result


def roofline_seconds(step: Callable[[], object], rates: Rates) -> float:
    """The sum over a step's operators of the larger of the time of its arithmetic and that of its bytes."""
    with Operators() as operators:
        step()
    return math.fsum(max(flops / rates.flops, size / rates.bandwidth) for flops, size in operators.noted)


def measure_rates(device: torch.device, side: int = 1024, megabytes: int = 64) -> Rates:
    """The best of a few products of `side` x `side` matrices, and of a few copies of `megabytes` MiB."""
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
"""What takes turns: the field's loop with 4 workers and with 0, and the engines."""


class Bench:
    """One run by one of LOOPS. A "step" that is timed is an epoch: the field's loop spends most between epochs."""

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
        """Building it and its first epoch."""

    def seconds(self, steps: int) -> float:
        """Seconds an epoch, over so many epochs."""
        device = self.work.images.device
        (keep_memory if self.loop.startswith("fast") else return_memory)()
        synchronize(device)
        begun = time.perf_counter()
        self.train(steps)
        synchronize(device)
        return (time.perf_counter() - begun) / steps

    def train(self, epochs: int) -> None:
        """So many epochs, all at that of the lowest keep rate; the fast engines draw no further ahead."""
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
            drawn = (each for _ in range(epochs) for each in drawn_steps(work, range(first, first + 1)))
            drawn = (dataclasses.replace(each, closes=False) for each in drawn)
            for ready in prepared_steps(drawn, work.teacher, precision):
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
    """Times every run by every loop: a document for JSON, with all that one must know to judge it.

    A turn has `epochs`, or else `turn_epochs`. `on_run` hears of each run before its turns. Raises ValueError for too
    few epochs or repeats.
    """
    if (epochs is not None and epochs < 1) or repeats < FEWEST_REPEATS:
        raise ValueError(f"epochs = {epochs}, repeats = {repeats}: at least 1 and {FEWEST_REPEATS} are needed")
    started, rows = now(), list[dict[str, Any]]()
    for run in runs:
        on_run(f"{run.network}, {run.arm}")
        turn = epochs or turn_epochs(run.config)
        rows += [
            {"epochs": turn, **each}
            for each in measure_run(run, epochs=turn, repeats=repeats, device=device, loops=loops)
        ]
    return {
        "measured_at": started,
        "environment": dict(describe(device)),
        "load_average": os.getloadavg()[0],
        "threads": 1,
        "repeats": repeats,
        "runs": rows,
    }


def turn_epochs(config: RunConfig) -> int:
    """Epochs of a turn in which the fast engines look as far ahead as in a run."""
    return -(-AHEAD // (config.data.images_per_class * DATASETS[config.data.dataset].classes))


@one_thread()
def measure_run(run: Timed, *, epochs: int, repeats: int, device: str, loops: Sequence[str]) -> list[dict[str, Any]]:
    """One run by every loop: steps a second, ratios to the field's loops, share of the roofline, memory."""
    rates = measure_rates(torch.device(device))
    benches = [Bench(run.config, loop, device) for loop in loops]
    seconds = dict(zip(loops, in_turns(benches, steps=epochs, repeats=repeats, untimed=0), strict=True))
    batches = -(-len(benches[0].work.images) // run.config.batch_size)
    best = roofline(run.config, rates, device)
    return [row(run, bench, seconds, batches, best, rates) for bench in benches]


def row(
    run: Timed, bench: Bench, seconds: Mapping[str, Sequence[float]], batches: int, best: float, rates: Rates
) -> dict[str, Any]:
    """What is told of one loop; `seconds` an epoch by loop and turn, `best` those of a step on the roofline."""
    own = seconds[bench.loop]
    epoch = statistics.median(own)
    gains = {other: ratios(seconds[other], own) for other in FIELD if other in seconds}
    return {
        "network": run.network,
        "arm": run.arm,
        "images_per_class": run.config.data.images_per_class,
        "width": run.config.model.width,
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
    """Seconds of one of the reference loop's steps on the roofline."""
    work = make_work(config, device, config.batch_size)
    return roofline_seconds(lambda: step(config, work.progress, work.images, work.labels, work.teacher), rates)


def peak_bytes(bench: Bench) -> int:
    """The most that is allocated at a time, beyond what is kept, in an epoch; on a CPU without loaders' workers."""
    device = bench.work.images.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        kept = torch.cuda.memory_allocated(device)
        bench.train(1)
        return torch.cuda.max_memory_allocated(device) - kept
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        if bench.loop in FIELD:
            field_step(
                bench.work, *(each[: bench.work.config.batch_size] for each in (bench.work.images, bench.work.labels))
            )
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
    """The rows under HEADINGS, in words: ratios of steps a second to those of the field's loops, 95 % intervals."""
    return [
        (
            each["network"],
            str(each["images_per_class"]),
            each["loop"].replace("bfloat16", "bf16"),
            f"{each['steps_a_second']:.2f}",
            *(_gain(each, other) for other in FIELD),
            f"{each['roofline_share']:.0%}",
            f"{each['peak_bytes'] / 2**20:.0f}",
        )
        for each in document["runs"]
    ]


def diverged(document: Mapping[str, Any]) -> list[str]:
    """Network and loop of what ended in a loss that is not finite."""
    return [f"{each['network']}, {each['loop']}" for each in document["runs"] if not each["loss_is_finite"]]


def _gain(each: Mapping[str, Any], other: str) -> str:
    if other not in each["gain"] or other == each["loop"]:
        return ""
    low, high = each["gain_interval"][other]
    return f"{each['gain'][other]:.2f} ({low:.2f}–{high:.2f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    epochs = ("epochs", None, "timed epochs of a turn; default: as far as engines look ahead")
    document = time_runs(arguments, "bench", "Times engines, without Ray.", epochs, 15, measure, HEADINGS, table)
    return 2 if document is None else 1 if diverged(document) else 0


if __name__ == "__main__":
    raise SystemExit(main())
