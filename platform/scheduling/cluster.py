"""The Ray cluster: a local one started by this process, or an existing one."""

import functools
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from crossarch.platform.scheduling.ray_environment import JOB_VARIABLE

import ray
from ray._private import ray_constants
from ray._raylet import Config  # type: ignore[attr-defined]

from crossarch.platform.errors import BadInputError, FailedError
from crossarch.platform.scheduling.demand import Demand, Node, unserved
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.version_check import other_versions, survey

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # busy-waiting threads would take cores from the other trials
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}

LOOPBACK = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux, too: else Ray replaces 127.0.0.1 by the host's address
}
"""Environment of a local cluster: its ports listen on the loopback interface only and require a token."""

ATTEMPTS = 2
"""Attempts to start a local cluster: on a busy machine, Ray's processes may exceed their 30 s start limit."""

PATIENCE = 10.0
"""Timeout in seconds for connecting to a cluster's address."""


class ClusterError(FailedError):
    """Ray does not start on this machine, or the cluster cannot train these runs. The message is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Nodes of a cluster and the resource demand of a run."""

    nodes: tuple[Node, ...]
    demand: Demand = field(default_factory=Demand)
    grows_to: int = 0
    """Concurrent runs after an autoscaler has started its nodes; 0 without an autoscaler."""

    @property
    def slots(self) -> int:
        """Number of concurrent runs."""
        return self.grows_to or int(sum(map(self.demand.slots, self.nodes)))

    @property
    def waits_for(self) -> str | None:
        """Message on the resources that the autoscaler must add first; None if a run can start."""
        if any(map(self.demand.slots, self.nodes)):
            return None
        return f"Waiting for the cluster to grow: {unserved(self.demand, self.nodes)}."

    def serving(self, demand: Demand, grows_to: int = 0) -> "Cluster":
        """The cluster for runs with `demand`. Raises ClusterError if no node can serve it, without an autoscaler."""
        chosen = Cluster(nodes=self.nodes, demand=demand.on(self.nodes), grows_to=grows_to)
        if not chosen.slots:
            raise ClusterError(f"no node of the cluster can train a run: {unserved(chosen.demand, self.nodes)}")
        return chosen


@contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """Connects to a Ray cluster within the context.

    Args:
        address: Ray's address of an existing cluster (`auto`, `host:port`). None for the cluster in `RAY_ADDRESS`,
            which is set inside a submitted job, or else a new local cluster on the loopback interface, with token
            authentication.

    Raises:
        BadInputError: The existing cluster does not answer.
        ClusterError: The local cluster does not start, or the existing one has other versions than the driver.
    """
    target = address or os.environ.get("RAY_ADDRESS") or "local"
    if target == "local":
        keep_to_loopback()
        os.environ.update(WORKER_ENVIRONMENT)  # inherited; a runtime environment would cost each worker seconds
        _start()
    else:
        _attach("address" if address else "RAY_ADDRESS", target)
    try:
        if target != "local" and (fault := survey()):
            raise ClusterError(fault)
        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        yield Cluster(nodes=tuple(Node(resources=node["Resources"], labels=node.get("Labels") or {}) for node in alive))
    finally:
        ray.shutdown()


@contextmanager
def on_demand(site: Site, tell: Callable[[str], None]) -> Iterator[Callable[[], Cluster]]:
    """Yields a function that returns the site's cluster and connects on its first call. The context disconnects.

    `tell` is called with a message if the cluster must grow first. The function raises as `connected` and
    `Cluster.serving` do.
    """

    def connect() -> Cluster:
        cluster = stack.enter_context(connected(site.address)).serving(site.demand, site.grows_to)
        if cluster.waits_for:
            tell(cluster.waits_for)
        return cluster

    with ExitStack() as stack:
        yield functools.cache(connect)


def keep_to_loopback() -> None:
    """Restricts local clusters started by this process from now on to the loopback interface, with a token.

    Ray's processes inherit LOOPBACK. Ray has read these variables in this process on import, so they are read again.
    Variables set by the user are kept.
    """
    for name, value in LOOPBACK.items():
        os.environ.setdefault(name, value)
    Config.initialize("")
    ray_constants.ENABLE_RAY_CLUSTER = os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"].lower() in ("1", "true")


def _start() -> None:
    reason: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            _init("local", include_dashboard=False, _node_ip_address="127.0.0.1")
        except Exception as error:  # Ray raises bare ones
            reason = error
        else:
            return
    raise ClusterError(f"Ray does not start on this machine: {_first_line(reason)}") from reason


def _attach(name: str, address: str) -> None:
    """Connects to the cluster at `address`. Tries a plain connection first, as Ray itself would retry for minutes."""
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdigit()):
        raise BadInputError(f"{name} = {address!r} is neither auto nor host:port")
    try:
        if address != "auto":
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
        _init(address, runtime_env={"env_vars": _additions(os.environ.get(JOB_VARIABLE))})
    except Exception as error:  # Ray raises bare ones, too
        versions = other_versions(str(error))
        if versions:
            raise ClusterError(f"{name} = {address!r}: {versions}") from error
        reason = getattr(error, "strerror", None) or _first_line(error)
        raise BadInputError(f"{name} = {address!r} does not answer as a Ray cluster does: {reason}") from error


def _additions(job: str | None) -> dict[str, str]:
    """WORKER_ENVIRONMENT without the variables of the submitted job: Ray refuses variables that are set twice."""
    environment = (json.loads(job).get("runtime_env") or {}) if job else {}
    return {key: value for key, value in WORKER_ENVIRONMENT.items() if key not in (environment.get("env_vars") or {})}


def _init(address: str, **options: Any) -> None:
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
