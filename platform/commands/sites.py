"""Converts a command line's `Placement` to a Site."""

import os
from pathlib import Path

from crossarch.platform.scheduling.ray_environment import JOB_VARIABLE

from crossarch.platform.commands.requests import Placement
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.scheduling.demand import Demand, gpu_share, parse_labels, parse_resources
from crossarch.platform.scheduling.site import Site
from crossarch.platform.store.level import default_tracking_uri


def make_site(root: Path, placement: Placement) -> Site:
    """The site of an invocation; `root` is the absolute path of the storage folder.

    Raises BadInputError if a value of `placement` is not allowed.
    """
    demand = make_demand(placement)
    data_root, grows_to, stop_early = placement.data_root, placement.grows_to, placement.stop_early
    if data_root is not None and not data_root.is_dir():
        raise BadInputError(f"data_root = {str(data_root)!r} is not a folder")
    if grows_to is not None and grows_to < 1:
        raise BadInputError(f"grows_to = {grows_to} is outside [1, inf)")
    if placement.cohort < 1:
        raise BadInputError(f"cohort = {placement.cohort} is outside [1, inf)")
    if stop_early is not None and not 0 < stop_early < 1:
        raise BadInputError(f"stop_early = {stop_early:g} is outside (0, 1), the shares of a run's epochs")
    if JOB_VARIABLE in os.environ and root.is_relative_to(Path.cwd()):
        raise BadInputError(f"storage = {str(root)!r} lies in the job's working directory, which Ray removes")
    return Site(
        root=root,
        tracking=tracking_uri(placement.tracking, root),
        address=placement.address,
        demand=demand,
        grows_to=grows_to or 0,
        cohort=placement.cohort,
        stop_early=stop_early,
        data_root=data_root.resolve() if data_root else None,
    )


def make_demand(placement: Placement) -> Demand:
    """Resource demand of a run. Raises BadInputError if a value is not allowed."""
    gpus = placement.gpus_per_run
    with refusing():
        share = None if gpus is None else gpu_share(gpus)
        resources, labels = parse_resources(placement.resources or ()), parse_labels(placement.labels or ())
    return Demand(gpus=share, resources=resources, labels=labels)


def tracking_uri(uri: str | None, root: Path) -> str:
    """The given MLflow URI, or that of the embedded store in `root`."""
    return uri or default_tracking_uri(root)
