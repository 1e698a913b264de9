"""Verifies the whitening of a distilled set by training a ConvNet on it briefly.

Testing in the wrong whitening gives a much lower accuracy, the most reported problem with distilled sets (notes,
Whitening). Networks are tested on validation images; test data are not used.
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
"""Training images of one probe, repetitions included: 300 epochs of 100 images."""

MOST_EPOCHS = 500
BATCH_SIZE = 100
NETWORKS: dict[str | None, dict[str, Any]] = {
    None: {"model.norm": "batch", "model.width": 0.5},
    "mtt": {"model.norm": "instance", "model.channels": (128, 128, 128)},
}
"""Changes to a probe's ConvNet by distiller; None for all other distillers. MTT's sets were distilled with another
network."""

TOLERANCE = 7.0
"""Percentage points by which a probe's short training may differ from the published accuracy of a full training.

Measured on the published sets of CIFAR-10 (one seed): FRePo's of 1 and 10 images per class were 1.7 points above and
1.0 below it, MTT's 1.4 below and 4.6 above. MTT's of 1 image lost 14 points in `channel`, but only 0.3 in `frepo`,
which a network with InstanceNorm cannot distinguish from `zca`. Sets distilled from all training images have a slightly
higher accuracy on validation images, which are among these.
"""

MARGIN = 3.0
"""Percentage points by which a whitening must be better than the others to be the verdict."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The result of a ConvNet trained on the set and tested on images in one whitening."""

    whitening: str
    accuracy: float
    """Accuracy in % on `images` validation images."""
    images: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict of the probes on the set's whitening."""

    probes: tuple[Probe, ...]
    expected: float | None
    """The accuracy published for such a set and network in %, if there is one."""
    fits: str | None
    """The whitening that the set is in; None if the probes cannot decide."""


def recipe(dataset: str, images_per_class: int, distiller: str) -> RunConfig:
    """`brief_run` with the distiller's network of NETWORKS."""
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
    """Trains on the set's images (N, C, H, W) and labels, and tests on real validation images in `whitening`."""
    validation, classes = (part[:VALIDATION_IMAGES] for part in library.part(manifest.dataset, whitening, "validation"))
    run = recipe(manifest.dataset, manifest.images_per_class, manifest.distiller)
    train = images, targets(labels, manifest, manifest.label_temperature)
    accuracy = accuracy_after(run, train, (validation, classes), device)
    return Probe(whitening=whitening, accuracy=accuracy, images=len(classes))


def verify(
    measure: Callable[[str], Probe], claimed: str | None, candidates: Sequence[str], expected: float | None
) -> Verdict:
    """Probes the claimed whitening and, if its accuracy is not as expected, the other candidates.

    Without an expectation or a claim, all candidates are probed. The best one fits if it leads by MARGIN points; the
    claimed one also fits if it is within MARGIN points of the best.

    Args:
        measure: Trains one probe in a whitening.
        claimed: The whitening that the set claims to be in, if any.
        candidates: The whitenings to probe.
        expected: The published accuracy in %, if any.
    """
    probes = [measure(claimed)] if claimed else []
    if probes and expected is not None and abs(probes[0].accuracy - expected) <= TOLERANCE:
        return Verdict(probes=tuple(probes), expected=expected, fits=claimed)
    probes += [measure(name) for name in candidates if name != claimed]
    best = max(probes, key=lambda result: result.accuracy)
    close = [result.whitening for result in probes if best.accuracy - result.accuracy < MARGIN]
    fits = None
    if expected is None or best.accuracy >= expected - TOLERANCE:
        if claimed in close:
            fits = claimed
        elif len(close) == 1:
            fits = best.whitening
    return Verdict(probes=tuple(probes), expected=expected, fits=fits)


def candidates(dataset: str) -> tuple[str, ...]:
    """The whitenings that published sets of `dataset` may be in. Raises ValueError for an unknown one."""
    check_choice(dataset)
    return ("channel", "zca", "frepo") if DATASETS[dataset].channels == 3 else ("channel",)
