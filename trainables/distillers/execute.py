"""One distillation from its configuration to a set in the store, with all that must be known of it."""

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
"""The set as it was at the last evaluation, beside the checkpoints: to look at while it is being distilled."""


def workshop(root: Path, config: DistillConfig) -> Path:
    """The folder of a distillation's checkpoints and snapshot."""
    return root / "checkpoints" / distill_id(config)


def describe_set(
    config: DistillConfig, name: str, images: Tensor, labels: Tensor, *, curve: Sequence[DistillPoint], device: str
) -> Manifest:
    """The manifest of a set (N, C, H, W) with labels as they are at the last point of `curve`.

    Its source's digest is that of the distillation: all that can change what comes out of it.
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
    """Distils a set into the store under `name`, going on from the last checkpoint if there is one.

    At each evaluation the set as it is then is left in the workshop, before `on_report` hears of it. Raises
    DistillationDivergedError, ValueError where what came out is no set or the name is another's, and OSError where
    data cannot be had or the disk refuses.
    """
    folder, copy = workshop(workplace.root, config), workplace.copy

    def heard(point: DistillPoint, distiller: Distiller) -> None:
        if point.validation_accuracy is not None:
            images, labels = finished(distiller)
            manifest = describe_set(config, name, images, labels, curve=[point], device=device)
            write_set(folder / SNAPSHOT, manifest, images, labels)
            copy.push(copy.name(folder / SNAPSHOT))
        on_report(point)

    library = Library(workplace.data, workplace.data_root)
    checkpoints = Checkpoints(folder, workplace.checkpoint_seconds, copy)
    done = distill(config, library, device=device, checkpoints=checkpoints, on_report=heard)
    images, labels = finished(done.distiller)
    check_set(images, labels, DATASETS[config.dataset], config.images_per_class)
    manifest = describe_set(config, name, images, labels, curve=done.curve, device=device)
    copy.push(copy.name(Store(workplace.data / "distilled").add(manifest, images, labels)))
    checkpoints.clear()
    return manifest


def finished(distiller: Distiller) -> tuple[Tensor, Tensor]:
    """The set as the store takes it: on the CPU, images and soft labels in float32."""
    images, labels = (tensor.detach().cpu() for tensor in distiller.prototypes())
    return images.float(), labels.float() if labels.is_floating_point() else labels
