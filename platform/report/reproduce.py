"""How a study is run again: the command that makes it, and the study that a name of one of its forms stands for."""

import shlex
from collections.abc import Sequence

from crossarch.search_spaces.catalog import STUDIES, find
from crossarch.search_spaces.study import Study

_ENGINE = "-engine-"
_BUDGET = "-budget-"
_SMOKE = "-smoke"


def find_form(name: str) -> Study:
    """The study `quickstart`, or a form of it by the name it is recorded under: `quickstart-engine-fast-smoke`.

    Raises ValueError where there is none.
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
        return find(name)  # tells of the whole name
    return study.smoke() if stem != name else study


def command(study: Study, seeds: Sequence[int]) -> str | None:
    """The command that runs the study with these seeds; None for a study that is not in the catalog."""
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
"""Options whose values are paths and addresses: of no use elsewhere, and nobody else's business."""


def without_places(command_line: str) -> str:
    """A recorded command without the options of `OF_THE_MACHINE` and their values; of a study's file the name alone."""
    kept: list[str] = []
    words = iter(command_line.split(" "))
    for word in words:
        if word in OF_THE_MACHINE:
            next(words, None)
        elif not word.startswith(tuple(f"{option}=" for option in OF_THE_MACHINE)):
            kept.append(word.rpartition("/")[2] if word.endswith(".py") else word)
    return " ".join(kept)
