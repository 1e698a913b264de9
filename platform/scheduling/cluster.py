"""The Ray cluster: one of our own on this machine, or one that is there already."""

import functools
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from crossarch.platform.errors import BadInputError, FailedError
from crossarch.platform.scheduling.demand import Demand, Node, unserved
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.version_check import other_versions, survey

ENVIRONMENT = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else workers under `uv run` start in an environment of their own
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_prestart_worker_first_driver": "0",  # Tune's workers have an environment of their own: these would never work
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger is the record
    "RAY_AIR_NEW_OUTPUT": "0",  # its reporter prints tables of its own, whatever the verbosity
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours ends the study tidily
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nothing is ever restored from Tune's snapshots
}

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait in a loop would steal the other trials' cores
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}

LOOPBACK = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux, too: else Ray takes the host's address for 127.0.0.1
}
"""Of a cluster of our own, whose ports then listen on the loopback interface alone, for those with the token."""

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""What Ray tells the driver of a submitted job about its job, as JSON."""

ATTEMPTS = 2
"""Ray gives its own processes 30 s to start, which a machine that is busy just then may not manage."""

PATIENCE = 10.0
"""Seconds in which a cluster's address has to take a connection."""


class ClusterError(FailedError):
    """Ray does not start on this machine, or the cluster cannot train these runs; one sentence."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What there is to train on, and what each run asks for."""

    nodes: tuple[Node, ...]
    demand: Demand = field(default_factory=Demand)
    grows_to: int = 0
    """Runs at a time once an autoscaler has started its nodes; 0 where there is none."""

    @property
    def slots(self) -> int:
        """Runs at a time."""
        return self.grows_to or int(sum(map(self.demand.slots, self.nodes)))

    @property
    def waits_for(self) -> str | None:
        """What the autoscaler must start first, as a sentence; None where a run can begin."""
        if any(map(self.demand.slots, self.nodes)):
            return None
        return f"Waiting for the cluster to grow: {unserved(self.demand, self.nodes)}."

    def serving(self, demand: Demand, grows_to: int = 0) -> "Cluster":
        """The same for runs that ask for `demand`. Raises ClusterError where no node can give it or ever will."""
        chosen = Cluster(nodes=self.nodes, demand=demand.on(self.nodes), grows_to=grows_to)
        if not chosen.slots:
            raise ClusterError(f"no node of the cluster can train a run: {unserved(chosen.demand, self.nodes)}")
        return chosen


@contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """Ray, for as long as the context lasts.

    `address` is Ray's (`auto`, `host:port`); without one, the cluster that `RAY_ADDRESS` names, as inside a
    submitted job, or else a cluster of our own, on the loopback interface with token authentication on. Raises
    BadInputError where the named cluster does not answer, ClusterError where ours does not start, or where the
    named one has other versions than the driver.
    """
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    target = address or os.environ.get("RAY_ADDRESS") or "local"
    if target == "local":
        os.environ.update({name: value for name, value in LOOPBACK.items() if name not in os.environ})
        os.environ.update(WORKER_ENVIRONMENT)  # inherited; a runtime environment would cost each worker seconds
        _start()
    else:
        _attach("address" if address else "RAY_ADDRESS", target)
    import ray

    try:
        if target != "local" and (fault := survey()):
            raise ClusterError(fault)
        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        yield Cluster(nodes=tuple(Node(resources=node["Resources"], labels=node.get("Labels") or {}) for node in alive))
    finally:
        ray.shutdown()


@contextmanager
def on_demand(site: Site, tell: Callable[[str], None]) -> Iterator[Callable[[], Cluster]]:
    """Gives the site's cluster, connected to at the first call, until the context ends; `tell` hears what it waits for.

    The function raises as `connected` and `Cluster.serving` do.
    """

    def connect() -> Cluster:
        cluster = stack.enter_context(connected(site.address)).serving(site.demand, site.grows_to)
        if cluster.waits_for:
            tell(cluster.waits_for)
        return cluster

    with ExitStack() as stack:
        yield functools.cache(connect)


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
    """The cluster at `address`, which has to take a connection first: Ray itself would go on trying for minutes."""
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
    """WORKER_ENVIRONMENT without what our job says itself, which Ray would refuse to hear twice."""
    environment = (json.loads(job).get("runtime_env") or {}) if job else {}
    return {key: value for key, value in WORKER_ENVIRONMENT.items() if key not in (environment.get("env_vars") or {})}


def _init(address: str, **options: Any) -> None:
    import ray  # slow, and only where runs are trained

    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
