"""Ray's own parser of the custom resource, which its autoscaler uses, sees in each overlay the groups that we mean."""

import pytest
from checks.build import OVERLAYS, compose, find, overlay_objects
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

GIB = 2**30

# overlay -> group -> (least, most, CPU, GPU, memory in bytes)
GROUPS = {
    "local-cpu": {"headgroup": (0, 0, 0, 0, 3 * GIB), "cpu": (2, 2, 1, 0, 3 * GIB)},
    "gpu": {"headgroup": (0, 0, 0, 0, 8 * GIB), "gpu": (2, 2, 8, 1, 32 * GIB)},
    "gpu-autoscale": {
        "headgroup": (0, 0, 0, 0, 8 * GIB),
        "gpu-on-demand": (0, 4, 8, 1, 32 * GIB),
        "gpu-spot": (0, 8, 8, 1, 32 * GIB),
    },
}
GROUPS["prod"] = GROUPS["gpu-autoscale"]


def as_ray_reads(objects):
    job = find(objects, "RayJob")
    return _derive_autoscaling_config_from_ray_cr({"metadata": job["metadata"], "spec": job["spec"]["rayClusterSpec"]})


def sizes(config):
    return {
        name: (
            group["min_workers"],
            group["max_workers"],
            group["resources"]["CPU"],
            group["resources"].get("GPU", 0),
            group["resources"]["memory"],
        )
        for name, group in config["available_node_types"].items()
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_groups(overlay):
    assert sizes(as_ray_reads(overlay_objects(overlay))) == GROUPS[overlay]


def test_idle_timeouts_and_markets():
    config = as_ray_reads(overlay_objects("gpu-autoscale"))
    groups = config["available_node_types"]
    assert config["idle_timeout_minutes"] == 2
    assert (groups["gpu-on-demand"]["idle_timeout_s"], groups["gpu-spot"]["idle_timeout_s"]) == (300, 120)
    assert groups["gpu-spot"]["labels"] == {"ray.io/market-type": "spot"}


@pytest.mark.parametrize("component", ["gpu-time-slicing", "gpu-mps"])
def test_a_shared_gpu_is_still_one_to_ray(component, tmp_path):
    objects = compose(tmp_path, "gpu", component)
    assert sizes(as_ray_reads(objects)) == GROUPS["gpu"]
    group = find(objects, "RayJob")["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    selector = group["template"]["spec"]["nodeSelector"]
    assert selector["nvidia.com/gpu.sharing-strategy"] == component.removeprefix("gpu-")


def test_a_renamed_gpu_would_not_be_seen():
    objects = overlay_objects("gpu")
    (group,) = find(objects, "RayJob")["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    for said in group["template"]["spec"]["containers"][0]["resources"].values():
        said["nvidia.com/gpu.shared"] = said.pop("nvidia.com/gpu")
    assert sizes(as_ray_reads(objects))["gpu"][3] == 0
