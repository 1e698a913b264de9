"""Digest of a study's report page, which identifies an unchanged page without drawing it."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from crossarch.platform.report.tables import Table
from crossarch.trainables.config.result import RunResult

PAGE = "index.html"
VERSION = 4
"""Incremented when unchanged results give a different page."""


def digest(
    table: Table, results: Mapping[str, RunResult], *, recorded: Sequence[str] = (), sets: Sequence[str] = ()
) -> str:
    """SHA-256 of everything that the page depends on; for the arguments see `make_report`."""
    runs = [(run.run_id, run.outcome, results[run.run_id].finished_at) for run in table.runs if run.run_id in results]
    told = [VERSION, repr(table.study), list(table.seeds), sorted(runs), list(sets), list(recorded)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def digest_of(page: Path) -> str | None:
    """The digest in the head of an HTML page; None if the page does not exist or has none."""
    try:
        head = page.read_text(encoding="utf-8", errors="replace")[:2000]
    except OSError:
        return None
    found = re.search(r'<meta name="crossarch-digest" content="([0-9a-f]{64})">', head)
    return found[1] if found else None
