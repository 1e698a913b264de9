"""Sweeps of the hyperparameters of any arm of any study."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

from crossarch.search_spaces.recipes import DROP_PATH_CHANGES, KD_CHANGES, MISC_CHANGES, Arm, lengths
from crossarch.search_spaces.space import Domain, Point, Space, grid, latin_hypercube, slices, sobol
from crossarch.search_spaces.study import Smoke, Study
from crossarch.search_spaces.sweep import TIED, Sampler, Sweep, numbered
from crossarch.trainables.config.run import RunConfig, flatten

Search = Literal["slices", "grid", "lhs", "sobol", "tpe"]
SEARCHES: tuple[str, ...] = get_args(Search)
COUNTED = ("lhs", "sobol", "tpe")
"""Searches with a configurable number of points."""
COUNT = 40
"""Default number of points of the searches in COUNTED."""
GRID = ("alpha", "temperature")
"""Domains that a grid varies by default: all domains would give 151,200 points."""
SEED = 0
"""Seed of the points, not of the runs."""
MARGIN = 1.0
"""Equivalence margin, in percentage points of accuracy."""
SWEEP = "-sweep"
"""Follows the names of study and arm in a sweep's name: `table2-full-sweep-lhs-40`."""

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
        default=1,
        levels=(0, 1, 2, 3, 4),
        unit="operations",
    ),
)
"""Domains of the student's hyperparameters; the teacher keeps its own values.

The defaults are the paper's; `domains_of` replaces them by an arm's.
"""


def domains_of(study: Study, arm: Arm, wanted: Sequence[str] = ()) -> tuple[Domain, ...]:
    """The DOMAINS whose settings the arm has in every cell, with the arm's value as default.

    A setting whose value differs between cells has no default and is left out. The settings in TIED, which determine
    the epochs, are left out if the arm's epochs do not follow the rule of `lengths`.

    Args:
        study: The study.
        arm: One of the study's arms.
        wanted: Names of domains that must not be left out.

    Raises:
        ValueError: The arm has no cell or no domain, one of `wanted` is left out, or a default is outside its domain.
    """
    plain = dataclasses.replace(study, budget=1.0)
    cells = [cell for each, cell in study.places() if each.name == arm.name]
    if not cells:
        raise ValueError(f"arm = {arm.name!r} has no cell in {study.name}")
    configs = [plain.config(arm, cell, study.seeds[0]) for cell in cells]
    own = {name: domain.default for domain in DOMAINS for name in domain.settings}
    values: dict[str, set[Any]] = {
        name: {_value(each, name, own[name]) for each in configs} for domain in DOMAINS for name in domain.settings
    }
    usable = {name for name, found in values.items() if None not in found and len(found) == 1}
    if not usable.issuperset(TIED) or not _is_by_rule(configs[0]):
        usable.difference_update(TIED)
    found = []
    for domain in DOMAINS:
        (name,) = domain.settings
        if name in usable:
            (value,) = values[name]
            found.append(dataclasses.replace(domain, default=value))
        elif domain.name in wanted:
            raise ValueError(f"vary = {domain.name!r}: {_why_left_out(name, values[name], arm, study)}")
    if not found:
        raise ValueError(f"arm = {arm.name!r} of {study.name} has no hyperparameter that a sweep varies")
    return tuple(found)


def _value(config: RunConfig, name: str, otherwise: float) -> Any:
    """Value of a setting, or `otherwise` if that is None; None if the run has no such setting."""
    *parents, last = name.split(".")
    part: Any = config
    for parent in parents:
        part = getattr(part, parent, None)
    if not hasattr(part, last):
        return None
    value = getattr(part, last)
    return otherwise if value is None else value


def _why_left_out(name: str, values: set[Any], arm: Arm, study: Study) -> str:
    if None in values:
        return f"the arm {arm.name} of {study.name} has no {name}"
    if len(values) > 1:
        told = " or ".join(f"{value:g}" for value in sorted(values))
        return f"{name} of the arm {arm.name} is {told}, by the cell of {study.name}"
    return f"the epochs of the arm {arm.name} of {study.name} are not by the rule of the keep rate's course"


def _is_by_rule(config: RunConfig) -> bool:
    settings = dict(flatten(config))
    minimum, decay, period = (settings[name] for name in TIED)
    return all(settings[name] == value for name, value in lengths(minimum, decay, period).items())


def arm_sweep(
    study: Study, arm: str, search: str = "slices", samples: int | None = None, vary: Sequence[str] | None = None
) -> Sweep:
    """Sweep of an arm's hyperparameters, together with the study's first arm, from which gaps are measured.

    Names are like `table2-full-sweep` and `table2-full-sweep-lhs-40`, followed by the varied domains if these are not
    the default ones.

    Args:
        study: The study whose data, networks, seeds, epochs and restrictions are used.
        arm: Name of the arm.
        search: One of SEARCHES.
        samples: Number of points, for the searches in COUNTED; None for COUNT.
        vary: Names of the varied domains; None for all of the arm's, or for a grid those in GRID.

    Raises:
        ValueError: The arm, search or domain is unknown, `samples` is out of range or given for a search that is not
            in COUNTED, or an axis of the study overrides a varied hyperparameter.
    """
    if search not in SEARCHES:
        raise ValueError(f"search = {search!r} is not one of {', '.join(SEARCHES)}")
    if samples is not None and search not in COUNTED:
        raise ValueError(f"samples = {samples}, but the levels of the domains decide how many {search} has")
    arms = {each.name: each for each in study.arms}
    if arm not in arms:
        raise ValueError(f"arm = {arm!r} of {study.name} is not one of {', '.join(arms)}")
    method, first = arms[arm], study.arms[0]
    domains = domains_of(study, method, vary or ())
    names = tuple(domain.name for domain in domains)
    usual = tuple(name for name in GRID if name in names) or names if search == "grid" else names
    space = Space(domains=domains, varied=tuple(usual if vary is None else vary))
    space = dataclasses.replace(space, varied=tuple(domain.name for domain in space.searched))
    count = COUNT if samples is None else samples
    form = study.smoke_form
    empty = Sweep(
        name=f"{study.name}-{arm}{SWEEP}{suffix(space, usual, search, count)}",
        question=f"How robust is the arm {method.label} to its hyperparameters, and which of them matter?",
        reference=study.reference,
        base=study.base,
        arms=(first, method) if method is not first else (method,),
        axes=study.axes,
        columns=study.columns,
        teacher=study.teacher,
        seeds=study.seeds,
        smoke_form=Smoke(budget=form.budget, changes=form.changes, note=form.note),
        metric=study.metric,
        budget=study.budget,
        overrides=study.overrides,
        profile=study.profile,
        cells=study.cells,
        bindings=study.bindings,
        distils=study.distils,
        only={axis: choices for axis, choices in study.only.items() if axis != "arm"},
        most_runs=study.most_runs,
        space=space,
        method=method,
        points={method.name: space.default},
        margin=MARGIN,
        sampler=Sampler(name=search, seed=SEED, count=count) if search == "tpe" else None,
    )
    _check_varies(empty)
    return shrinking(empty.with_points(named(space, search, count)))


def _check_varies(sweep: Sweep) -> None:
    """Raises ValueError if an axis of the study overrides a searched domain, which then would have no effect."""
    plain = dataclasses.replace(sweep, budget=1.0)
    cells = [cell for each, cell in sweep.places() if each.name == sweep.method.name]
    for domain in sweep.space.searched:
        level = next(level for level in domain.levels if level != domain.default)
        (name,) = domain.settings
        for cell in cells:
            moved = sweep.at(sweep.space.moved({domain.name: level}))
            if dict(flatten(plain.config(moved, cell, sweep.seeds[0])))[name] != level:
                raise ValueError(f"{name} cannot be varied: {sweep.name} sets it by an axis, after the arm")


def suffix(space: Space, usual: Sequence[str], search: str, count: int) -> str:
    """Suffix of a sweep's name for its points, `-lhs-40-alpha`; empty for slices of the usual domains."""
    unusual = set(space.varied) != set(usual)
    parts = [search] if search != "slices" or unusual else []
    parts += [str(count)] if search in COUNTED else []
    parts += [domain.name for domain in space.searched] if unusual else []
    return "".join(f"-{part}" for part in parts)


def parse_suffix(parts: Sequence[str]) -> tuple[str, int | None, list[str] | None]:
    """Search, number of points and varied domains from the parts of a suffix: the inverse of `suffix`."""
    search, *rest = parts or ["slices"]
    samples = int(rest.pop(0)) if rest and rest[0].isdecimal() else None
    return search, samples, rest or None


def named(space: Space, search: str, count: int) -> dict[str, tuple[str, Point]]:
    """(label, point) by name for the points of a search; empty for a sampler, which chooses them later."""
    if search == "slices":
        return {
            f"{domain.name}={point[domain.name]:g}": (f"{domain.symbol} = {point[domain.name]:g}", point)
            for point in slices(space)
            for domain in space.searched
            if point[domain.name] != domain.default
        }
    if search == "tpe":
        return {}
    made = {"lhs": latin_hypercube, "sobol": sobol}
    return numbered(search, made[search](space, count, SEED) if search in made else grid(space))


def shrinking(sweep: Sweep) -> Sweep:
    """Restricts the smoke form to the last network and, without a sampler, to first arm, default and two points."""
    last = sweep.networks[-1]
    arms = dict.fromkeys([sweep.arms[0].name, *list(sweep.points)[:1], *list(sweep.points)[1:4:2]])
    only = {sweep.columns: (last,)} | ({} if sweep.sampler else {"arm": tuple(arms)})
    return dataclasses.replace(sweep, smoke_form=dataclasses.replace(sweep.smoke_form, only=only))
