"""Catalog of studies: lookup by name, their forms (`quickstart-smoke`), and the command lines that run them."""

import shlex
from collections.abc import Sequence

from crossarch.search_spaces.arm_sweep import SWEEP, arm_sweep, parse_suffix
from crossarch.search_spaces.from_file import is_path, load
from crossarch.search_spaces.paper.figures import FIGURE3, FIGURE4, FIGURE7, FIGURE8
from crossarch.search_spaces.paper.tables import TABLE2, TABLE3, TABLE4, TABLE5, TABLE6, TABLE7, TABLE8, TEACHER
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.robustness import ROBUSTNESS, from_name
from crossarch.search_spaces.study import Study
from crossarch.search_spaces.sweep import Sweep

PAPER_TABLES = (TABLE2, TABLE3, TABLE4, TABLE5, TABLE6, TABLE7, TABLE8)
PAPER_FIGURES = (FIGURE3, FIGURE4, FIGURE7, FIGURE8)
OWN = (QUICKSTART, ROBUSTNESS, TEACHER)

STUDIES: dict[str, Study] = {study.name: study for study in (*OWN, *PAPER_TABLES, *PAPER_FIGURES)}

_ENGINE = "-engine-"
_BUDGET = "-budget-"
_SMOKE = "-smoke"


def find(name: str) -> Study:
    """Finds a study by name (`quickstart`, or a sweep `robustness-lhs-40`) or by file (`./my_study.py`).

    Raises ValueError for an unknown name, and for a file as `from_file.load` does.
    """
    if name not in STUDIES and is_path(name):
        return load(name, STUDIES.values())
    if name not in STUDIES and name.startswith(f"{ROBUSTNESS.name}-"):
        return from_name(name)
    if name not in STUDIES:
        return find_sweep(name)
    return STUDIES[name]


def find_sweep(name: str) -> Sweep:
    """Finds the sweep of an arm of a catalog study by the name that `arm_sweep` gives: `table2-full-sweep-lhs-40`.

    Raises ValueError for an unknown name.
    """
    stem, _, points = name.partition(SWEEP)
    for study in STUDIES.values():
        for arm in study.arms:
            if stem == f"{study.name}-{arm.name}":
                found = arm_sweep(study, arm.name, *parse_suffix(points.split("-")[1:]))
                if found.name == name:
                    return found
    raise ValueError(f"study = {name!r} is unknown; known: {', '.join(STUDIES)}")


def find_form(name: str) -> Study:
    """Finds a study as `find` does, or a form of it by its recorded name: `quickstart-engine-fast-smoke`.

    Raises ValueError for an unknown name.
    """
    if name in STUDIES:
        return find(name)
    whole, smoke, rest = name.rpartition(_SMOKE)
    stem = whole if smoke and not rest else name
    trained, scaled, factor = stem.partition(_BUDGET)
    base, other, engine = trained.partition(_ENGINE)
    try:
        study = find(base)
        study = study.trained_by(engine) if other else study
        study = study.scaled(float(factor)) if scaled else study
    except ValueError:
        return find(name)  # raises an error with the whole name
    return study.smoke() if stem != name else study


def command(study: Study, seeds: Sequence[int]) -> str | None:
    """The command line that runs the study with `seeds`; None if the study is not in the catalog."""
    try:
        plain = find_form(study.name)
    except ValueError:
        return None
    trained, scaled, factor = study.name.removesuffix(_SMOKE).partition(_BUDGET)
    base, other, engine = trained.partition(_ENGINE)
    words = ["crossarch", "run", base]
    words += ["--engine", engine] if other else []
    words += ["--budget", factor] if scaled else []
    words += ["--smoke"] if study.name.endswith(_SMOKE) else []
    words += ["--seeds", str(len(seeds))] if tuple(seeds) != plain.seeds else []
    for axis, choices in study.only.items():
        if plain.only.get(axis) != choices:
            words += ["--only", f"{axis}={','.join(choices)}"]
    return shlex.join(words)


OF_THE_MACHINE = ("--storage", "--tracking", "--address", "--data-root")
"""Options with paths and addresses of this machine: useless elsewhere, and private."""


def without_places(command_line: str) -> str:
    """Removes the options of OF_THE_MACHINE from a recorded command line, and the folders from paths of study files."""
    kept: list[str] = []
    words = iter(command_line.split(" "))
    for word in words:
        if word in OF_THE_MACHINE:
            next(words, None)
        elif not word.startswith(tuple(f"{option}=" for option in OF_THE_MACHINE)):
            kept.append(word.rpartition("/")[2] if word.endswith(".py") else word)
    return " ".join(kept)
