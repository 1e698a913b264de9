"""Compares the versions of Python, Ray, torch and the method on a cluster's nodes with the driver's."""

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterable, Mapping

import crossarch.platform.scheduling.ray_environment  # noqa: F401, before Ray

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

PATIENCE = 120.0
"""Seconds that nodes have to report their versions: a job's first worker may have to unpack its working directory."""

NAMES = ("python", "ray", "torch", "crossarch's METHOD_VERSION")

_STARTED = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


def versions() -> dict[str, str]:
    """The versions of this process, by NAMES; `none` for what is not installed."""

    def of(distribution: str) -> str:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return "none"

    try:
        # Runs on nodes, too, which may lack crossarch: Ray is sent this function as a value.
        from crossarch.trainables.config.identity import METHOD_VERSION

        method = str(METHOD_VERSION)
    except ImportError:
        method = "none"
    values = (platform.python_version(), of("ray"), of("torch"), method)
    return dict(zip(NAMES, values, strict=True))


def disagreement(ours: Mapping[str, str], nodes: Iterable[tuple[str, Mapping[str, str]]]) -> str | None:
    """A sentence that names the first node that differs from the driver, with all versions in which it does.

    Args:
        ours: The driver's `versions()`.
        nodes: Pairs of a node's address and its `versions()`.

    Returns:
        None if no node differs. The build of torch (`+cu128`) is ignored: nodes with GPUs may have another than the
        driver.
    """
    for address, theirs in nodes:
        different = [name for name in ours if _release(theirs[name]) != _release(ours[name])]
        if different:
            versions_of_both = "; ".join(f"{name} {theirs[name]} there, {ours[name]} here" for name in different)
            return (
                f"the node {address} and the driver differ, so that results would not be comparable: {versions_of_both}"
            )
    return None


def _release(version: str) -> str:
    return version.partition("+")[0]


def other_versions(text: str) -> str | None:
    """Ray's error that it refuses a driver's version, as one sentence; None if `text` is another error."""
    found = _STARTED.findall(text)
    if len(found) != 2:
        return None
    (ray, python), (our_ray, our_python) = found
    ours, theirs = {"python": our_python, "ray": our_ray}, {"python": python, "ray": ray}
    return disagreement(ours, [("at its head", theirs)])


def survey() -> str | None:
    """`disagreement` of this driver and the nodes of the cluster that it is connected to; None if all agree.

    A node that is lost meanwhile, or does not answer within PATIENCE, is skipped: its workers compare the versions
    again.
    """
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]  # a node may lack crossarch
    ask = ray.remote(num_cpus=0, max_retries=0)(versions)
    asked = {
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(): node
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE)
    reported = []
    for answer in answered:
        try:
            reported.append((asked[answer]["NodeManagerAddress"], ray.get(answer)))
        except ray.exceptions.RuntimeEnvSetupError as error:
            reason = str(error).strip().rpartition("\n")[2]
            return f"the node {asked[answer]['NodeManagerAddress']} cannot start a worker: {reason}"
        except ray.exceptions.RayError:
            continue
    return disagreement(versions(), reported)
