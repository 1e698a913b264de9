"""Cost of a training step of each arm: the paper calls its methods' overhead negligible (Sec. 1, Sec. 3.2).

    python -m crossarch.trainables.analysis.step_cost runs.json [--out FILE] [--device D] [--steps N] [--repeats R]

`runs.json` comes from `crossarch overhead --export`; torch and lion-pytorch suffice. Arms of one network are timed in
turns within one process, so that other load on the machine affects all alike, and ratios are computed turn by turn.
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
    """An object whose steps can be timed."""

    def seconds(self, steps: int) -> float:
        """Mean seconds per step over `steps` steps."""


def in_turns(benches: Sequence[Timeable], *, steps: int, repeats: int, untimed: int = 1) -> list[list[float]]:
    """Seconds per step of each bench in each of `repeats` turns.

    In a turn each bench takes `untimed` steps and then `steps` timed ones. Every turn begins with another bench.
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
    """Limits torch to one thread in the context."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def synchronize(device: torch.device) -> None:
    """Waits until a CUDA device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ratios(values: Sequence[float], others: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The median of the ratios of `values` to `others`, turn by turn, and its 95 % confidence interval."""
    by_turn = [value / other for value, other in zip(values, others, strict=True)]
    return statistics.median(by_turn), median_interval(by_turn)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper quartile."""
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, upper


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """A distribution-free confidence interval of the median, of at least 95 %, from order statistics.

    The k-th smallest and k-th largest of n values, with the largest k for which P(Binomial(n, 1/2) < k) <= 2.5 %.
    Raises ValueError for too few values.
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
"""Initial untimed steps, which allocate memory and choose kernels. Later, every turn has one untimed step."""

FEWEST_REPEATS = 6
"""Minimum number of turns: fewer have no 95 % interval of their median."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A run whose steps are timed. The first run of a network is the reference for its others."""

    network: str
    arm: str
    config: RunConfig


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds per step of one run, and ratios to the network's first run, computed turn by turn."""

    network: str
    arm: str
    epochs: int
    keep_rate: float
    """The keep rate in the timed steps."""
    seconds: tuple[float, ...]
    """Seconds per step in each turn."""
    median: float
    """Median of `seconds`; `quartiles` are the quartiles of `seconds`."""
    quartiles: tuple[float, float]
    ratio: float
    """Median of the turns' ratios."""
    ratio_quartiles: tuple[float, float]
    ratio_interval: tuple[float, float]
    """95 % confidence interval of the ratio's median, by order statistics."""
    run_ratio: float
    """Ratio of whole runs: `ratio` times epochs over the first run's epochs."""
    run_ratio_with_teacher: float | None
    """The same with the teacher's training included; None without a teacher, or if its steps were not timed."""


class Bench:
    """One run on random images, in the epoch of its lowest keep rate."""

    def __init__(self, config: RunConfig, device: str) -> None:
        self.work = make_work(config, device, config.batch_size)

    def seconds(self, steps: int) -> float:
        """Mean seconds per step over `steps` steps of the reference loop."""
        work, config, progress = self.work, self.work.config, self.work.progress
        synchronize(work.images.device)
        begun = time.perf_counter()
        for _ in range(steps):
            set_learning_rate(progress.optimizer, learning_rate(progress.epoch, config))
            step(config, progress, work.images, work.labels, work.teacher)
        synchronize(work.images.device)
        return (time.perf_counter() - begun) / steps


def make_work(config: RunConfig, device: str, count: int | None = None) -> Work:
    """The run on `count` random images, by default as many as it has, in the epoch of its lowest keep rate."""
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
    """The epoch with the lowest keep rate; of several, the one with the highest learning rate."""
    return min(
        range(config.epochs),
        key=lambda epoch: (keep_rate(epoch, config.keep_rate, config.phases), -learning_rate(epoch, config)),
    )


@one_thread()
def take_turns(configs: Sequence[RunConfig], *, steps: int, repeats: int, device: str = "cpu") -> list[list[float]]:
    """`in_turns` of the runs after WARMUP_STEPS: seconds per step of each run in each of `repeats` turns."""
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
    """Times all runs, network by network. Returns a document for JSON, with the conditions of the measurement.

    `on_network` is called with each network before its turns. Raises ValueError for too few steps or repeats.
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
    """The cost of `run` relative to the network's first run.

    Args:
        run: The run.
        seconds: Its seconds per step in each turn.
        first: The network's first run.
        reference: The first run's seconds per step in each turn.
        medians: Median seconds per step of all runs measured so far.
    """
    ratios = [own / other for own, other in zip(seconds, reference, strict=True)]
    teacher = run.config.kd.teacher if run.config.kd else None
    whole = statistics.median(reference) * first.config.epochs
    run_ratio = statistics.median(ratios) * run.config.epochs / first.config.epochs
    teacher_ratio = None
    if teacher is not None and teacher in medians:
        teacher_ratio = medians[teacher] * teacher.epochs / whole
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
        run_ratio_with_teacher=None if teacher_ratio is None else run_ratio + teacher_ratio,
    )


HEADINGS = ("Network", "Arm", "ms a step", "ratio", "95 % interval", "run", "run + teacher")


def table(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows under HEADINGS as texts; ratios are to the network's first arm, the last two of whole runs."""
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
    """The runs in a file of `crossarch overhead --export`. Raises ValueError, in one sentence, for any other file."""
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
    """Runs a timing command: parses the command line, measures, writes the document and prints the table.

    Args:
        arguments: The command line.
        name: Of the command `crossarch <name> --export`, which writes the file of runs.
        description: Of the command.
        timed: The option for the length of a turn: its name, default and help.
        repeats: Default number of turns.
        measure: The function that measures.
        headings: Of the table.
        table: The rows of the table, from the document.

    Returns:
        The document; None if the input was refused.
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
