"""How robust are the remedies to their hyperparameters? The full method round its defaults.

On quickstart's data, networks and epochs, or on one of the paper's distilled sets with all that the paper has for it.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

from crossarch.search_spaces.paper.tables import (
    BATCH_SIZES,
    DISTILLERS,
    networks_axis,
    paper_study,
    set_changes,
    set_name,
)
from crossarch.search_spaces.quickstart import ARMS, QUICKSTART
from crossarch.search_spaces.recipes import BASELINE, DROP_PATH_CHANGES, FULL, KD_CHANGES, MISC_CHANGES
from crossarch.search_spaces.space import Domain, Point, Space, grid, latin_hypercube, slices, sobol
from crossarch.search_spaces.study import Axis, Smoke, Study
from crossarch.search_spaces.sweep import Alike, Sampler, Sweep, numbered

Design = Literal["slices", "grid", "lhs", "sobol", "tpe"]
DESIGNS: tuple[str, ...] = get_args(Design)
COUNTED = ("lhs", "sobol", "tpe")
"""Designs of any number of points."""
COUNT = 40
"""Points of a design that has no number of its own."""
GRID = ("alpha", "temperature")
"""What a grid varies unless told otherwise: all domains would make a grid of 151,200 points."""
SEED = 0
"""Of the designs, not of the runs."""

_KEEP: dict[str, Any] = DROP_PATH_CHANGES["keep_rate"]

DOMAINS = (
    Domain(
        name="minimum",
        symbol="p_min",
        meaning="minimum keep rate",
        settings=("keep_rate.minimum",),
        low=0.3,
        high=0.8,
        step=0.05,
        default=_KEEP["minimum"],
        levels=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    ),
    Domain(
        name="final",
        symbol="p_final",
        meaning="final keep rate",
        settings=("keep_rate.final",),
        low=0.5,
        high=1.0,
        step=0.05,
        default=_KEEP["final"],
        levels=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    ),
    Domain(
        name="decay",
        symbol="γ",
        meaning="keep rate lost each period",
        settings=("keep_rate.decay",),
        low=0.05,
        high=0.5,
        step=0.01,
        default=_KEEP["decay"],
        levels=(0.05, 0.1, 0.25, 0.5),
        log=True,
    ),
    Domain(
        name="period",
        symbol="T",
        meaning="period, at the paper's budget",
        settings=("phases.period",),
        low=250,
        high=1000,
        step=50,
        default=MISC_CHANGES["phases"]["period"],
        levels=(250, 350, 500, 700, 1000),
        log=True,
        unit="epochs",
    ),
    Domain(
        name="alpha",
        symbol="α",
        meaning="weight of distillation",
        settings=("kd.alpha",),
        low=0.0,
        high=1.0,
        step=0.01,
        default=KD_CHANGES["kd.alpha"],
        levels=(0.0, 0.25, 0.5, 0.65, 0.8, 1.0),
    ),
    Domain(
        name="temperature",
        symbol="τ",
        meaning="temperature of distillation",
        settings=("kd.temperature",),
        low=0.5,
        high=20.0,
        step=0.1,
        default=KD_CHANGES["kd.temperature"],
        levels=(0.5, 1.0, 1.5, 3.0, 5.0, 10.0, 20.0),
        log=True,
    ),
    Domain(
        name="folds",
        symbol="k",
        meaning="augmentations a batch",
        settings=("augmentation.folds",),
        low=0,
        high=4,
        step=1,
        default=QUICKSTART.base.augmentation.folds,
        levels=(0, 1, 2, 3, 4),
        unit="operations",
    ),
)
"""The student's alone: its teacher keeps the defaults, so that one hyperparameter of one network varies."""

CLAIMS = (
    Alike(domain="alpha", low=0.5, high=0.8, source="Fig. 4 (b)"),
    Alike(domain="temperature", low=1.0, high=10.0, source="Fig. 4 (c)"),
)

FOLLOWED = ("base", "axes", "columns", "teacher", "seeds", "budget", "distils")
"""What the study has from quickstart, or from the paper: data, networks, seeds and epochs."""

ON = "-on-"
"""Begins the name of a distilled set in that of the study."""

SETS = {
    set_name(dataset, distiller, size): (dataset, distiller, size)
    for dataset, sizes in BATCH_SIZES.items()
    for distiller in DISTILLERS
    for size in sizes
}
"""The paper's distilled sets: data set, distiller, images per class."""


def on_paper_set(name: str) -> Study:
    """The baseline and the full method on a distilled set of the paper's, with its networks and epochs.

    Its runs are those of the paper's tables. Raises ValueError for a set of another name.
    """
    if name not in SETS:
        raise ValueError(f"distilled = {name!r} is not one of {', '.join(SETS)}; others take a study's file")
    changes = dict(set_changes(*SETS[name]))
    channels = {key: changes.pop(key) for key in ("model.channels",) if key in changes}
    networks = networks_axis()
    choices = {
        label: {**change, **(channels if label == "ConvNet" else {})} for label, change in networks.choices.items()
    }
    axes = (Axis(name=networks.name, choices=choices),)
    study = paper_study("Fig. 4", "", axes, (BASELINE, FULL))
    return dataclasses.replace(study, reference=f"Fig. 4, on {name}", base=study.base.replace(changes))


def domains(folds: int) -> tuple[Domain, ...]:
    """DOMAINS where `folds` is the default number of augmentations a batch."""
    return tuple(dataclasses.replace(each, default=folds) if each.name == "folds" else each for each in DOMAINS)


def robustness(
    design: str = "slices",
    configs: int | None = None,
    vary: Sequence[str] | None = None,
    distilled: str | None = None,
) -> Sweep:
    """The study of one design; `configs` is for designs of any number of points, `vary` for some domains alone.

    `distilled` is one of SETS, in place of quickstart's. Named `robustness`, or `robustness-lhs-40` and so on, with the
    varied domains where they are not the usual ones, and `-on-cifar10-frepo-ipc10`. Raises ValueError for an unknown
    design, domain or set, and for a number that the design has not or cannot have.
    """
    if design not in DESIGNS:
        raise ValueError(f"design = {design!r} is not one of {', '.join(DESIGNS)}")
    if configs is not None and design not in COUNTED:
        raise ValueError(f"configs = {configs}, but the levels of the domains decide how many {design} has")
    usual = GRID if design == "grid" else tuple(domain.name for domain in DOMAINS)
    home = on_paper_set(distilled) if distilled else QUICKSTART
    baseline, method = home.arms if distilled else (ARMS["baseline"], ARMS["full"])
    space = Space(domains=domains(home.base.augmentation.folds), varied=tuple(usual if vary is None else vary))
    space = dataclasses.replace(space, varied=tuple(domain.name for domain in space.searched))
    count = COUNT if configs is None else configs
    unusual = set(space.varied) != set(usual)
    parts = ["robustness", *([design] if design != "slices" or unusual else [])]
    parts += [str(count)] if design in COUNTED else []
    parts += [domain.name for domain in space.searched] if unusual else []
    sampler = Sampler(name=design, seed=SEED, count=count) if design == "tpe" else None
    empty = Sweep(
        **{name: getattr(home, name) for name in FOLLOWED},
        name="-".join(parts) + (ON + distilled if distilled else ""),
        question="How robust is the full method to its hyperparameters, and which of them matter?",
        reference=home.reference if distilled else "Fig. 4, on the data, networks and epochs of quickstart",
        arms=(baseline, method),
        smoke_form=Smoke(**{name: getattr(home.smoke_form, name) for name in ("budget", "changes", "note")}),
        space=space,
        method=method,
        points={method.name: space.default},
        margin=1.0,
        alike=CLAIMS,
        sampler=sampler,
    )
    return shrinking(empty.with_points(named(space, design, count)))


def from_name(name: str) -> Sweep:
    """The study of such a name as `robustness` gives: the inverse of its naming.

    Raises ValueError for any other name.
    """
    stem, _, distilled = name.partition(ON)
    design, *rest = stem.split("-")[1:] or ["slices"]
    configs = int(rest.pop(0)) if rest and rest[0].isdecimal() else None
    found = robustness(design, configs, rest or None, distilled or None)
    if found.name != name:
        raise ValueError(f"study = {name!r} is unknown; is {found.name!r} meant?")
    return found


def named(space: Space, design: str, count: int) -> dict[str, tuple[str, Point]]:
    """The design's points with their labels, by name; none for a sampler, which chooses them later."""
    if design == "slices":
        return {
            f"{domain.name}={point[domain.name]:g}": (f"{domain.symbol} = {point[domain.name]:g}", point)
            for point in slices(space)
            for domain in space.searched
            if point[domain.name] != domain.default
        }
    if design == "tpe":
        return {}
    made = {"lhs": latin_hypercube, "sobol": sobol}
    return numbered(design, made[design](space, count, SEED) if design in made else grid(space))


def shrinking(sweep: Sweep) -> Sweep:
    """The sweep, its smoke form restricted to quickstart's last network and, beside the default, to two points."""
    last = QUICKSTART.networks[-1]
    arms = [sweep.arms[0].name, *list(sweep.points)[:1], *list(sweep.points)[1:4:2]]
    only = {sweep.columns: (last,)} | ({} if sweep.sampler else {"arm": tuple(arms)})
    return dataclasses.replace(sweep, smoke_form=dataclasses.replace(sweep.smoke_form, only=only))


ROBUSTNESS = robustness()
