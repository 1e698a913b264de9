"""Checks whether a study's published report is current, without drawing it or importing MLflow."""

from pathlib import Path

from crossarch.platform.report.digest import PAGE, digest, digest_of
from crossarch.platform.report.tables import build_table
from crossarch.platform.scheduling.data import manifests
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import is_attached
from crossarch.platform.store.storage import copy_of, place_of
from crossarch.search_spaces.study import Study


def current_report(study: Study, seeds: tuple[int, ...], root: Path, tracking: str) -> str | None:
    """`report_line` of the study's default folder if its page shows the ledger's results and is attached in MLflow.

    None otherwise, and for remote storage, to which the report may not have been uploaded.
    """
    folder = root / "reports" / study.name
    ledger = Ledger(root)
    results, invocations = ledger.read(), ledger.invocations(study.name)
    recorded = [invocation.command for invocation in invocations]
    wanted = digest(build_table(study, seeds, results), results, recorded=recorded, sets=manifests(root).names())
    if copy_of(root).origin is not None or digest_of(folder / PAGE) != wanted:
        return None
    return report_line(root, folder) if is_attached(invocations, root, tracking, folder / PAGE) else None


def report_line(root: Path, folder: Path) -> str:
    """Line for the terminal with the report's location, relative to the storage if it is inside."""
    page = folder / PAGE
    return f"Report: {f'{place_of(root)}/{copy_of(root).name(page)}' if folder.is_relative_to(root) else page}"
