"""Dataset distillation into the store: prepares the data, distils on a cluster, exports to MLflow."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.status import Status
from torch import Tensor

from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.scheduling.cluster import Cluster, on_demand
from crossarch.platform.scheduling.data import bound, is_made_by
from crossarch.platform.scheduling.prepare import library, make_ready, store
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.tune_distil import drive
from crossarch.platform.store.distillation_tracking import DistillationView
from crossarch.platform.store.storage import SETS, copy_of
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.distiller import DistillConfig
from crossarch.trainables.data.distilled_sets import read_set
from crossarch.trainables.data.manifest import Manifest
from crossarch.trainables.distillers.execute import SNAPSHOT, workshop
from crossarch.trainables.distillers.loop import DistillPoint
from crossarch.trainables.working_copy import StorageUnreachableError

Draw = Callable[[Manifest, Tensor, Tensor, Path], list[Path]]


INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def distil_into_store(config: DistillConfig, name: str, site: Site, console: Console, draw: Draw | None = None) -> int:
    """`distil` on a cluster that is connected for this call."""
    with on_demand(site, console.print) as cluster:
        status = distil(config, name, site, console, cluster, draw)
    if status == INTERRUPTED:
        console.print("\nInterrupted. The same command continues where this one stopped.")
    return status


def distil_for(
    study: Study, site: Site, console: Console, cluster: Callable[[], Cluster], draw: Draw | None = None
) -> tuple[Study, int]:
    """Distils the sets that `study` creates itself and the store lacks, and binds the study to the stored sets.

    Stops at the first set that could not be stored. Returns the study, bound if all sets are stored, and the exit
    status of the last `distil`. Raises as `distil` does.
    """
    for name, config in study.to_distil().items():
        status = distil(config, name, site, console, cluster, draw)
        if status:
            return study, status
    with refusing():
        return bound(study, site.root), 0


def distil(
    config: DistillConfig,
    name: str,
    site: Site,
    console: Console,
    cluster: Callable[[], Cluster],
    draw: Draw | None = None,
) -> int:
    """Distils `config` into the store under `name`, unless the store has it.

    Args:
        config: The dataset distillation.
        name: Name of the set.
        site: Where it is distilled and recorded.
        console: The terminal.
        cluster: Connects to the cluster; called only if the set must be distilled.
        draw: Draws the pictures of the set for MLflow; None for no pictures.

    Returns:
        The exit status: 0 stored, 1 failed, 130 interrupted.

    Raises:
        BadInputError: Another set has the name, data cannot be obtained, or the site's cluster does not answer.
        ClusterError: Ray does not start on this machine, or the cluster cannot serve the demand.
    """
    there = stored(config, name, site.root)
    with DistillationView(site.tracking, config, name, console.print) as view:
        if there is not None:
            console.print(f"{name}: already in the store, sha256 {there.sha256[:12]}")
            show_finished(there, site, view, draw)
            return 0
        whole = config.resolved()
        parts = [(whole.dataset, str(whole.whitening), part) for part in ("train", "validation")]
        make_ready(parts, site.root, site.data_root, console.print)
        return _distil(config, name, site, console, view, cluster(), draw)


def stored(config: DistillConfig, name: str, root: Path) -> Manifest | None:
    """Manifest of the stored set; None if the store lacks it. Raises BadInputError if another set has its name."""
    sets, copy = store(root), copy_of(root)
    copy.pull(SETS)
    copy.push(SETS)  # uploads what a killed process has left
    if name not in sets.names():
        return None
    with refusing():
        manifest, _, _ = sets.read(name)
    if not is_made_by(config, manifest):
        raise BadInputError(f"name = {name!r} is taken by a set that was made otherwise: give another --name")
    return manifest


def _distil(
    config: DistillConfig,
    name: str,
    site: Site,
    console: Console,
    view: DistillationView,
    cluster: Cluster,
    draw: Draw | None,
) -> int:
    console.print(f"{name}: distilling {config.dataset} by {config.distiller}, {config.steps:,} steps", highlight=False)
    with console.status(f"{name}: starting ...") as status:
        view.running()

        def on_point(point: DistillPoint) -> None:
            tell(point, config.steps, name, console, status)
            view.point(point)
            if point.validation_accuracy is not None and draw:
                show_snapshot(config, site, view, point.step, draw)

        ended = drive(config, name, cluster, site, on_point)
    if ended.error:
        view.stopped("FAILED")
        console.print(f"{name}: failed: {ended.error}", style="red", markup=False)
        return 1
    manifest = stored(config, name, site.root)
    if manifest is None:
        view.stopped("KILLED")
        return INTERRUPTED
    show_finished(manifest, site, view, draw)
    console.print(
        f"{name}: in the store, {manifest.label_form} labels, whitening {manifest.whitening}, "
        f"sha256 {manifest.sha256[:12]}",
        soft_wrap=True,
    )
    return INTERRUPTED if ended.interrupted else 0


def tell(point: DistillPoint, steps: int, name: str, console: Console, status: Status) -> None:
    """Updates the status line, and prints a line if the point has an evaluation."""
    status.update(f"{name}: step {point.step:,} of {steps:,}, loss {point.loss:.4f}")
    if point.validation_accuracy is not None:
        console.print(
            f"  step {point.step:,}: loss {point.loss:.4f}, a ConvNet trained on it briefly gets "
            f"{point.validation_accuracy:.1f} % of the validation images, {point.seconds:.0f} s",
            soft_wrap=True,
        )


def show_finished(manifest: Manifest, site: Site, view: DistillationView, draw: Draw | None) -> None:
    """Exports the stored set to MLflow, with the pictures drawn by `draw`, unless that has been done."""
    if view.finished(manifest) and draw:
        _, images, labels = store(site.root).read(manifest.name)
        show_pictures(manifest, images, labels, site, view, "set", draw)


def show_snapshot(config: DistillConfig, site: Site, view: DistillationView, step: int, draw: Draw) -> None:
    """Exports the pictures of the set at its last evaluation, if the worker's snapshot can be read from here."""
    snapshot, copy = workshop(site.root, config) / SNAPSHOT, copy_of(site.root)
    try:
        copy.pull(copy.name(snapshot))
        manifest, images, labels = read_set(snapshot)
    except (ValueError, StorageUnreachableError):
        return
    show_pictures(manifest, images, labels, site, view, f"step-{step:08d}", draw)


def show_pictures(
    manifest: Manifest,
    images: Tensor,
    labels: Tensor,
    site: Site,
    view: DistillationView,
    folder: str,
    draw: Draw,
) -> None:
    """Exports the image grid, whitening undone, and the labels to MLflow's run, into its artifact folder `folder`."""
    real = library(site.root, site.data_root, lambda message: None)
    with TemporaryDirectory() as temporary:
        pixels = real.whitening(manifest.dataset, manifest.whitening).invert(images)
        view.artifacts(draw(manifest, pixels, labels, Path(temporary)), folder)
