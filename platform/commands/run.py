"""Implements `crossarch run`. Imports Ray and torch only if something must be trained, to answer fast otherwise."""

import dataclasses
from collections.abc import Sequence

from rich.console import Console

from crossarch.platform.commands.output import print_lines, print_report
from crossarch.platform.commands.published import current_report
from crossarch.platform.commands.requests import Placement, Selection, SweepRequest
from crossarch.platform.commands.resolve import resolve
from crossarch.platform.commands.sites import make_site
from crossarch.platform.errors import BadInputError
from crossarch.platform.scheduling.parts import Chosen, complete
from crossarch.platform.scheduling.site import Site
from crossarch.platform.store.storage import require_writable


def run(
    selections: Sequence[Selection], placement: Placement, *, dry_run: bool, sweep: SweepRequest | None = None
) -> int:
    """Trains the missing runs of the studies, or of a sweep of their arm, and prints their tables.

    With `dry_run`, only prints what would be trained. Returns the exit status. Raises BadInputError if a study is
    selected twice, and as `resolve` and `make_site` do.
    """
    root = require_writable(placement.storage)
    site = make_site(root, placement)
    chosen = [resolve(dataclasses.replace(selection, storage=root), sweep) for selection in selections]
    names = [study.name for study, _ in chosen]
    for name in names:
        if names.count(name) > 1:
            raise BadInputError(f"study = {name!r} is given twice")
    status = None if dry_run else answer(chosen, site)
    if status is not None:
        return status
    from crossarch.platform.commands import train  # takes seconds: imports Ray, torch, MLflow and matplotlib

    if dry_run:
        train.show_forecasts(chosen, site)
        return 0
    return train.run_and_report(chosen, site)


def answer(chosen: Sequence[Chosen], site: Site) -> int | None:
    """Prints the tables if all studies are complete and reported, and returns the exit status; else returns None."""
    endings = complete(chosen, site)
    if endings is None:
        return None
    reported = [
        (ending.study, seeds, current_report(ending.study, seeds, site.root, site.tracking))
        for ending, (_, seeds) in zip(endings, chosen, strict=True)
    ]
    if not all(line for _, _, line in reported):
        return None
    console = Console()
    for study, seeds, line in reported:
        print_report(study, seeds, site.root, console)
        print_lines([str(line)], console)
    return max(ending.exit_status for ending in endings)
