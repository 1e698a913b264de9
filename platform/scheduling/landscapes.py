"""Measures the loss landscapes of a study's finished runs, each once, and stores them beside the ledger."""

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from crossarch.platform.errors import BadInputError
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import place_of
from crossarch.platform.text import duration
from crossarch.search_spaces.study import PlannedRun, Study
from crossarch.trainables.analysis.loss_landscape import Landscape, from_dict, measure
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.files import writing
from crossarch.trainables.training.execute import Workplace
from crossarch.trainables.training.state import file_digest

MOST_POINTS = 1001
"""Maximum points along each side of a plane; each point costs a pass over the training set."""


def landscapes(
    study: Study,
    seeds: tuple[int, ...],
    workplace: Workplace,
    *,
    eigenvalues: int,
    distances: Sequence[float],
    device: str,
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> list[tuple[PlannedRun, Landscape]]:
    """The landscapes of all finished runs of the study whose weights were kept; missing ones are measured.

    Args:
        study: Its runs of `seeds` are measured.
        seeds: The seeds.
        workplace: Where weights, data and landscapes are.
        eigenvalues: Number of the Hessian's largest eigenvalues.
        distances: Distances along each direction of the plane at which the loss is measured.
        device: The torch device.
        say: Called with a line for the terminal: first how many runs will be measured, then one per measured run.
        tell: Called with the progress of the current run.

    Raises:
        BadInputError: No run has weights.
    """
    plans = _with_weights(study, seeds, workplace)
    known = {run_id(plan.config): _known(plan.config, workplace, eigenvalues, tuple(distances)) for plan in plans}
    lacking = [plan for plan in plans if known[run_id(plan.config)] is None]
    say(f"{len(lacking)} of {len(plans)} runs to measure" + (", the others were before" if lacking != plans else ""))
    for number, plan in enumerate(lacking, start=1):
        name = f"{number}/{len(lacking)}  {' · '.join(study.names(plan))} · seed {plan.config.seed}"
        tell(name)
        measured = measure(
            plan.config,
            workplace,
            eigenvalues=eigenvalues,
            distances=tuple(distances),
            device=device,
            tell=partial(_tell_of, name, tell),
        )
        text = json.dumps(measured.to_dict()) + "\n"
        workplace.copy.write(f"landscapes/{measured.run_id}.json", writing(text))
        known[measured.run_id] = measured
        say(f"{name}  largest eigenvalue {measured.eigenvalues[0]:.3g}  {duration(measured.seconds)}")
    pairs = [(plan, known[run_id(plan.config)]) for plan in plans]
    return [(plan, landscape) for plan, landscape in pairs if landscape is not None]


def _tell_of(name: str, tell: Callable[[str], None], progress: str) -> None:
    tell(f"{name}: {progress}")


def _with_weights(study: Study, seeds: tuple[int, ...], workplace: Workplace) -> list[PlannedRun]:
    """The study's finished runs whose weights were kept. Raises BadInputError if there are none."""
    finished = {name for name, result in Ledger(workplace.root).read().items() if result.outcome == "finished"}
    plans = []
    for plan in study.expand(seeds):
        if run_id(plan.config) in finished:
            workplace.copy.pull(workplace.copy.name(workplace.weights(plan.config)))
            if workplace.weights(plan.config).exists():
                plans.append(plan)
    if not plans:
        raise BadInputError(
            f"study = {study.name!r} has no finished run whose weights were kept below {place_of(workplace.root)!r}: "
            "a study keeps those of its teachers, and all where it says so, as figure8 does"
        )
    return plans


def evenly(radius: float, points: int) -> tuple[float, ...]:
    """`points` evenly spaced distances in [-radius, radius], 0 included. Raises ValueError for an invalid grid."""
    if not 0 < radius < math.inf:
        raise ValueError(f"radius = {radius:g} is outside (0, inf)")
    if not MOST_POINTS >= points >= 3 or points % 2 == 0:
        raise ValueError(f"points = {points} is not an odd number in [3, {MOST_POINTS}]: the weights are the middle")
    half = points // 2
    return tuple(radius * step / half for step in range(-half, half + 1))


def _known(config: RunConfig, workplace: Workplace, eigenvalues: int, distances: tuple[float, ...]) -> Landscape | None:
    """The landscape measured before in the same way on these weights, by SHA-256; None without one."""
    name = f"landscapes/{run_id(config)}.json"
    workplace.copy.pull(name)
    known = read(workplace.root / name)
    if known is None or known.distances != distances or len(known.eigenvalues) != eigenvalues:
        return None
    return known if known.weights_sha256 == file_digest(workplace.weights(config)) else None


def read(file: Path) -> Landscape | None:
    """The landscape in a file; None if it is missing or unreadable."""
    try:
        return from_dict(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return None
