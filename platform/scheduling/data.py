"""Looks up the distilled sets of a study in the store by their manifests."""

import dataclasses
import json
from pathlib import Path

from crossarch.platform.errors import BadInputError
from crossarch.platform.store.storage import place_of
from crossarch.search_spaces.recipes import Changes
from crossarch.search_spaces.study import PlannedRun, Study
from crossarch.trainables.config.distiller import DistillConfig, distill_id
from crossarch.trainables.config.run import DistilledData
from crossarch.trainables.data.manifest import Manifest, Manifests, check_named


def manifests(root: Path) -> Manifests:
    """Manifests of the distilled sets in the storage folder `root`."""
    return Manifests(root / "data" / "distilled")


def bound(study: Study, root: Path) -> Study:
    """Binds the study to the distilled sets in the storage folder `root`: digest, whitening, label temperature by name.

    Raises ValueError if a run's data set or images per class differ from those of its set, or the stored set has
    another configuration than the study's.
    """
    known = manifests(root).manifests()
    found = dataclasses.replace(study, bindings={name: contents(each) for name, each in known.items()})
    for plan in found.expand(found.seeds[:1]):
        data, made_by = plan.config.data, found.distillation_of(plan)
        if isinstance(data, DistilledData) and data.distilled_set in known:
            manifest = known[data.distilled_set]
            if made_by and not is_made_by(made_by, manifest):
                raise ValueError(
                    f"data.distilled_set = {manifest.name!r}: the set of that name below {place_of(root)!r} was made "
                    f"otherwise than {study.name} makes it: give another --storage, or remove the set's file"
                )
            check_named(data, manifest)
    return found


def is_made_by(config: DistillConfig, manifest: Manifest) -> bool:
    """Whether the set was distilled with `config`."""
    return bool(json.loads(manifest.facts).get("distillation") == distill_id(config))


def contents(manifest: Manifest) -> Changes:
    """Changes to a run's configuration from a distilled set's manifest."""
    temperature = manifest.label_temperature
    own = {"data.sha256": manifest.sha256, "data.whitening": manifest.whitening}
    return own if temperature is None else own | {"data.label_temperature": temperature}


def available(study: Study, seeds: tuple[int, ...], root: Path) -> tuple[PlannedRun, ...]:
    """The study's runs whose data are available. Raises BadInputError, with the missing sets, if no run is."""
    planned = tuple(study.expand(seeds))
    found = tuple(plan for plan in planned if study.is_available(plan))
    if planned and not found:
        sets = (plan.config.data for plan in planned)
        names = dict.fromkeys(data.distilled_set for data in sets if isinstance(data, DistilledData))
        problems = manifests(root).damaged()
        if first := next(filter(problems.get, names), None):
            raise BadInputError(f"data.distilled_set = {first}: {problems[first]}")
        raise BadInputError(
            f"data.distilled_set = {', '.join(names)}: not in the store below {place_of(root)!r}; "
            f"`crossarch data add PATH --name {next(iter(names))}` puts it there"
        )
    return found
