"""Puts a study's report where people find it: files in a folder, and the page in MLflow beside the study's last run."""

from collections.abc import Sequence
from pathlib import Path

from crossarch.platform.report.page import PAGE, digest_of, files
from crossarch.platform.report.tables import build_table
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import copy_of, place_of
from crossarch.platform.store.tracking import TrackingError, attach
from crossarch.search_spaces.study import Study
from crossarch.trainables.files import write_atomically, writing


def publish(
    study: Study, seeds: Sequence[int], root: Path, tracking: str, *, folder: Path | None = None, anew: bool = True
) -> list[str]:
    """Writes the report and attaches its page; what to tell of it, failures included, a line each.

    Where not `anew`, a page that was made from the same results is left as it is.
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
    told = [f"Report: {f'{place_of(root)}/{copy.name(folder / PAGE)}' if inside else folder / PAGE}"]
    try:
        attach(Ledger(root).invocations(study.name), root, tracking, folder / PAGE)
    except TrackingError as error:
        told.append(f"The report is not attached in MLflow: {error}")
    return told


def write_report(study: Study, seeds: tuple[int, ...], root: Path, folder: Path, *, anew: bool = True) -> list[Path]:
    """Writes the page and the files beside it; those that had to change. Raises OSError where the disk refuses."""
    from crossarch.platform.report.content import digest, make_report  # draws

    ledger = Ledger(root)
    results = ledger.read()
    recorded = [invocation.command for invocation in ledger.invocations(study.name)]
    if not anew:
        table = build_table(study, seeds, results)
        if digest_of(folder / PAGE) == digest(table, results, root, recorded):
            return []
    written = []
    for name, content in files(make_report(study, seeds, results, root, recorded)):
        raw = content.encode() if isinstance(content, str) else content
        path = folder / name
        if not path.is_file() or path.read_bytes() != raw:
            write_atomically(path, writing(raw))
            written.append(path)
    return written
