"""Loads a study's results as a DataFrame."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from crossarch.platform.scheduling.data import bound
from crossarch.platform.scheduling.sampling import recorded_forms
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import open_storage, place_of
from crossarch.search_spaces.catalog import find_form
from crossarch.search_spaces.study import Study, each_once


def load_results(study: str | Study, storage: str | Path = "crossarch-results") -> pd.DataFrame:
    """Loads the recorded runs of a study, with any seeds.

    Args:
        study: A name (`quickstart`, `table2-smoke`), a file (`./my_study.py`) or a `Study`.
        storage: A folder or URI.

    Returns:
        One row per run, in the study's order. The columns are `role` (`cell`, or `teacher` for a run that is trained
        only as a teacher), `arm` and `network` as labelled in the report, one column per other axis, and all columns of
        the ledger: accuracies in %, times in s. Of a study with a sampler, all points that it chose are included.

    Raises:
        ValueError: The study is unknown, or the ledger in `storage` has no run of it.
    """
    root = open_storage(storage)
    found = bound(find_form(study) if isinstance(study, str) else study, root)
    ledger = Ledger(root).table().to_pandas()
    seeds = tuple(sorted({int(seed) for seed in ledger["seed"]}))
    forms = recorded_forms(found, Ledger(root)) if seeds else ()
    there = set(ledger["run_id"])
    runs: dict[str, tuple[str, Mapping[str, str]]] = {}
    for form in forms:
        for role, needed in zip(("cell", "teacher"), each_once(form.expand(seeds)), strict=True):
            for name in filter(there.__contains__, needed):
                labels = {axis: form.label(axis, value) for axis, value in needed[name].coordinates.items()}
                runs.setdefault(name, (role, labels))
    if not runs:
        raise ValueError(f"study = {found.name!r} has no runs in {place_of(root)!r}: `crossarch run` trains them")
    rows = ledger.set_index("run_id").loc[list(runs)].reset_index()
    told = {"role": [role for role, _ in runs.values()]}
    told |= {"arm": [labels["arm"] for _, labels in runs.values()]}
    told |= {"network": [labels[found.columns] for _, labels in runs.values()]}
    for axis in (axis.name for axis in found.axes if axis.name != found.columns):
        column = axis if axis not in rows.columns else f"{axis}.label"
        told[column] = [labels[axis] for _, labels in runs.values()]
    for place, (name, values) in enumerate(told.items()):
        rows.insert(place, name, values)
    return rows
