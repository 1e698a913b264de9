"""What a study's runs are trained on: distilled sets looked up in the store, real images made ready before training."""

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from crossarch.platform.errors import BadInputError
from crossarch.platform.store.storage import place_of
from crossarch.search_spaces.recipes import Changes
from crossarch.search_spaces.study import Planned, Study
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.distiller import DistillConfig, distill_id
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.manifest import Manifest, Manifests, check_named

if TYPE_CHECKING:
    from crossarch.trainables.data.distilled_sets import Store
    from crossarch.trainables.data.library import Library


def manifests(root: Path) -> Manifests:
    """The manifests of the distilled sets below the storage folder."""
    return Manifests(root / "data" / "distilled")


def store(root: Path) -> "Store":
    """The distilled sets below the storage folder."""
    from crossarch.trainables.data.distilled_sets import Store  # imports torch

    return Store(root / "data" / "distilled")


def library(root: Path, raw: Path | None, tell: Callable[[str], None]) -> "Library":
    """The real data sets; `raw` is where some already lie."""
    from crossarch.trainables.data.library import Library  # imports torch

    return Library(root / "data", raw, on_progress=tell)


def bound(study: Study, root: Path) -> Study:
    """The study, its distilled sets known by what the store below `root` has under their names.

    Raises ValueError where a run's data set or images per class are not those of the set it names, or that set was
    made otherwise than the study makes it.
    """
    known = manifests(root).manifests()
    found = dataclasses.replace(study, bindings={name: contents(each) for name, each in known.items()})
    for plan in found.expand(found.seeds[:1]):
        if plan.config.data.distilled in known:
            manifest = known[plan.config.data.distilled]
            if plan.distillation and not is_made_by(plan.distillation, manifest):
                raise ValueError(
                    f"data.distilled = {manifest.name!r}: the set of that name below {place_of(root)!r} was made "
                    f"otherwise than {study.name} makes it: give another --storage, or remove the set's file"
                )
            check_named(plan.config.data, manifest)
    return found


def is_made_by(config: DistillConfig, manifest: Manifest) -> bool:
    """Whether the set with this manifest is what `config` distils."""
    return bool(json.loads(manifest.facts).get("distillation") == distill_id(config))


def contents(manifest: Manifest) -> Changes:
    """What a run must know of a distilled set, as changes to its configuration."""
    temperature = manifest.label_temperature
    own = {"data.sha256": manifest.sha256, "data.whitening": manifest.whitening}
    return own if temperature is None else own | {"data.label_temperature": temperature}


def available(planned: Iterable[Planned], root: Path) -> tuple[Planned, ...]:
    """Those of `planned` whose data are known. Raises BadInputError where there are none, naming what they lack."""
    planned = tuple(planned)
    found = tuple(plan for plan in planned if plan.is_available)
    if planned and not found:
        names = dict.fromkeys(str(plan.config.data.distilled) for plan in planned)
        problems = manifests(root).damaged()
        if first := next(filter(problems.get, names), None):
            raise BadInputError(f"data.distilled = {first}: {problems[first]}")
        raise BadInputError(
            f"data.distilled = {', '.join(names)}: not in the store below {place_of(root)!r}; "
            f"`crossarch data add PATH --name {next(iter(names))}` puts it there"
        )
    return found


def prepare(configs: Iterable[RunConfig], root: Path, raw: Path | None, tell: Callable[[str], None]) -> None:
    """Makes ready what `configs` are trained and tested on, so that no two workers have to. Raises as `make_ready`."""
    wanted = sorted({(each.data.dataset, each.data.whitening, each.data.distilled is None) for each in configs})
    parts = [
        (dataset, whitening, part)
        for dataset, whitening, from_real in wanted
        for part in ("train", "validation", "test")
        if from_real or part != "train"
    ]
    make_ready(parts, root, raw, tell)


def make_ready(
    parts: Iterable[tuple[str, str, str]], root: Path, raw: Path | None, tell: Callable[[str], None]
) -> None:
    """Downloads, decodes and whitens parts of real data sets (data set, whitening, part) where that is not yet done.

    `raw` is where data sets already lie. Raises BadInputError where data cannot be had or are not what they should be.
    """
    wanted = [part for part in parts if DATASETS[part[0]].archive]
    if not wanted:
        return
    real = library(root, raw, tell)
    try:
        for part in wanted:
            real.part(*part)
    except (OSError, ValueError) as error:
        raise BadInputError(str(error)) from error
