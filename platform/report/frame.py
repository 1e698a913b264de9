"""A study's results as a DataFrame, in one call."""

from pathlib import Path
from typing import TYPE_CHECKING

from crossarch.platform.report.reproduce import find_form
from crossarch.platform.report.tables import labels_of
from crossarch.platform.store.storage import open_storage, place_of

if TYPE_CHECKING:
    import pandas as pd

    from crossarch.search_spaces.study import Study


def load_results(study: "str | Study", storage: str | Path = "crossarch-results") -> "pd.DataFrame":
    """The recorded runs of a study, one row each, in the study's order; of whatever seeds the ledger has.

    `study` is a name (`quickstart`, `table2-smoke`), a file (`./my_study.py`) or a `Study`; `storage` a folder or URI.
    The columns are `role` (`cell`, or `teacher` for a run that is trained only because others learn from it), `arm` and
    `network`, as the report labels them, a column for each other axis, and then all of the ledger's, in its units:
    accuracies in %, times in s. Of a sampler all points are there that it chose, from whatever seeds' results.

    Raises ValueError for an unknown study, or where the ledger below `storage` has no run of it.
    """
    from crossarch.platform.scheduling.data import bound
    from crossarch.platform.scheduling.plan import list_members
    from crossarch.platform.scheduling.sampling import recorded_forms
    from crossarch.platform.store.ledger import Ledger

    root = open_storage(storage)
    found = bound(find_form(study) if isinstance(study, str) else study, root)
    ledger = Ledger(root).table().to_pandas()
    seeds = tuple(sorted({int(seed) for seed in ledger["seed"]}))
    forms = recorded_forms(found, Ledger(root)) if seeds else ()
    there = set(ledger["run_id"])
    known = (member for form in forms for member in list_members(form.expand(seeds))[0] if member.run_id in there)
    members = tuple({member.run_id: member for member in known}.values())
    if not members:
        raise ValueError(f"study = {found.name!r} has no runs in {place_of(root)!r}: `crossarch run` trains them")
    rows = ledger.set_index("run_id").loc[[member.run_id for member in members]].reset_index()
    labels = labels_of(arm for form in forms for arm in form.arms)
    told = {
        "role": [member.role for member in members],
        "arm": [labels[member.arm] for member in members],
        "network": [member.cell[found.column] for member in members],
    } | {
        axis.name if axis.name not in rows.columns else f"{axis.name}.label": [member.cell[place] for member in members]
        for place, axis in enumerate(found.axes)
        if axis.name != found.columns
    }
    for place, (name, values) in enumerate(told.items()):
        rows.insert(place, name, values)
    return rows
