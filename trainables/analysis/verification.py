"""Whether a distilled set is read in the whitening it was made in: a ConvNet trained on it briefly tells.

A set that is tested in the wrong whitening gives far too low an accuracy, which is the field's most reported mishap
(notes, Whitening). Networks are tested on validation images: nothing here sees test data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from crossarch.trainables.config.datasets import DATASETS, check_choice
from crossarch.trainables.config.run import RunConfig
from crossarch.trainables.data.library import Library
from crossarch.trainables.data.load import targets
from crossarch.trainables.data.manifest import Manifest
from crossarch.trainables.training.probe import accuracy_after, brief_run

VALIDATION_IMAGES = 3000
IMAGES_SEEN = 30_000
"""Training images of one probe, repeated ones counted: 300 epochs of 100 images."""

MOST_EPOCHS = 500
BATCH_SIZE = 100
NETWORKS: dict[str | None, dict[str, Any]] = {
    None: {"model.norm": "batch", "model.width": 0.5},
    "mtt": {"model.norm": "instance", "model.channels": (128, 128, 128)},
}
"""The ConvNet of a probe, by the distiller; None for any other. MTT's sets are learned by a network of their own."""

TOLERANCE = 7.0
"""Percentage points by which so short a training may miss the published accuracy of a whole one.

Measured on the published sets of CIFAR-10 (one seed): FRePo's of 1 and 10 images a class came out 1.7 points above and
1.0 below it, MTT's 1.4 below and 4.6 above; of these, that of 1 image lost 14 points in `channel`, but only 0.3 in
`frepo`, which a network with InstanceNorm cannot tell from `zca`. Sets learned from all training images do a little
better on validation images, which are some of these.
"""

MARGIN = 3.0
"""Percentage points by which one whitening must beat another to be named as the one that fits."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One ConvNet trained on the set, and tested on images in one whitening."""

    whitening: str
    accuracy: float
    """In %, on `images` validation images."""
    images: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the probes say."""

    probes: tuple[Probe, ...]
    expected: float | None
    """The accuracy published for such a set and network in %, if there is one."""
    fits: str | None
    """The whitening that the set is in; None where the probes cannot tell."""


def recipe(dataset: str, images_per_class: int, distiller: str) -> RunConfig:
    """`brief_run` of the network of NETWORKS."""
    short = brief_run(
        dataset,
        images_per_class,
        "probed",
        images_seen=IMAGES_SEEN,
        most_epochs=MOST_EPOCHS,
        batch_size=BATCH_SIZE,
    )
    return short.replace(NETWORKS.get(distiller, NETWORKS[None]))


def probe(
    manifest: Manifest, images: Tensor, labels: Tensor, whitening: str, library: Library, device: str = "cpu"
) -> Probe:
    """Trains on the set's images (N, C, H, W) and labels, and tests on real images in `whitening`."""
    validation, classes = (part[:VALIDATION_IMAGES] for part in library.part(manifest.dataset, whitening, "validation"))
    run = recipe(manifest.dataset, manifest.images_per_class, manifest.distiller)
    train = images, targets(labels, manifest, manifest.label_temperature)
    accuracy = accuracy_after(run, train, (validation, classes), device)
    return Probe(whitening=whitening, accuracy=accuracy, images=len(classes))


def verify(
    measure: Callable[[str], Probe], claimed: str | None, candidates: Sequence[str], expected: float | None
) -> Verdict:
    """Probes the whitening that is claimed and, where its accuracy is not as expected, the other candidates.

    `measure` trains one probe. With no expectation, or no claim, all candidates are probed, and the best fits if it
    leads by MARGIN points; a claimed one fits, too, if it is that close to the best.
    """
    probes = [measure(claimed)] if claimed else []
    if probes and expected is not None and abs(probes[0].accuracy - expected) <= TOLERANCE:
        return Verdict(probes=tuple(probes), expected=expected, fits=claimed)
    probes += [measure(name) for name in candidates if name != claimed]
    best, *others = sorted(probes, key=lambda each: each.accuracy, reverse=True)
    close = [each.whitening for each in (best, *others) if best.accuracy - each.accuracy < MARGIN]
    plausible = expected is None or best.accuracy >= expected - TOLERANCE
    fits = claimed if claimed in close else best.whitening if len(close) == 1 else None
    return Verdict(probes=tuple(probes), expected=expected, fits=fits if plausible else None)


def candidates(dataset: str) -> tuple[str, ...]:
    """The whitenings that published sets of `dataset` may be in. Raises ValueError for an unknown one."""
    check_choice(dataset)
    return ("channel", "zca", "frepo") if DATASETS[dataset].channels == 3 else ("channel",)
