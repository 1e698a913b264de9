"""Ray clusters on the loopback interface, of several nodes, with a token of their own; none outlives its test."""

import json
import os
import secrets
import shutil
import signal
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from processes import Command, Process, alive, descendants, wait_for

ROOT = Path(__file__).parents[1]

RAY = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})
from patient_ray import be_patient
from ray.scripts.scripts import main
be_patient()
sys.argv[0] = "ray"
main()
"""

PATIENCE = 300.0
"""Seconds for anything that must come: a node takes 5 s on a quiet machine, and a minute on a busy one."""

WAIT, ATTEMPTS = 200.0, 3
"""Seconds that a node gets to join, and how often: another process may have taken one of its ports meanwhile."""

AGENTS = ("dashboard-agent-grpc-port", "dashboard-agent-listen-port", "runtime-env-agent-port")
"""Ports that a node is told, as it does not wait long for its agents to choose them."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody has just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def listeners(pids: set[int]) -> list[str]:
    """The addresses of all TCP sockets on which these processes listen, in Linux's hexadecimal form."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = str(link.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[len("socket:[") : -1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.append(fields[1].partition(":")[0])
    return found


def is_loopback(address: str) -> bool:
    """Whether an address in Linux's form is 127.0.0.0/8, ::1, or the former mapped into IPv6."""
    mapped = "0000000000000000FFFF0000"
    return address.removeprefix(mapped).endswith("7F") or address == "00000000000000000000000001000000"


class RayCluster:
    """A head and further nodes, each a `ray start --block`: its processes are known, and end with it.

    Each has folders of its own: a cache, and so working copies of storage elsewhere, and Ray's, as in a common one each
    node would unpack a job's working directory over that in which the driver is.
    """

    def __init__(self, folder: Path, cpus: int = 1, **options: object) -> None:
        """Starts the head in `folder`, with token authentication, and these options of `ray start`."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self.environment: Mapping[str, str] = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "90",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "5",
            "OMP_NUM_THREADS": "1",
        }
        self.sessions = Path(tempfile.mkdtemp(prefix="ray"))  # a socket's path has at most 107 characters
        port, dashboard, client = free_ports(3)
        self.address, self.dashboard = f"127.0.0.2:{port}", f"http://127.0.0.1:{dashboard}"
        self.metrics_port = 0
        self.nodes: list[Command] = []
        ports = [f"--port={port}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
        head = ["--head", *ports, "--dashboard-host=127.0.0.1"]
        try:
            self._start(head, cpus, options)
        except BaseException:
            self.end()
            raise

    def add(self, cpus: int = 1, **options: object) -> Command:
        """A further node, with these options of `ray start`."""
        return self._start([f"--address={self.address}"], cpus, options)

    def _start(self, arguments: list[str], cpus: int, options: Mapping[str, object]) -> Command:
        """Starts a node, and returns once the head knows it."""
        named = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        before, host = len(self.nodes), f"127.0.0.{len(self.nodes) + 2}"  # 127.0.0.1 it takes for the host's address
        common = ("--block", f"--node-ip-address={host}", f"--num-cpus={cpus}", "--object-store-memory=80000000")
        for attempt in range(1, ATTEMPTS + 1):
            metrics, *agents = free_ports(1 + len(AGENTS))
            self.metrics_port = self.metrics_port if self.nodes else metrics
            ports = [f"--{name}={port}" for name, port in zip(AGENTS, agents, strict=True)]
            ports.append(f"--metrics-export-port={metrics}")
            ports.append(f"--temp-dir={self.sessions / str(before)}")
            command = ("start", "--include-log-monitor=false", *arguments, *named, *common, *ports)
            own = {"XDG_CACHE_HOME": str(self.folder / "caches" / str(before))}
            node = Command(*command, folder=self.folder / "nodes", code=RAY, environment={**self.environment, **own})
            try:
                wait_for(lambda: len(self.alive()) > before, WAIT, pause=1)
            except TimeoutError:
                told = node.out + node.err
                node.end()
                if attempt == ATTEMPTS:
                    raise TimeoutError(told) from None
            else:
                self.nodes.append(node)
                break
        return node

    def ask(self, path: str) -> dict:
        """What the dashboard answers to a request with the token."""
        token = Path(self.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
        request = urllib.request.Request(self.dashboard + path, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def alive(self) -> list[dict]:
        """The nodes that live, as the head knows them."""
        try:
            found = self.ask("/nodes?view=summary")["data"]["summary"]
        except (OSError, KeyError):
            return []
        return [node for node in found if node.get("raylet", {}).get("state") == "ALIVE"]

    def submit(self, *command: object, environment: Mapping[str, str] | None = None) -> Command:
        """`ray job submit` of a `crossarch` command from this working tree, whose logs it follows."""
        job = ("job", "submit", "--address", self.dashboard, "--working-dir", str(ROOT), "--")
        return Command(*job, *command, folder=self.folder / "jobs", code=RAY,
                       environment=self.environment if environment is None else environment)  # fmt: skip

    def kill(self, node: Command) -> list[Process]:
        """The machine of that node is gone: all of its processes at once. What they were."""
        victims = [*descendants(node.process.pid)]
        for victim in victims:
            if alive(victim):
                os.kill(victim.pid, signal.SIGKILL)
        node.kill()
        return victims

    def end(self) -> None:
        """Ends all nodes, the head last."""
        for node in reversed(self.nodes):
            node.leftovers()  # so that it knows its family
            node.terminate()
            node.end(10)
        shutil.rmtree(self.sessions, ignore_errors=True)
