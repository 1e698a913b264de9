"""Broken manifests are refused for the reason they are broken for, and for no other; their unbroken twins pass."""

import copy
from functools import reduce

import pytest
from checks.build import find, overlay_objects
from checks.every import problems

GONE = object()
HEAD = "rayClusterSpec.headGroupSpec.template.spec"
GROUP = "rayClusterSpec.workerGroupSpecs.0"
WORKER = f"{GROUP}.template.spec"
SUBMITTER = "submitterPodTemplate.spec"
CONTAINER = "containers.0"
HALF = {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "500m"}


def rule(policy, seconds, status="SUCCEEDED"):
    return {"policy": policy, "condition": {"jobStatus": status, "ttlSeconds": seconds}}


BY_RULES = {"shutdownAfterJobFinishes": GONE, "ttlSecondsAfterFinished": GONE}
DELETED = {"deletionStrategy": {"deletionRules": [rule("DeleteCluster", 60), rule("DeleteSelf", 600)]}}

# What the operator, or Kueue, would refuse: name -> (overlay, changes to the RayJob's spec that make the twin, changes
# that then break it, the reason).
BY_THE_OPERATOR = {
    "ttl without shutdown": ("gpu", {}, {"shutdownAfterJobFinishes": False}, "needs shutdownAfterJobFinishes"),
    "suspended without shutdown": (
        "gpu",
        {"suspend": True, "ttlSecondsAfterFinished": GONE},
        {"shutdownAfterJobFinishes": GONE},
        "suspend needs shutdownAfterJobFinishes",
    ),
    "rules beside shutdown": (
        "gpu",
        BY_RULES | DELETED,
        {"shutdownAfterJobFinishes": True},
        "deletionRules exclude shutdownAfterJobFinishes",
    ),
    "the job deleted before its cluster": (
        "gpu",
        BY_RULES | DELETED,
        {"deletionStrategy.deletionRules.0.condition.ttlSeconds": 601},
        "deletionRules must delete workers before the cluster",
    ),
    "a rule twice": (
        "gpu",
        BY_RULES | DELETED,
        {"deletionStrategy.deletionRules": [rule("DeleteSelf", 600), rule("DeleteSelf", 900)]},
        "the same policy twice",
    ),
    "workers deleted under the autoscaler": (
        "gpu-autoscale",
        BY_RULES | DELETED,
        {"deletionStrategy.deletionRules.0.policy": "DeleteWorkers"},
        "deletionRules cannot DeleteWorkers with the autoscaler",
    ),
    "min above max": ("gpu-autoscale", {}, {f"{GROUP}.minReplicas": 5}, "minReplicas is"),
    "a group twice": ("gpu-autoscale", {}, {f"{GROUP}.groupName": "gpu-spot"}, "name a group twice"),
    "a runtime environment that is no mapping": (
        "gpu",
        {"runtimeEnvYAML": "env_vars: {A: '1'}"},
        {"runtimeEnvYAML": "env_vars: {A: '1'"},
        "runtimeEnvYAML does not parse",
    ),
    "tokens without a version": ("gpu", {}, {"rayClusterSpec.rayVersion": GONE}, "token needs rayVersion"),
    "tokens before Ray had them": ("gpu", {}, {"rayClusterSpec.rayVersion": "2.51.2"}, "needs rayVersion 2.52.0"),
    "a submitter that always restarts": (
        "gpu",
        {},
        {f"{SUBMITTER}.restartPolicy": "Always"},
        "must be Never or OnFailure",
    ),
    "a sidecar with a submitter": ("gpu", {}, {"submissionMode": "SidecarMode"}, "SidecarMode takes neither"),
    "an interactive job that is retried": (
        "gpu",
        {"submissionMode": "InteractiveMode", "backoffLimit": 0},
        {"backoffLimit": 1},
        "InteractiveMode excludes backoffLimit",
    ),
    "autoscaler v2 and pods that restart": (
        "gpu-autoscale",
        {},
        {f"{WORKER}.restartPolicy": "OnFailure"},
        "autoscaler v2 needs restartPolicy Never",
    ),
    "idle timeouts without the autoscaler": (
        "gpu",
        {},
        {f"{GROUP}.idleTimeoutSeconds": 60},
        "need enableInTreeAutoscaling",
    ),
    "labels among the start parameters": (
        "gpu-autoscale",
        {},
        {f"{GROUP}.rayStartParams": {"labels": "a=b"}},
        "labels belong beside rayStartParams",
    ),
    "resources said twice": (
        "gpu",
        {f"{GROUP}.resources": {"CPU": "8"}},
        {f"{GROUP}.rayStartParams": {"num-cpus": "8"}},
        "resources are said both",
    ),
}

BY_THE_SCHEMA = {
    "a misspelt key": ("gpu", {}, {"ttlSecondsAfterFinish": 600}, "'ttlSecondsAfterFinish' was unexpected"),
    "a key of KubeRay 1.6": ("gpu", {}, {"rayClusterSpec.authOptions.secretName": "a"}, "'secretName' was unexpected"),
    "a misspelt key in a pod": ("gpu", {}, {f"{WORKER}.nodeSelectors": {}}, "'nodeSelectors' was unexpected"),
    "a number where Kubernetes has text": (
        "gpu",
        {},
        {f"{WORKER}.nodeSelector": {"a": 1}},
        "1 is not of type 'string'",
    ),
    "an unknown mode": ("gpu", {}, {"submissionMode": "JobMode"}, "'JobMode' is not one of"),
}

BY_US = {
    "root": ("gpu", {}, {f"{WORKER}.securityContext.runAsNonRoot": False}, "runAsNonRoot must be true"),
    "a writable root": (
        "gpu",
        {},
        {f"{HEAD}.{CONTAINER}.securityContext.readOnlyRootFilesystem": False},
        "readOnlyRootFilesystem must be true",
    ),
    "no writable /tmp": (
        "gpu",
        {},
        {f"{SUBMITTER}.{CONTAINER}.volumeMounts.0.readOnly": True},
        "must be a writable mount",
    ),
    "an autoscaler with capabilities": (
        "gpu-autoscale",
        {},
        {"rayClusterSpec.autoscalerOptions.securityContext.capabilities": GONE},
        "container autoscaler: capabilities must be dropped",
    ),
    "memory that may grow": (
        "gpu",
        {},
        {f"{WORKER}.{CONTAINER}.resources.limits.memory": "64Gi"},
        "memory requests must equal limits",
    ),
    "half a GPU": (
        "gpu",
        {},
        {f"{WORKER}.{CONTAINER}.resources": {"requests": HALF, "limits": HALF}},
        "GPUs must be whole",
    ),
    "work on the head": ("gpu", {}, {"rayClusterSpec.headGroupSpec.rayStartParams": {}}, "the head must offer no CPU"),
    "a head on GPU nodes": (
        "gpu",
        {},
        {f"{HEAD}.tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
        "tolerations and node selectors are for workers only",
    ),
    "spot without a drain": (
        "gpu-autoscale",
        {},
        {"rayClusterSpec.workerGroupSpecs.1.template.spec.containers.0.lifecycle": GONE},
        "a spot worker must drain",
    ),
    "a drain cut short": (
        "gpu-autoscale",
        {},
        {"rayClusterSpec.workerGroupSpecs.1.template.spec.terminationGracePeriodSeconds": 30},
        "must be longer than preStop takes",
    ),
    "a worker with an account's token": ("gpu", {}, {f"{WORKER}.automountServiceAccountToken": GONE}, "must be false"),
    "no tokens": ("gpu", {}, {"rayClusterSpec.authOptions.mode": "disabled"}, "authOptions.mode must be token"),
    "a password in the open": (
        "prod",
        {},
        {f"{HEAD}.{CONTAINER}.env.2": {"name": "MLFLOW_TRACKING_PASSWORD", "value": "a"}},
        "MLFLOW_TRACKING_PASSWORD must come from a Secret",
    ),
    "a password in a URI": (
        "gpu",
        {},
        {"entrypoint": "crossarch run quickstart --tracking http://me:pass@mlflow:5000"},
        "the entrypoint has a password",
    ),
    "an image that moves": ("gpu", {}, {f"{WORKER}.{CONTAINER}.image": "crossarch:latest"}, "is not pinned"),
    "more workers than the quota": ("gpu", {}, {f"{GROUP}.maxReplicas": 3}, "requests.nvidia.com/gpu is 2"),
    "a worker that no policy opens": ("gpu", {}, {f"{GROUP}.template.metadata.labels": {}}, "is closed to"),
    "a claim that is not there": (
        "gpu",
        {},
        {f"{WORKER}.volumes.0.persistentVolumeClaim.claimName": "other"},
        "there is no PersistentVolumeClaim other",
    ),
}

CASES = BY_THE_OPERATOR | BY_THE_SCHEMA | BY_US


def change(spec, changes):
    """Sets each dotted path, or removes it."""
    for path, value in changes.items():
        *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        target = reduce(lambda inside, part: inside[part], above, spec)
        if value is GONE:
            del target[last]
        else:
            target[last] = copy.deepcopy(value)


@pytest.mark.parametrize("name", CASES)
def test_refused_for_its_reason_while_its_twin_passes(name):
    overlay, twin, breaking, reason = CASES[name]
    objects = overlay_objects(overlay)
    change(find(objects, "RayJob")["spec"], twin)
    assert problems(objects) == []
    change(find(objects, "RayJob")["spec"], breaking)
    said = problems(objects)
    assert said
    assert all(reason in text for text in said), said


@pytest.mark.parametrize(("length", "passes"), [(47, True), (48, False)])
def test_a_name_leaves_room_for_what_the_operator_appends(length, passes):
    objects = overlay_objects("gpu")
    find(objects, "RayJob")["metadata"]["name"] = "a" * length
    assert [text.partition(": ")[2] for text in problems(objects)] == (
        [] if passes else ["metadata.name has 48 characters, at most 47 are allowed"]
    )


def test_a_kind_without_a_schema_is_refused():
    objects = [*overlay_objects("gpu"), {"apiVersion": "ray.io/v2", "kind": "RayThing", "metadata": {"name": "a"}}]
    (text,) = problems(objects)
    assert "Couldn't find schema for kind RayThing" in text
