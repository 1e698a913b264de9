"""From a distilled set as it was published to one that the store takes: checked, and described by its manifest."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from torch import Tensor

from crossarch.trainables.data.archives import files_digest
from crossarch.trainables.data.catalog import DATASETS, check_choice
from crossarch.trainables.data.checks import balance_note, check_set, label_form
from crossarch.trainables.data.distilled import content_digest
from crossarch.trainables.data.manifest import Manifest
from crossarch.trainables.data.published_forms import read_published


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What the files do not tell and whoever adds them must say."""

    dataset: str
    distiller: str
    whitening: str
    name: str | None = None
    """None: `<dataset>-<distiller>-ipc<images per class>`."""
    label_temperature: float | None = None
    source: str | None = None
    """None: the base name of what was given."""
    licence: str = "unknown"

    def __post_init__(self) -> None:
        """Raises ValueError for a data set or a whitening that is not known."""
        check_choice(self.dataset)
        known = DATASETS[self.dataset].whitenings
        if self.whitening not in known:
            raise ValueError(f"whitening = {self.whitening!r} is not one of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A set ready for the store."""

    manifest: Manifest
    images: Tensor
    labels: Tensor
    notes: tuple[str, ...]
    """What is no error, but should be known: a sentence each."""


def take_in(path: Path, declared: Declared, *, run: int | None = None, channel_order: str | None = None) -> Candidate:
    """Reads and checks what was published at `path`. Raises ValueError, in one sentence, where it is refused."""
    found = read_published(path, run=run, channel_order=channel_order)
    facts = DATASETS[declared.dataset]
    images_per_class = check_set(found.images, found.labels, facts)
    form = label_form(found.labels)
    if form in ("centred", "logits") and declared.label_temperature is None:
        raise ValueError(
            f"label_temperature = None, but the labels are {form}: networks train against softmax(y / t), "
            "with t = 0.3 for FRePo's sets of CIFAR-10, 0.04 of CIFAR-100, 0.02 of Tiny-ImageNet"
        )
    if form == "hard" and declared.label_temperature is not None:
        raise ValueError(f"label_temperature = {declared.label_temperature}, but the labels are hard: leave it out")
    manifest = Manifest(
        name=declared.name or f"{declared.dataset}-{declared.distiller}-ipc{images_per_class}",
        dataset=declared.dataset,
        distiller=declared.distiller,
        images_per_class=images_per_class,
        whitening=declared.whitening,
        label_form=form,
        label_temperature=declared.label_temperature,
        source_channel_order=found.channel_order,
        source=declared.source or path.resolve().name,
        source_sha256=files_digest(found.files),
        sha256=content_digest(found.images, found.labels),
        licence=declared.licence,
        form=found.form,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        facts=json.dumps(found.facts),
    )
    several = f"the file holds {found.runs} runs: number {found.facts.get('run')} was taken" if found.runs > 1 else ""
    notes = (several, balance_note(found.labels, facts.classes))
    return Candidate(
        manifest=manifest, images=found.images, labels=found.labels, notes=tuple(note for note in notes if note)
    )
