"""MLflow, started as the manifest starts it, answers to the names of its Service and to no others."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from checks.build import find, overlay_objects

PATIENCE = 300.0
"""Seconds: the manifest's startup probe allows as many."""
API = "/api/2.0/mlflow/experiments/search?max_results=1"


def status(port, path, host):
    """What a GET with that Host header is answered with; 0 where nothing answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    (container,) = find(overlay_objects("gpu"), "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    ours = {"--host": "127.0.0.1", "--port": number, "--workers": 1}
    named = dict(argument.split("=", 1) for argument in container["args"]) | ours
    said = {each["name"]: each["value"].replace("/mlflow/", f"{folder}/") for each in container["env"]}
    command = [Path(sys.executable).with_name("mlflow"), "server", *(f"{key}={value}" for key, value in named.items())]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | said, cwd=folder, stdout=log, stderr=log)
        try:
            end = time.monotonic() + PATIENCE
            while not status(number, "/health", "localhost:5000"):
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.5)
            assert (folder / "mlflow.db").exists()
            yield number
        finally:
            server.terminate()
            server.wait(60)


@pytest.mark.cluster
def test_the_services_names_are_answered_and_others_are_not(port):
    for host in ("mlflow:5000", "mlflow.crossarch.svc.cluster.local:5000", "localhost:5000"):
        assert status(port, API, host) == 200
    for host in ("mlflow.example:5000", "10.0.0.7:5000"):
        assert status(port, API, host) == 403


@pytest.mark.cluster
def test_the_kubelets_probe_needs_no_name(port):
    assert status(port, "/health", "10.0.0.7:5000") == 200
