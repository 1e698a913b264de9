"""Verifies the whitening of a distilled set, prints the verdict, and records it in the set's manifest."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console

from crossarch.platform.scheduling.prepare import library
from crossarch.search_spaces.paper.published import published
from crossarch.trainables.analysis.verification import Probe, Verdict, candidates, probe, verify
from crossarch.trainables.data.manifest import Manifest
from crossarch.trainables.data.published_sets import Candidate
from crossarch.trainables.environment import commit
from crossarch.trainables.training.batch import find_device

TABLES = (2, 5, 6)
"""The paper's tables that have the baseline's accuracy for each distilled set."""


def expected_accuracy(manifest: Manifest) -> float | None:
    """The paper's accuracy in % of the CNN's baseline on such a set; None if it reports none."""
    wanted = (manifest.dataset, manifest.distiller, manifest.images_per_class, "Baseline", "ConvNet")
    for row in (row for table in TABLES for row in published(table)):
        if (row.dataset, row.distiller, row.images_per_class, row.method, row.network) == wanted:
            return row.accuracy
    return None


def verify_set(
    candidate: Candidate, claimed: str | None, root: Path, data_root: Path | None, console: Console
) -> Verdict:
    """Trains the probes that are needed and prints their verdict. `claimed` is the whitening the set claims."""
    manifest, device = candidate.manifest, find_device(None)
    data = library(root, data_root, console.print)
    torch.set_num_threads(1)  # as in a trial; two threads that wait for each other are slower on a busy machine

    def measure(whitening: str) -> Probe:
        with console.status(f"Training a ConvNet, tested in whitening {whitening} ..."):
            measured = probe(manifest, candidate.images, candidate.labels, whitening, data, device)
        console.print(f"  {whitening}: {measured.accuracy:.1f} % of {measured.images:,} validation images")
        return measured

    expected = expected_accuracy(manifest)
    if expected is not None:
        console.print(f"{manifest.name}: the paper reports {expected:.1f} % for the CNN's baseline")
    verdict = verify(measure, claimed, candidates(manifest.dataset), expected)
    console.print(f"{manifest.name}: {sentence(verdict, claimed)}")
    return verdict


def sentence(verdict: Verdict, claimed: str | None) -> str:
    """The verdict as a sentence."""
    if verdict.fits is None:
        best = max(verdict.probes, key=lambda each: each.accuracy)
        return f"no whitening fits: the best, {best.whitening}, gives {best.accuracy:.1f} %"
    if verdict.fits == claimed:
        return f"whitening {claimed} fits"
    return f"whitening {verdict.fits} fits" + (f", not {claimed}" if claimed else "")


def record(manifest: Manifest, verdict: Verdict) -> Manifest:
    """The manifest with the verdict as JSON in its field `verified`."""
    found = {
        "fits": verdict.fits,
        "expected_accuracy": verdict.expected,
        "accuracies": {each.whitening: round(each.accuracy, 2) for each in verdict.probes},
        "validation_images": verdict.probes[0].images,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
    }
    return dataclasses.replace(manifest, verified=json.dumps(found))
