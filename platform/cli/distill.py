"""The command `crossarch distill`: a distilled set of one's own, into the store."""

from typing import Annotated

import typer

from crossarch.platform.cli.options import (
    DEFAULT_STORAGE,
    Address,
    DataRoot,
    GpusPerRun,
    GrowsTo,
    Labels,
    Resources,
    Storage,
    Tracking,
    console,
    make_demand,
    make_site,
    parse_changes,
    whole_number_option,
)
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.store.storage import require_writable


def distill(
    distiller: Annotated[str, typer.Argument(metavar="DISTILLER", help="The method: frepo.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="width=0.5 learning_rate=0.001")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Real data set: digits, cifar10, cifar100, tiny_imagenet.")] = "digits",
    ipc: Annotated[int, whole_number_option("Distilled images a class.")] = 10,
    steps: Annotated[int | None, whole_number_option("Instead of the data set's own number.")] = None,
    seed: Annotated[int, whole_number_option("Of all that is random.")] = 0,
    name: Annotated[str | None, typer.Option(help="In the store; else <dataset>-<distiller>-ipc<IPC>.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    resources: Resources = None,
    labels: Labels = None,
    grows_to: GrowsTo = None,
    data_root: DataRoot = None,
) -> None:
    """Distil a data set and put it into the store. Ctrl-C ends tidily; running again continues."""
    from crossarch.platform.scheduling.distil import distil_into_store
    from crossarch.search_spaces.distillations import distillation
    from crossarch.trainables.data.manifest import check_name

    changes = {"images_per_class": ipc, "seed": seed} | ({} if steps is None else {"steps": steps})
    with refusing():
        root = require_writable(storage)
        given = parse_changes(settings or [])
        for key in given:
            if key in (*changes, "dataset", "distiller", "steps"):
                raise BadInputError(f"{key} = {given[key]!r}: give it as an option, --{key} or --ipc")
        config = distillation(distiller, dataset, {**given, **changes})
        chosen = check_name(name or f"{dataset}-{distiller}-ipc{ipc}")
        site = make_site(root, tracking, address, data_root, make_demand(gpus_per_run, resources, labels), grows_to)
    raise typer.Exit(distil_into_store(config, chosen, site, console()))
