"""Implements `crossarch distill`."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from crossarch.platform.commands.requests import Placement
from crossarch.platform.commands.settings import parse_changes
from crossarch.platform.commands.sites import make_site
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.report.pictures import write_pictures
from crossarch.platform.scheduling.distil import distil_into_store
from crossarch.platform.store.storage import require_writable
from crossarch.search_spaces.distillations import distillation
from crossarch.trainables.data.manifest import check_name


def distill(
    distiller: str,
    dataset: str,
    settings: Sequence[str],
    options: Mapping[str, int],
    name: str | None,
    placement: Placement,
) -> int:
    """Distils a data set into the store under `name`. Returns the exit status.

    `settings` are the distiller's settings (`key=value`). `options` are those with a command-line option:
    `images_per_class`, `seed` and, if given, `steps`. Raises BadInputError for values that are not allowed.
    """
    with refusing():
        root = require_writable(placement.storage)
        given = parse_changes(settings)
        for key in given:
            if key in (*options, "dataset", "distiller", "steps"):
                raise BadInputError(f"{key} = {given[key]!r}: give it as an option, --{key} or --ipc")
        config = distillation(distiller, dataset, {**given, **options})
        chosen = check_name(name or f"{dataset}-{distiller}-ipc{options['images_per_class']}")
        site = make_site(root, placement)
    return distil_into_store(config, chosen, site, Console(), write_pictures)
