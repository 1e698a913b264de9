"""Implements `crossarch train`, and `crossarch run` if something must be trained."""

from collections.abc import Sequence

from rich.console import Console

from crossarch.platform.commands.forecast import render_forecasts
from crossarch.platform.commands.output import print_lines, print_report
from crossarch.platform.commands.publish import publish
from crossarch.platform.commands.requests import Placement
from crossarch.platform.commands.resolve import check_study
from crossarch.platform.commands.settings import parse_changes
from crossarch.platform.commands.sites import make_site
from crossarch.platform.errors import refusing
from crossarch.platform.report.pictures import write_pictures
from crossarch.platform.scheduling.data import bound
from crossarch.platform.scheduling.parts import Chosen
from crossarch.platform.scheduling.runner import plans_of, run_studies
from crossarch.platform.scheduling.site import Site
from crossarch.platform.store.storage import require_writable
from crossarch.search_spaces.single import single_run


def show_forecasts(chosen: Sequence[Chosen], site: Site) -> None:
    """Prints the missing runs, their training time and disk space."""
    Console().print(render_forecasts(plans_of(chosen, site), site.root))


def train(arm: str, settings: Sequence[str], budget: float, placement: Placement) -> int:
    """Trains the run of `arm` with `settings` (`key=value`), and its teacher if it has one. Returns the exit status.

    Raises BadInputError for an unknown arm or a setting that is not allowed.
    """
    with refusing():
        root = require_writable(placement.storage)
        study = bound(single_run(arm, parse_changes(settings)).scaled(budget), root)
        check_study(study)
    return run_and_report([(study, study.seeds)], make_site(root, placement))


def run_and_report(chosen: Sequence[Chosen], site: Site) -> int:
    """Runs the studies, prints their tables and publishes their reports. Returns the exit status."""
    console = Console()
    endings = run_studies(chosen, site, console, write_pictures)
    for ending, (_, seeds) in zip(endings, chosen, strict=True):
        if not ending.study.to_distil():  # else nothing could be trained
            print_report(ending.study, seeds, site.root, console)
            print_lines(publish(ending.study, seeds, site.root, site.tracking, anew=False), console)
    if any(ending.interrupted for ending in endings):
        console.print("\nInterrupted. The same command continues where this one stopped.")
    return max(ending.exit_status for ending in endings)
