"""Implements `crossarch bench` and `crossarch overhead`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from crossarch.platform.commands.resolve import check_study
from crossarch.platform.errors import refusing
from crossarch.platform.report.overhead import export_timed, render_bench, render_overhead, timed_bench, timed_runs
from crossarch.platform.store.storage import require_writable
from crossarch.search_spaces.overhead import overhead_study
from crossarch.trainables.analysis import engine_speed, step_cost
from crossarch.trainables.files import write_json
from crossarch.trainables.training.batch import find_device


def time_engines(
    architectures: Sequence[str],
    images_per_class: Sequence[int],
    width: float,
    epochs: int | None,
    repeats: int,
    *,
    smoke: bool,
    out: Path | None,
    export: Path | None,
) -> int:
    """Times the field's usual training loop and the engines in turns, or exports the runs.

    `smoke` replaces all values but the architectures. Returns the exit status: 1 if a loss is not finite, else 0.
    Raises BadInputError for values that are not allowed.
    """
    check_writable(out=out, export=export)
    if smoke:
        images_per_class, width, epochs, repeats = (1,), 1 / 32, 1, step_cost.FEWEST_REPEATS
    with refusing():
        runs = timed_bench(architectures, images_per_class, width)
        if export:
            export_timed(runs, export)
            return 0
        with timing() as tell:
            document = engine_speed.measure(runs, epochs=epochs, repeats=repeats, device=find_device(None), on_run=tell)
    if out:
        write_json(out, document)
    Console().print(render_bench(document))
    lost = engine_speed.diverged(document)
    if lost:
        Console().print(f"The loss is not finite: {'; '.join(lost)}.", style="red")
    return 1 if lost else 0


def time_overhead(
    architectures: Sequence[str],
    width: float,
    batch: int,
    steps: int,
    repeats: int,
    *,
    out: Path | None,
    export: Path | None,
) -> None:
    """Times a training step of every arm, or exports the runs. Raises BadInputError for values that are not allowed."""
    check_writable(out=out, export=export)
    with refusing():
        study = overhead_study(architectures, width, batch)
        check_study(study)
        if export:
            export_timed(timed_runs(study), export)
            return
        with timing() as tell:
            document = step_cost.measure(
                timed_runs(study), steps=steps, repeats=repeats, device=find_device(None), on_network=tell
            )
    if out:
        write_json(out, document)
    Console().print(render_overhead(document))


def check_writable(**files: Path | None) -> None:
    """Raises BadInputError if one of `files`, by option name, cannot be written."""
    for option, file in files.items():
        if file:
            require_writable(file.parent, option)


@contextmanager
def timing() -> Iterator[Callable[[str], None]]:
    """Shows a status line on the terminal; yields the function that sets what is being timed."""
    with Console().status("Timing ...") as shown:
        yield lambda what: shown.update(f"Timing {what} ...")
