"""Image, Ray, MLflow, operator and commands in the manifests are those of this repository, and of the packages here."""

import json
import re
import shlex
import tomllib
from importlib.metadata import entry_points

import pytest
import yaml
from checks.build import K8S, OVERLAYS, ROOT, compose, find, overlay_objects
from checks.pods import pods_of
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from typer.testing import CliRunner

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
DOCKERFILE = (K8S / "Dockerfile").read_text()
README = (K8S / "README.md").read_text()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_image_and_ray_are_of_this_repository(overlay):
    objects = overlay_objects(overlay)
    images = {container["image"] for pods in pods_of(objects) for container in pods.containers}
    assert images - {"postgres:17.6-bookworm"} == {f"crossarch:{PROJECT['version']}-ray{PINS['ray']}"}
    assert find(objects, "RayJob")["spec"]["rayClusterSpec"]["rayVersion"] == PINS["ray"]


def test_the_readme_builds_that_image():
    assert f"crossarch:{PROJECT['version']}-ray{PINS['ray']}" in README


def test_dockerfile():
    (python,) = re.findall(r"^ARG PYTHON=(\S+)", DOCKERFILE, re.MULTILINE)
    assert Version(python) in SpecifierSet(PROJECT["requires-python"])
    (backend,) = re.findall(r"^ARG BACKEND=cu(\d+)", DOCKERFILE, re.MULTILINE)
    assert backend == "".join(PINS["cuda-toolkit"].split(".")[:2])
    assert re.findall(r"^USER (.+)", DOCKERFILE, re.MULTILINE)[-1] == "1000:1000"
    assert all("-c constraints.txt" in line for line in DOCKERFILE.splitlines() if re.search(r"pip install", line))
    assert "HOME=/home/crossarch" in DOCKERFILE


def test_dockerfile_copies_what_the_wheel_is_made_of():
    copied = {name for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()}
    ignored = (K8S / "Dockerfile.dockerignore").read_text().splitlines()
    assert {name.lstrip("!") for name in ignored if name.startswith("!")} == copied
    links = {path.name for path in (ROOT / "crossarch").iterdir() if path.is_symlink()}
    assert links <= copied
    assert all((ROOT / name).exists() for name in copied)


def test_extras_of_the_image_are_of_the_project():
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', DOCKERFILE)
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_operator_is_of_a_release_that_the_schema_covers():
    values = yaml.safe_load((K8S / "operator-values.yaml").read_text())
    version = values["image"]["tag"].removeprefix("v")
    assert Version(version) in SpecifierSet(">=1.5.1,<1.8")
    assert f"--version {version}" in README
    assert values["watchNamespace"] == [find(overlay_objects("gpu"), "Namespace")["metadata"]["name"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_entrypoint_is_a_command_of_ours(overlay):
    from crossarch.platform.cli.main import app

    program, *arguments = shlex.split(find(overlay_objects(overlay), "RayJob")["spec"]["entrypoint"])
    options = [argument for argument in arguments if argument.startswith("--")]
    told = CliRunner().invoke(app, [arguments[0], "--help"], env={"COLUMNS": "200"}).output
    assert (program, arguments[:2]) == ("crossarch", ["run", "quickstart"])
    assert all(re.search(rf"{option}\b", told) for option in options)


def test_basic_authentication_is_an_app_of_this_mlflow():
    (container,) = find(overlay_objects("prod"), "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
    (app,) = (arg.partition("=")[2] for arg in container["args"] if arg.startswith("--app-name="))
    assert app in entry_points(group="mlflow.app").names


@pytest.mark.cluster  # importing Ray's command line takes seconds
def test_the_drain_is_a_command_of_this_ray():
    from ray.scripts.scripts import drain_node

    group = find(overlay_objects("gpu-autoscale"), "RayJob")["spec"]["rayClusterSpec"]["workerGroupSpecs"][1]
    *_, line = group["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    ray, command, *options = shlex.split(line.partition(";")[0])
    assert (ray, command) == ("ray", drain_node.name)
    context = drain_node.make_context(command, options)
    assert context.params["reason"] == "DRAIN_NODE_REASON_PREEMPTION"
    assert context.params["deadline_remaining_seconds"] < group["template"]["spec"]["terminationGracePeriodSeconds"]


def test_dashboard_shows_the_metrics_as_ray_exports_them(tmp_path):
    objects = compose(tmp_path, "gpu", "monitoring")
    board = json.loads(find(objects, "ConfigMap", "crossarch-dashboard")["data"]["crossarch.json"])
    queries = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    ours = {"runs", "runs_ended_total", "steps_per_second", "device_seconds_total"}
    assert set(re.findall(r"\w*crossarch\w*", queries)) == {f"ray_crossarch_{name}" for name in ours}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_prometheus_finds_the_port_it_scrapes(tmp_path):
    objects = compose(tmp_path, "gpu-autoscale", "monitoring")
    (endpoint,) = find(objects, "PodMonitor")["spec"]["podMetricsEndpoints"]
    for pods in (pods for pods in pods_of(objects) if pods.role in ("head", "worker")):
        ports = {port["name"]: port["containerPort"] for port in pods.spec["containers"][0]["ports"]}
        opened = [port["port"] for port in find(objects, "NetworkPolicy", "metrics")["spec"]["ingress"][0]["ports"]]
        assert [ports[endpoint["port"]]] == opened
