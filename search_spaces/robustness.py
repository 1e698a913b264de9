"""Study `robustness`: sweeps the hyperparameters of the full method around their defaults.

Runs use the data, networks and epochs of quickstart, or one of the paper's distilled sets with the paper's networks and
epochs.
"""

import dataclasses
from collections.abc import Sequence

from crossarch.search_spaces.arm_sweep import SWEEP, arm_sweep, parse_suffix
from crossarch.search_spaces.paper.tables import (
    BATCH_SIZES,
    DISTILLERS,
    convnet_changes,
    networks_axis,
    paper_study,
    set_changes,
    set_name,
)
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import BASELINE, FULL
from crossarch.search_spaces.study import Axis, Study
from crossarch.search_spaces.sweep import Alike, Sweep
from crossarch.trainables.config.layers import merge_layers

NAME = "robustness"

CLAIMS = (
    Alike(domain="alpha", low=0.5, high=0.8, source="Fig. 4 (b)"),
    Alike(domain="temperature", low=1.0, high=10.0, source="Fig. 4 (c)"),
)

ON = "-on-"
"""Separates the name of the distilled set within the study's name."""

SETS = {
    set_name(dataset, distiller, size): (dataset, distiller, size)
    for dataset, sizes in BATCH_SIZES.items()
    for distiller in DISTILLERS
    for size in sizes
}
"""The paper's distilled sets by name: (data set, distiller, images per class)."""


def on_paper_set(name: str) -> Study:
    """Study of baseline and full method on one of the paper's distilled sets, with the paper's networks and epochs.

    Its runs are identical to those of the paper's tables. Raises ValueError if `name` is not in SETS.
    """
    if name not in SETS:
        raise ValueError(f"distilled = {name!r} is not one of {', '.join(SETS)}; others take a study's file")
    dataset, distiller, images_per_class = SETS[name]
    alone = convnet_changes(dataset, distiller)
    networks = networks_axis()
    choices = {
        label: {**changes, **alone.get(changes["model.architecture"], {})}
        for label, changes in networks.choices.items()
    }
    study = paper_study("Fig. 4", "", (Axis(name=networks.name, choices=choices),), (BASELINE, FULL))
    base = merge_layers(study.base, set_changes(dataset, distiller, images_per_class))
    return dataclasses.replace(study, reference=f"Fig. 4, on {name}", base=base)


def robustness(
    search: str = "slices",
    samples: int | None = None,
    vary: Sequence[str] | None = None,
    distilled: str | None = None,
) -> Sweep:
    """Sweep of the full method.

    Names are like `robustness`, `robustness-lhs-40` and `robustness-on-cifar10-frepo-ipc10`.

    Args:
        search: See `arm_sweep`.
        samples: See `arm_sweep`.
        vary: See `arm_sweep`.
        distilled: One of SETS; None for quickstart's data.

    Raises:
        ValueError: The set is unknown, or `arm_sweep` raises it.
    """
    home = on_paper_set(distilled) if distilled else QUICKSTART
    found = arm_sweep(home, "full", search, samples, vary)
    _, _, points = found.name.partition(SWEEP)
    small = {**found.smoke_form.only, found.columns: QUICKSTART.networks[-1:]}
    return dataclasses.replace(
        found,
        name=NAME + points + (ON + distilled if distilled else ""),
        question="How robust is the full method to its hyperparameters, and which of them matter?",
        reference=home.reference if distilled else "Fig. 4, on the data, networks and epochs of quickstart",
        alike=CLAIMS,
        smoke_form=dataclasses.replace(found.smoke_form, only=small),
    )


def from_name(name: str) -> Sweep:
    """The sweep with the given name: the inverse of the naming of `robustness`.

    Raises ValueError if `robustness` gives no sweep this name.
    """
    stem, _, distilled = name.partition(ON)
    found = robustness(*parse_suffix(stem.split("-")[1:]), distilled or None)
    if found.name != name:
        raise ValueError(f"study = {name!r} is unknown; is {found.name!r} meant?")
    return found


ROBUSTNESS = robustness()
