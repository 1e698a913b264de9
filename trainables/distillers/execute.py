"""Executes one dataset distillation, from configuration to a set with its manifest in the store."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from torch import Tensor

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.distiller import DistillConfig, distill_digest, distill_id
from crossarch.trainables.data.distilled_sets import Store, content_digest, write_set
from crossarch.trainables.data.library import Library
from crossarch.trainables.data.manifest import Manifest
from crossarch.trainables.data.published_sets import check_set, label_form
from crossarch.trainables.distillers.loop import Distiller, DistillPoint, distill
from crossarch.trainables.environment import commit, describe
from crossarch.trainables.training.execute import Workplace
from crossarch.trainables.training.state import Checkpoints

SNAPSHOT = "snapshot.safetensors"
"""File beside the checkpoints with the set at the last evaluation, to be viewed during the distillation."""


def workshop(root: Path, config: DistillConfig) -> Path:
    """The folder of a dataset distillation's checkpoints and snapshot."""
    return root / "checkpoints" / distill_id(config)


def describe_set(
    config: DistillConfig, name: str, images: Tensor, labels: Tensor, *, curve: Sequence[DistillPoint], device: str
) -> Manifest:
    """The manifest of a set with images (N, C, H, W) and labels, distilled up to the last point of `curve`.

    Its `source_sha256` is the digest of the distillation's configuration, on which the result depends.
    """
    config = config.resolved()
    facts = {
        "distillation": distill_id(config),
        "config": config.to_dict(),
        "steps": curve[-1].step,
        "seconds": round(curve[-1].seconds, 1),
        "curve": [asdict(point) for point in curve],
        "environment": dict(describe(device)),
    }
    return Manifest(
        name=name,
        dataset=config.dataset,
        distiller=config.distiller,
        images_per_class=config.images_per_class,
        whitening=str(config.whitening),
        label_form=label_form(labels),
        label_temperature=None if labels.ndim == 1 else config.label_temperature,
        source=f"crossarch distill {config.distiller}",
        source_sha256=distill_digest(config),
        sha256=content_digest(images, labels),
        form=f"distilled by crossarch {commit() or '(commit unknown)'}",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        facts=json.dumps(facts),
    )


def execute(
    config: DistillConfig,
    workplace: Workplace,
    name: str,
    *,
    device: str = "cpu",
    on_report: Callable[[DistillPoint], None] = lambda point: None,
) -> Manifest:
    """Distils a set into the store under `name`, continuing from the last checkpoint if there is one.

    At each evaluation a snapshot of the set is written to the workshop before `on_report` is called.

    Raises:
        DistillationDivergedError: The loss is not finite.
        ValueError: The result is not a valid set, or another set has the name.
        OSError: Data cannot be obtained, or the disk refuses.
    """
    folder, copy = workshop(workplace.root, config), workplace.copy

    def report(point: DistillPoint, distiller: Distiller) -> None:
        if point.validation_accuracy is not None:
            images, labels = finished(distiller)
            manifest = describe_set(config, name, images, labels, curve=[point], device=device)
            write_set(folder / SNAPSHOT, manifest, images, labels)
            copy.push(copy.name(folder / SNAPSHOT))
        on_report(point)

    library = Library(workplace.data, workplace.data_root)
    checkpoints = Checkpoints(folder, workplace.checkpoint_seconds, copy)
    done = distill(config, library, device=device, checkpoints=checkpoints, on_report=report)
    images, labels = finished(done.distiller)
    check_set(images, labels, DATASETS[config.dataset], config.images_per_class)
    manifest = describe_set(config, name, images, labels, curve=done.curve, device=device)
    copy.push(copy.name(Store(workplace.data / "distilled").add(manifest, images, labels)))
    checkpoints.clear()
    return manifest


def finished(distiller: Distiller) -> tuple[Tensor, Tensor]:
    """The set in the form of the store: on the CPU, images and soft labels in float32."""
    images, labels = (tensor.detach().cpu() for tensor in distiller.prototypes())
    return images.float(), labels.float() if labels.is_floating_point() else labels
