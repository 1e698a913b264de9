"""The loss landscapes of a study's finished runs, each measured once and kept beside the ledger."""

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from crossarch.platform.record.ledger import Ledger
from crossarch.platform.record.storage import place_of
from crossarch.platform.validation import BadInputError
from crossarch.search_spaces.study import Planned, Study
from crossarch.trainables.analysis.landscape import Landscape, from_dict, measure
from crossarch.trainables.checkpoint import file_digest
from crossarch.trainables.config import RunConfig
from crossarch.trainables.identity import run_id
from crossarch.trainables.run import Workplace

MOST_POINTS = 1001
"""Along each side of a plane: each point is a pass over the training set."""


def landscapes(
    study: Study,
    seeds: tuple[int, ...],
    workplace: Workplace,
    *,
    eigenvalues: int,
    distances: Sequence[float],
    device: str,
    tell: Callable[[str], None],
) -> list[tuple[Planned, Landscape]]:
    """A landscape for every finished run of the study whose weights were kept; `tell` hears of each measurement.

    Raises BadInputError where there is none.
    """
    finished = {name for name, result in Ledger(workplace.root).read().items() if result.outcome == "finished"}
    found = []
    for plan in study.expand(seeds):
        if run_id(plan.config) not in finished:
            continue
        workplace.copy.pull(workplace.copy.name(workplace.weights(plan.config)))
        if workplace.weights(plan.config).exists():
            tell(f"{plan.arm} · {' · '.join(plan.cell)} · seed {plan.config.seed}")
            found.append((plan, _landscape(plan.config, workplace, eigenvalues, tuple(distances), device)))
    if not found:
        raise BadInputError(
            f"study = {study.name!r} has no finished run whose weights were kept below {place_of(workplace.root)!r}: "
            "a study keeps those of its teachers, and all where it says so, as figure8 does"
        )
    return found


def evenly(radius: float, points: int) -> tuple[float, ...]:
    """`points` distances from minus `radius` to `radius`. Raises ValueError where there is no such grid."""
    if not 0 < radius < math.inf:
        raise ValueError(f"radius = {radius:g} is outside (0, inf)")
    if not MOST_POINTS >= points >= 3 or points % 2 == 0:
        raise ValueError(f"points = {points} is not an odd number in [3, {MOST_POINTS}]: the weights are the middle")
    half = points // 2
    return tuple(radius * step / half for step in range(-half, half + 1))


def _landscape(
    config: RunConfig, workplace: Workplace, eigenvalues: int, distances: tuple[float, ...], device: str
) -> Landscape:
    """Read where it was measured on these very weights in the same way, else measured and written."""
    copy, name = workplace.copy, f"landscapes/{run_id(config)}.json"
    copy.pull(name)
    file = workplace.root / name
    known = read(file)
    same = known is not None and known.distances == distances and len(known.eigenvalues) == eigenvalues
    if known is not None and same and known.weights_sha256 == file_digest(workplace.weights(config)):
        return known
    measured = measure(config, workplace, eigenvalues=eigenvalues, distances=distances, device=device)
    copy.write(name, partial(_write, text=json.dumps(measured.to_dict()) + "\n"))
    return measured


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def read(file: Path) -> Landscape | None:
    """What was measured before; None where there is nothing that can be read."""
    try:
        return from_dict(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return None
