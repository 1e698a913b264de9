"""Distils a set into the store: does nothing that is done, makes the data ready, and shows it in MLflow."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console
from rich.status import Status

from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.scheduling.cluster import Cluster, on_demand
from crossarch.platform.scheduling.data import bound, is_made_by, library, make_ready, store
from crossarch.platform.scheduling.site import Site
from crossarch.platform.store.distillation_tracking import DistillationView
from crossarch.platform.store.storage import SETS, copy_of
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.distiller import DistillConfig
from crossarch.trainables.data.manifest import Manifest
from crossarch.trainables.working_copy import StorageUnreachableError

if TYPE_CHECKING:
    from torch import Tensor

    from crossarch.trainables.distillers.loop import DistillPoint


INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def distil_into_store(config: DistillConfig, name: str, site: Site, console: Console) -> int:
    """As `distil`, on a cluster of its own."""
    with on_demand(site, console.print) as cluster:
        status = distil(config, name, site, console, cluster)
    if status == INTERRUPTED:
        console.print("\nInterrupted. The same command continues where this one stopped.")
    return status


def distil_for(study: Study, site: Site, console: Console, cluster: Callable[[], Cluster]) -> tuple[Study, int]:
    """As `distil`, all that `study` makes, up to the first that is not stored: the study, bound, and the status."""
    for name, config in study.to_distil().items():
        status = distil(config, name, site, console, cluster)
        if status:
            return study, status
    with refusing():
        return bound(study, site.root), 0


def distil(config: DistillConfig, name: str, site: Site, console: Console, cluster: Callable[[], Cluster]) -> int:
    """Distils `config` under `name`, unless it is there; the exit status: 0 stored, 1 failed, 130 interrupted.

    `cluster` is asked for only where there is something to do, and raises as `on_demand` says. Raises BadInputError
    where another set has the name or data cannot be had.
    """
    there = stored(config, name, site.root)
    with DistillationView(site.tracking, config, name, console.print) as view:
        if there is not None:
            console.print(f"{name}: already in the store, sha256 {there.sha256[:12]}")
            show_finished(there, site, view)
            return 0
        whole = config.resolved()
        parts = [(whole.dataset, str(whole.whitening), part) for part in ("train", "validation")]
        make_ready(parts, site.root, site.data_root, console.print)
        return _distil(config, name, site, console, view, cluster())


def stored(config: DistillConfig, name: str, root: Path) -> Manifest | None:
    """The manifest of the set, if the store has it. Raises BadInputError where another set has its name."""
    sets, copy = store(root), copy_of(root)
    copy.pull(SETS)
    copy.push(SETS)  # what a killed process had not sent
    if name not in sets.names():
        return None
    with refusing():
        manifest, _, _ = sets.read(name)
    if not is_made_by(config, manifest):
        raise BadInputError(f"name = {name!r} is taken by a set that was made otherwise: give another --name")
    return manifest


def _distil(
    config: DistillConfig, name: str, site: Site, console: Console, view: DistillationView, cluster: Cluster
) -> int:
    console.print(f"{name}: distilling {config.dataset} by {config.distiller}, {config.steps:,} steps", highlight=False)
    with console.status(f"{name}: starting ...") as status:
        from crossarch.platform.scheduling.tune_distil import drive  # Ray, which reads its environment when imported

        view.running()

        def on_point(point: "DistillPoint") -> None:
            tell(point, config.steps, name, console, status)
            view.point(point)
            if point.validation_accuracy is not None:
                show_snapshot(config, site, view, point.step)

        ended = drive(config, name, cluster, site, on_point)
    if ended.error:
        view.stopped("FAILED")
        console.print(f"{name}: failed: {ended.error}", style="red", markup=False)
        return 1
    manifest = stored(config, name, site.root)
    if manifest is None:
        view.stopped("KILLED")
        return INTERRUPTED
    show_finished(manifest, site, view)
    console.print(
        f"{name}: in the store, {manifest.label_form} labels, whitening {manifest.whitening}, "
        f"sha256 {manifest.sha256[:12]}",
        soft_wrap=True,
    )
    return INTERRUPTED if ended.interrupted else 0


def tell(point: "DistillPoint", steps: int, name: str, console: Console, status: Status) -> None:
    """Shows how far it is, and prints a line at each evaluation."""
    status.update(f"{name}: step {point.step:,} of {steps:,}, loss {point.loss:.4f}")
    if point.validation_accuracy is not None:
        console.print(
            f"  step {point.step:,}: loss {point.loss:.4f}, a ConvNet trained on it briefly gets "
            f"{point.validation_accuracy:.1f} % of the validation images, {point.seconds:.0f} s",
            soft_wrap=True,
        )


def show_finished(manifest: Manifest, site: Site, view: DistillationView) -> None:
    """Makes MLflow show the stored set, with its pictures; nothing where it does already."""
    if view.finished(manifest):
        _, images, labels = store(site.root).read(manifest.name)
        show_pictures(manifest, images, labels, site, view, "set")


def show_snapshot(config: DistillConfig, site: Site, view: DistillationView, step: int) -> None:
    """Adds the pictures of the set as it was at its last evaluation; none where no disk is shared with the worker."""
    from crossarch.trainables.data.distilled_sets import read_set
    from crossarch.trainables.distillers.execute import SNAPSHOT, workshop

    snapshot, copy = workshop(site.root, config) / SNAPSHOT, copy_of(site.root)
    try:
        copy.pull(copy.name(snapshot))
        manifest, images, labels = read_set(snapshot)
    except (ValueError, StorageUnreachableError):
        return
    show_pictures(manifest, images, labels, site, view, f"step-{step:08d}")


def show_pictures(
    manifest: Manifest,
    images: "Tensor",
    labels: "Tensor",
    site: Site,
    view: DistillationView,
    folder: str,
) -> None:
    """Adds image grid, whitening undone, and labels to MLflow's run."""
    from crossarch.platform.report.pictures import write_pictures

    real = library(site.root, site.data_root, lambda message: None)
    with TemporaryDirectory() as temporary:
        looked_at = real.whitening(manifest.dataset, manifest.whitening).invert(images)
        view.artifacts(write_pictures(manifest, looked_at, labels, Path(temporary)), folder)
