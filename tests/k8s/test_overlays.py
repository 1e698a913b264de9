"""Every overlay builds, and passes every layer of checks; so does each with the components made for it."""

import pytest
from checks.build import OVERLAYS, BuildError, build, compose, find, overlay_objects
from checks.every import problems
from checks.pods import pods_of

COMPONENTS = [
    ("local-cpu", ["monitoring"]),
    ("local-cpu", ["kueue"]),
    ("gpu", ["kueue", "monitoring"]),
    ("gpu", ["gpu-time-slicing"]),
    ("gpu", ["gpu-mps", "kueue"]),
    ("gpu-autoscale", ["gpu-time-slicing", "monitoring"]),
    ("prod", ["monitoring"]),
]


def test_the_overlays_are_those_the_readme_names():
    assert OVERLAYS == ["gpu", "gpu-autoscale", "local-cpu", "prod"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay(overlay):
    assert problems(overlay_objects(overlay)) == []


@pytest.mark.parametrize(("overlay", "components"), COMPONENTS)
def test_overlay_with_components(overlay, components, tmp_path):
    assert problems(compose(tmp_path, overlay, *components)) == []


def test_a_broken_kustomization_is_refused(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(BuildError, match=r"absent\.yaml"):
        build(tmp_path)


def test_an_image_of_ones_own_reaches_every_pod(tmp_path):
    images = [{"name": "crossarch", "newName": "registry.example/team/crossarch", "newTag": "7"}]
    made = {c["image"] for pods in pods_of(compose(tmp_path, "gpu-autoscale", images=images)) for c in pods.containers}
    assert made == {"registry.example/team/crossarch:7"}


def test_kueue_and_the_autoscaler_do_not_go_together(tmp_path):
    (text,) = problems(compose(tmp_path, "gpu-autoscale", "kueue"))
    assert text.endswith("a queue of Kueue excludes enableInTreeAutoscaling")


def test_kueues_queue_holds_what_the_job_asks_for(tmp_path):
    objects = compose(tmp_path, "gpu", "kueue")
    queue = find(objects, "ClusterQueue")["spec"]["resourceGroups"][0]["flavors"][0]["resources"]
    quota = find(objects, "ResourceQuota")["spec"]["hard"]
    assert {each["name"]: each["nominalQuota"] for each in queue} == {
        "cpu": quota["requests.cpu"],
        "memory": quota["requests.memory"],
        "nvidia.com/gpu": quota["requests.nvidia.com/gpu"],
    }
