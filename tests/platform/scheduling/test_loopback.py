"""What crossarch starts listens on the loopback interface alone, and asks for a token."""

import os
import socket
from pathlib import Path

import pytest
from clusters import is_loopback, listeners
from processes import Command, descendants, wait_for

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
    # MLflow 3.17 with SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]

PATIENCE = 300
"""Seconds, most of them Ray's on a busy machine."""

OWN_CLUSTER = """
import time
from crossarch.platform.scheduling.cluster import connected
with connected(None) as cluster:
    import ray
    from ray._raylet import AuthenticationMode, get_authentication_mode
    assert get_authentication_mode() == AuthenticationMode.TOKEN
    print(cluster.slots, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("0100007F", True),
        ("0200007F", True),
        ("0000000000000000FFFF00000100007F", True),
        ("00000000000000000000000001000000", True),
        ("00000000", False),
        ("00000000000000000000000000000000", False),
        ("0202000A", False),
        ("0000000000000000FFFF00000202000A", False),
        ("7F000001", False),
    ],
)
def test_addresses_are_told_apart(address, loopback):
    assert is_loopback(address) is loopback


def test_a_socket_that_listens_everywhere_is_found():
    with socket.create_server(("0.0.0.0", 0)):  # noqa: S104, to be found
        assert [is_loopback(address) for address in listeners({os.getpid()})].count(False) == 1


def test_the_cluster_that_run_starts(tmp_path):
    command = Command(folder=tmp_path, code=OWN_CLUSTER)
    try:
        assert wait_for(lambda: command.out or command.process.poll(), PATIENCE)
        assert command.process.poll() is None, command.err
        found = listeners({command.process.pid, *(process.pid for process in descendants(command.process.pid))})
        assert len(found) >= 4, "GCS, raylet, agents"
        assert [address for address in found if not is_loopback(address)] == []
    finally:
        command.end()


def test_the_server_of_mlflow(crossarch, monkeypatch, tmp_path):
    told = []

    def stand_in(program, command, environment):
        told.append(command)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", stand_in)
    assert crossarch("ui", "--storage", tmp_path).status == 0
    (command,) = told
    assert command[command.index("--host") + 1] == "127.0.0.1"
