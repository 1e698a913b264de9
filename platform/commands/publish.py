"""Publishes a study's report: files in a folder, and the page as an artifact of the last invocation in MLflow."""

from collections.abc import Sequence
from pathlib import Path

from crossarch.platform.commands.published import report_line
from crossarch.platform.report.content import make_report
from crossarch.platform.report.digest import PAGE, digest, digest_of
from crossarch.platform.report.page import files
from crossarch.platform.report.pictures import mosaics
from crossarch.platform.report.tables import build_table
from crossarch.platform.scheduling.prepare import library, store
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import copy_of
from crossarch.platform.store.tracking import TrackingError, attach
from crossarch.search_spaces.study import Study
from crossarch.trainables.files import write_atomically, writing


def publish(
    study: Study, seeds: Sequence[int], root: Path, tracking: str, *, folder: Path | None = None, anew: bool = True
) -> list[str]:
    """Writes the report and attaches its page in MLflow. Returns lines for the terminal, also on failures.

    Unless `anew`, a page of the same results is not written again.
    """
    folder = folder or root / "reports" / study.name
    try:
        write_report(study, tuple(seeds), root, folder, anew=anew)
    except OSError as error:
        return [f"The report cannot be written to {str(folder)!r}: {error.strerror or error}."]
    copy, inside = copy_of(root), folder.is_relative_to(root)
    if inside:
        try:
            copy.push(f"{copy.name(folder)}/")
        except OSError as error:
            return [f"The report is on this machine only, in {str(folder)!r}: {error}."]
    told = [report_line(root, folder)]
    try:
        attach(Ledger(root).invocations(study.name), root, tracking, folder / PAGE)
    except TrackingError as error:
        told.append(f"The report is not attached in MLflow: {error}")
    return told


def write_report(study: Study, seeds: tuple[int, ...], root: Path, folder: Path, *, anew: bool = True) -> list[Path]:
    """Writes the page and the files beside it. Returns the changed files. Raises OSError if one cannot be written."""
    ledger = Ledger(root)
    results = ledger.read()
    recorded = [invocation.command for invocation in ledger.invocations(study.name)]
    stored = store(root)
    sets = stored.names()
    if not anew:
        table = build_table(study, seeds, results)
        if digest_of(folder / PAGE) == digest(table, results, recorded=recorded, sets=sets):
            return []
    shown = mosaics(study, seeds, stored, library(root, None, lambda message: None))
    report = make_report(study, seeds, results, recorded=recorded, sets=sets, mosaics=shown)
    written = []
    for name, content in files(report):
        raw = content.encode() if isinstance(content, str) else content
        path = folder / name
        if not path.is_file() or path.read_bytes() != raw:
            write_atomically(path, writing(raw))
            written.append(path)
    return written
