"""Resolves a command line's `Selection` to a study and its seeds."""

import dataclasses
from collections.abc import Sequence

from crossarch.platform.commands.requests import Selection, SweepRequest
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.scheduling.data import bound
from crossarch.platform.scheduling.sampling import grown_from
from crossarch.platform.validation import check_declared, validate
from crossarch.search_spaces.arm_sweep import arm_sweep
from crossarch.search_spaces.catalog import find_form
from crossarch.search_spaces.from_file import is_path
from crossarch.search_spaces.robustness import ROBUSTNESS, robustness
from crossarch.search_spaces.study import Study


def resolve(selection: Selection, sweep: SweepRequest | None = None) -> tuple[Study, tuple[int, ...]]:
    """The selected study, or the sweep of its arm, with the points that a sampler has chosen so far, and the seeds.

    Raises BadInputError if the study is unknown or not allowed.
    """
    study = find_study(selection, sweep)
    seeds = choose_seeds(study, selection.seeds)
    return (grown_from(study, seeds, selection.storage) if selection.storage else study), seeds


def find_study(selection: Selection, sweep: SweepRequest | None = None) -> Study:
    """The selected study, or the sweep of its arm, bound to the distilled sets in the storage folder if there is one.

    Raises BadInputError if the study is unknown or not allowed.
    """
    with refusing():
        study = declared(selection.study)
        if sweep is not None:
            study = swept(study, sweep)
        study = study.trained_by(selection.engine) if selection.engine else study
        study = study.scaled(selection.budget)
        study = dataclasses.replace(study, only=parse_only(selection.only or ()))
        study = study.smoke() if selection.smoke else study
        study.check_size()
        study = bound(study, selection.storage) if selection.storage else study
        check_study(study)
    return study


def swept(study: Study, request: SweepRequest) -> Study:
    """The sweep of an arm of the study. Raises ValueError as `arm_sweep` does."""
    names = None if request.vary is None else [each.strip() for each in request.vary.split(",")]
    search = request.search or "slices"
    if study.name == ROBUSTNESS.name and request.arm == ROBUSTNESS.method.name:
        return robustness(search, request.samples, names, request.distilled)
    if request.distilled is not None:
        raise ValueError(
            f"distilled = {request.distilled!r} is for the arm {ROBUSTNESS.method.name} of the study {ROBUSTNESS.name}"
        )
    return arm_sweep(study, request.arm, search, request.samples, names)


def declared(name: str) -> Study:
    """The study with the given name or file, or a form of it: `quickstart-smoke`. Raises BadInputError if unknown."""
    with refusing():
        study = find_form(name)
        if not is_path(name):
            return study
        told = f"study = {name!r}"
        try:
            check_declared(study)
            study.check_size()
            for _ in study.expand(study.seeds[:1]):
                pass
        except (ValueError, BadInputError) as error:
            raise BadInputError(f"{told}: {error}") from error
        except Exception as error:  # any error caused by values in the file
            raise BadInputError(f"{told} does not expand: {type(error).__name__}: {error}") from error
        return study


def parse_only(restrictions: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parses `["arm=baseline,full"]` to `{"arm": ("baseline", "full")}`. Raises BadInputError for any other form."""
    only: dict[str, tuple[str, ...]] = {}
    for restriction in restrictions:
        axis, _, text = restriction.partition("=")
        choices = tuple(choice.strip() for choice in text.split(","))
        if not axis or not all(choices):
            raise BadInputError(f"only = {restriction!r} is not of the form axis=choice,choice")
        if axis in only:
            raise BadInputError(f"only = {restriction!r}: {axis} is given twice")
        only[axis] = choices
    return only


def check_study(study: Study) -> None:
    """Raises BadInputError if a configuration of the study is not allowed."""
    for planned in study.expand(study.seeds[:1]):
        validate(planned.config.to_dict())


def choose_seeds(study: Study, count: int | None) -> tuple[int, ...]:
    """The study's seeds; with `count`, the first `count` of these, continued by the numbers after the last one.

    Raises BadInputError if `count` is outside [1, 1000] or gives more runs than the study's limit.
    """
    if count is None:
        return study.seeds
    if not 1 <= count <= 1000:
        raise BadInputError(f"seeds = {count} is outside [1, 1000]")
    seeds = (*study.seeds, *range(study.seeds[-1] + 1, study.seeds[-1] + 1 + count))[:count]
    with refusing():
        study.check_size(seeds)
    return seeds
