"""k8s/README.md says what is there: folders, Secrets and their keys, and an example that builds."""

import re
import shutil

import pytest
from checks.build import K8S, build, find, overlay_objects
from checks.every import problems
from checks.pods import pods_of

README = (K8S / "README.md").read_text()
JOINED = README.replace("\\\n", " ")


def test_every_overlay_and_component_is_named():
    folders = [path for kind in ("overlays", "components") for path in (K8S / kind).iterdir()]
    assert all(f"{path.relative_to(K8S)}" in README for path in folders)
    named = set(re.findall(r"\b(?:overlays|components)/[\w-]+", README))
    assert all((K8S / name).is_dir() for name in named)


def test_the_example_of_ones_own_folder_builds_and_passes(tmp_path):
    (example,) = re.findall(r"```yaml\n# k8s/mine/kustomization.yaml\n(.*?)```", README, re.DOTALL)
    here = shutil.copytree(K8S, tmp_path / "k8s")
    (here / "mine").mkdir()
    (here / "mine" / "kustomization.yaml").write_text(example)
    objects = build(here / "mine")
    assert problems(objects) == []
    assert "crossarch run table2 " in find(objects, "RayJob")["spec"]["entrypoint"]
    assert {c["image"].split(":")[0] for pods in pods_of(objects) for c in pods.containers} == {
        "registry.example/team/crossarch"
    }


def secrets_asked_for(objects):
    """Name of a Secret -> the keys that pods take from it; none where they take it whole."""
    asked = {}
    for pods in pods_of(objects):
        for volume in (volume["secret"] for volume in pods.spec.get("volumes", []) if "secret" in volume):
            asked.setdefault(volume["secretName"], set()).update(item["key"] for item in volume["items"])
        for container in pods.containers:
            for source in container.get("envFrom", []):
                asked.setdefault(source["secretRef"]["name"], set())
            taken = (each.get("valueFrom", {}).get("secretKeyRef") for each in container.get("env", []))
            for reference in filter(None, taken):
                asked.setdefault(reference["name"], set()).add(reference["key"])
    return asked


def secrets_made():
    """The same, of the README's commands."""
    commands = re.findall(r"^kubectl create secret generic ([\w-]+) (.+)$", JOINED, re.MULTILINE)
    return {name: set(re.findall(r"--from-(?:literal|file)=([\w.-]+)", options)) for name, options in commands}


def test_the_secrets_that_prod_asks_for_are_those_the_readme_makes():
    assert secrets_asked_for(overlay_objects("prod")) == secrets_made()


@pytest.mark.parametrize("overlay", ["local-cpu", "gpu", "gpu-autoscale"])
def test_the_other_overlays_need_no_secret(overlay):
    assert secrets_asked_for(overlay_objects(overlay)) == {}
