"""Whether the nodes of a cluster would train what the driver asks for: the same Python, Ray, torch and method."""

import re
import sys
from collections.abc import Iterable, Mapping

PATIENCE = 120.0
"""Seconds that nodes have to say their versions: the first worker of a job may unpack its working directory."""

NAMES = ("python", "ray", "torch", "crossarch's METHOD_VERSION")

_STARTED = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


def versions() -> dict[str, str]:
    """The versions of this process by NAMES; `none` of what is not installed."""
    import importlib.metadata
    import platform

    def of(distribution: str) -> str:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return "none"

    try:
        from crossarch.trainables.config.identity import METHOD_VERSION

        method = str(METHOD_VERSION)
    except ImportError:
        method = "none"
    values = (platform.python_version(), of("ray"), of("torch"), method)
    return dict(zip(NAMES, values, strict=True))


def disagreement(ours: Mapping[str, str], nodes: Iterable[tuple[str, Mapping[str, str]]]) -> str | None:
    """The first of `nodes`, addresses with their `versions`, that differs from the driver, and in what; a sentence.

    A build of torch (`+cu128`) makes no difference: nodes with GPUs may have another than the driver.
    """
    for address, theirs in nodes:
        different = [name for name in ours if _release(theirs[name]) != _release(ours[name])]
        if different:
            told = "; ".join(f"{name} {theirs[name]} there, {ours[name]} here" for name in different)
            return f"the node {address} and the driver differ, so that results would not be comparable: {told}"
    return None


def _release(version: str) -> str:
    return version.partition("+")[0]


def other_versions(text: str) -> str | None:
    """Ray's refusal of a driver, of several lines, as a sentence; None where `text` is another error."""
    found = _STARTED.findall(text)
    if len(found) != 2:
        return None
    (ray, python), (our_ray, our_python) = found
    ours, theirs = {"python": our_python, "ray": our_ray}, {"python": python, "ray": ray}
    return disagreement(ours, [("at its head", theirs)])


def survey() -> str | None:
    """What keeps this driver and the nodes of the cluster it is connected to apart, as a sentence; None if nothing.

    A node that is lost meanwhile, or says nothing within PATIENCE, is passed over: its runs compare the versions anew.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]  # a node may lack crossarch
    ask = ray.remote(num_cpus=0, max_retries=0)(versions)
    asked = {
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(): node
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE)
    told = []
    for answer in answered:
        try:
            told.append((asked[answer]["NodeManagerAddress"], ray.get(answer)))
        except ray.exceptions.RuntimeEnvSetupError as error:
            reason = str(error).strip().rpartition("\n")[2]
            return f"the node {asked[answer]['NodeManagerAddress']} cannot start a worker: {reason}"
        except ray.exceptions.RayError:
            continue
    return disagreement(versions(), told)
