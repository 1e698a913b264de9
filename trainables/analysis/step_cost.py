"""What a training step of each arm costs: the paper calls its methods' overhead negligible (Sec. 1, Sec. 3.2).

    python -m crossarch.trainables.analysis.step_cost runs.json [--out FILE] [--device D] [--steps N] [--repeats R]

`runs.json` is what `crossarch overhead --export` writes; torch and lion-pytorch suffice. Arms of one network take
turns within one process, so that whatever else a machine does hits all alike, and ratios are taken turn by turn.
"""

import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import RunConfig, from_dict
from crossarch.trainables.environment import describe
from crossarch.trainables.files import write_json
from crossarch.trainables.methods.drop_path import set_keep_rate
from crossarch.trainables.methods.optimizer import make_optimizer, set_learning_rate
from crossarch.trainables.methods.schedules import keep_rate, learning_rate
from crossarch.trainables.models.registry import build
from crossarch.trainables.training.batch import Parser, find_device
from crossarch.trainables.training.execute import now
from crossarch.trainables.training.loop import Work, step
from crossarch.trainables.training.state import Progress


class Timeable(Protocol):
    """Something whose steps can be timed."""

    def seconds(self, steps: int) -> float:
        """Seconds a step, over so many."""


def in_turns(benches: Sequence[Timeable], *, steps: int, repeats: int, untimed: int = 1) -> list[list[float]]:
    """Seconds a step of each bench in each of `repeats` turns, each of `untimed` and then `steps` timed steps.

    Every turn begins with another bench.
    """
    seconds: list[list[float]] = [[] for _ in benches]
    for turn in range(repeats):
        for place in range(len(benches)):
            index = (turn + place) % len(benches)
            if untimed:
                benches[index].seconds(untimed)
            seconds[index].append(benches[index].seconds(steps))
    return seconds


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch use one thread for a while."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ratios(values: Sequence[float], others: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The median of `values` over `others`, turn by turn, and its 95 % confidence interval."""
    each = [value / other for value, other in zip(values, others, strict=True)]
    return statistics.median(each), median_interval(each)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper one."""
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, upper


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Order statistics between which the median lies with at least 95 % confidence, whatever the distribution.

    The k-th smallest and k-th largest of n values, k the greatest with P(Binomial(n, 1/2) < k) <= 2.5 %.
    Raises ValueError where there are too few values for it.
    """
    n, k, below = len(values), 0, 0.5 ** len(values)
    while below <= 0.025:
        k += 1
        below += math.comb(n, k) * 0.5**n
    if not k:
        raise ValueError(f"{n} values are too few for a 95 % interval of their median")
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]


WARMUP_STEPS = 3
"""Not timed: memory is allocated and kernels are chosen. Later, one at the beginning of every turn."""

FEWEST_REPEATS = 6
"""Fewer have no 95 % interval of their median."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A run whose steps are timed. The first of a network is what the others are compared with."""

    network: str
    arm: str
    config: RunConfig


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds a step of one run, and ratios to the network's first run, turn by turn."""

    network: str
    arm: str
    epochs: int
    keep_rate: float
    """While timed."""
    seconds: tuple[float, ...]
    """A step's, in each turn."""
    median: float
    """Of the seconds; `quartiles` too."""
    quartiles: tuple[float, float]
    ratio: float
    """Median of the turns' ratios."""
    ratio_quartiles: tuple[float, float]
    ratio_interval: tuple[float, float]
    """95 % confidence interval of the ratio's median, by order statistics."""
    run_ratio: float
    """Of a whole run: ratio times epochs over the first run's epochs."""
    run_ratio_with_teacher: float | None
    """The teacher's own training counted, too; None without a teacher, or where its steps were not timed."""


class Bench:
    """One run, ready to take steps on random images in the epoch of its lowest keep rate."""

    def __init__(self, config: RunConfig, device: str) -> None:
        self.work = make_work(config, device, config.batch_size)

    def seconds(self, steps: int) -> float:
        """Seconds a step, over `steps` of the training loop's own steps."""
        work, config, progress = self.work, self.work.config, self.work.progress
        synchronize(work.images.device)
        begun = time.perf_counter()
        for _ in range(steps):
            set_learning_rate(progress.optimizer, learning_rate(progress.epoch, config))
            step(config, progress, work.images, work.labels, work.teacher)
        synchronize(work.images.device)
        return (time.perf_counter() - begun) / steps


def make_work(config: RunConfig, device: str, count: int | None = None) -> Work:
    """The run on `count` random images, or as many as it has, in the epoch of its lowest keep rate."""
    torch.manual_seed(config.seed)
    facts = DATASETS[config.data.dataset]
    count = count or config.data.images_per_class * facts.classes
    images = torch.randn(count, facts.channels, facts.resolution, facts.resolution, device=device)
    images = images.to(getattr(torch, config.precision))
    model = build(config.model, facts, config.keep_rate).to(images)
    teacher = None
    if config.kd is not None:
        recipe = config.kd.teacher
        teacher = build(recipe.model, facts, recipe.keep_rate).to(images).eval()
    progress = Progress(model=model, optimizer=make_optimizer(model, config.optimizer), epoch=costly_epoch(config))
    set_keep_rate(model, keep_rate(progress.epoch, config.keep_rate, config.phases))
    set_learning_rate(progress.optimizer, learning_rate(progress.epoch, config))
    labels = torch.arange(count, device=device) % facts.classes
    return Work(config=config, progress=progress, images=images, labels=labels, teacher=teacher)


def costly_epoch(config: RunConfig) -> int:
    """Of the epochs in which most paths are dropped, that of the highest learning rate."""
    return min(
        range(config.epochs),
        key=lambda epoch: (keep_rate(epoch, config.keep_rate, config.phases), -learning_rate(epoch, config)),
    )


@one_thread()
def take_turns(configs: Sequence[RunConfig], *, steps: int, repeats: int, device: str = "cpu") -> list[list[float]]:
    """Seconds a step of each run in each of `repeats` turns, each of one untimed and `steps` timed steps, in turns."""
    benches = [Bench(config, device) for config in configs]
    for bench in benches:
        bench.seconds(WARMUP_STEPS)
    return in_turns(benches, steps=steps, repeats=repeats)


def measure(
    runs: Iterable[Timed],
    *,
    steps: int,
    repeats: int,
    device: str = "cpu",
    on_network: Callable[[str], None] = lambda network: None,
) -> dict[str, Any]:
    """Times all runs, network by network: a document for JSON, with all that one must know to judge it.

    `on_network` hears of each network before its turns. Raises ValueError for too few steps or repeats.
    """
    if steps < 1 or repeats < FEWEST_REPEATS:
        raise ValueError(f"steps = {steps}, repeats = {repeats}: at least 1 and {FEWEST_REPEATS} are needed")
    networks: dict[str, list[Timed]] = {}
    for run in runs:
        networks.setdefault(run.network, []).append(run)
    started, medians, costs = now(), dict[RunConfig, float](), list[Cost]()
    for network, timed in networks.items():
        on_network(network)
        seconds = take_turns([run.config for run in timed], steps=steps, repeats=repeats, device=device)
        medians |= {run.config: statistics.median(own) for run, own in zip(timed, seconds, strict=True)}
        costs += [compare(run, own, timed[0], seconds[0], medians) for run, own in zip(timed, seconds, strict=True)]
    return {
        "measured_at": started,
        "environment": dict(describe(device)),
        "threads": 1,
        "steps": steps,
        "repeats": repeats,
        "runs": [asdict(cost) for cost in costs],
        "configs": [run.config.to_dict() for timed in networks.values() for run in timed],
    }


def compare(
    run: Timed, seconds: Sequence[float], first: Timed, reference: Sequence[float], medians: Mapping[RunConfig, float]
) -> Cost:
    """The cost of `run`, whose steps took `seconds` while those of `first` took `reference`.

    `medians` are the seconds a step of all runs so far.
    """
    ratios = [own / other for own, other in zip(seconds, reference, strict=True)]
    teacher = run.config.kd.teacher if run.config.kd else None
    whole = statistics.median(reference) * first.config.epochs
    run_ratio = statistics.median(ratios) * run.config.epochs / first.config.epochs
    taught = medians[teacher] * teacher.epochs / whole if teacher in medians and teacher else None
    return Cost(
        network=run.network,
        arm=run.arm,
        epochs=run.config.epochs,
        keep_rate=keep_rate(costly_epoch(run.config), run.config.keep_rate, run.config.phases),
        seconds=tuple(seconds),
        median=statistics.median(seconds),
        quartiles=quartiles(seconds),
        ratio=statistics.median(ratios),
        ratio_quartiles=quartiles(ratios),
        ratio_interval=median_interval(ratios),
        run_ratio=run_ratio,
        run_ratio_with_teacher=None if taught is None else run_ratio + taught,
    )


HEADINGS = ("Network", "Arm", "ms a step", "ratio", "95 % interval", "run", "run + teacher")


def table(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows under HEADINGS, in words; ratios are to the network's first arm, the last two of whole runs."""
    return [
        (
            cost["network"],
            cost["arm"],
            f"{1000 * cost['median']:.1f}",
            f"{cost['ratio']:.2f}",
            " – ".join(f"{limit:.2f}" for limit in cost["ratio_interval"]),
            f"{cost['run_ratio']:.1f}",
            "" if cost["run_ratio_with_teacher"] is None else f"{cost['run_ratio_with_teacher']:.1f}",
        )
        for cost in document["runs"]
    ]


def read_runs(path: Path) -> list[Timed]:
    """The runs of a file that `crossarch overhead --export` wrote. Raises ValueError, in one sentence, otherwise."""
    try:
        entries = json.loads(path.read_bytes())
        return [Timed(**{**entry, "config": from_dict(entry["config"])}) for entry in entries]
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is not what `crossarch overhead --export` writes: {error}") from error


def time_runs(
    arguments: Sequence[str] | None,
    name: str,
    description: str,
    timed: tuple[str, int | None, str],
    repeats: int,
    measure: Callable[..., dict[str, Any]],
    headings: tuple[str, ...],
    table: Callable[[Mapping[str, Any]], list[tuple[str, ...]]],
) -> dict[str, Any] | None:
    """Times the runs of a file that `crossarch <name> --export` writes, as a command line says, and prints the table.

    `timed` is what a turn has so many of: option, default, help; `repeats` the default. None where input was refused.
    """
    parser = Parser(prog=f"python -m crossarch.trainables.analysis.{name}", description=description)
    parser.add_argument("runs", type=Path, help=f"JSON file: what `crossarch {name} --export` writes")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    option, default, meaning = timed
    parser.add_argument(f"--{option}", type=int, default=default, help=meaning)
    parser.add_argument("--repeats", type=int, default=repeats, help=f"turns; default: {repeats}")
    options = parser.parse_args(arguments)
    turns = {option: getattr(options, option), "repeats": options.repeats}
    try:
        device = find_device(options.device)
        document = measure(read_runs(options.runs), device=device, **turns)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return None
    if options.out:
        write_json(options.out, document)
    for row in (headings, *table(document)):
        sys.stdout.write("\t".join(row) + "\n")
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    steps = ("steps", 3, "timed steps of a turn; default: 3")
    document = time_runs(arguments, "overhead", "Times steps, without Ray.", steps, 51, measure, HEADINGS, table)
    return 2 if document is None else 0


if __name__ == "__main__":
    raise SystemExit(main())
