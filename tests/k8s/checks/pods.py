"""The pods that a set of objects leads to, those that the operator makes of a RayJob included."""

from dataclasses import dataclass
from typing import Any

from ray.autoscaler._private.kuberay.utils import parse_quantity


@dataclass(frozen=True)
class Pods:
    """As many pods of one template as there may be at once."""

    where: str
    role: str  # head, worker, submitter or server
    count: int
    template: dict[str, Any]

    @property
    def spec(self):
        return self.template["spec"]

    @property
    def labels(self):
        return self.template.get("metadata", {}).get("labels", {})

    @property
    def containers(self):
        return self.spec.get("initContainers", []) + self.spec["containers"]

    @property
    def whole(self):
        """The template as a Pod, for schemas."""
        metadata = self.template.get("metadata", {}) | {"name": "pod"}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.spec}


def pods_of(objects):
    """Every Pods that the objects lead to."""
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] in ("Deployment", "StatefulSet"):
            yield Pods(name, "server", each["spec"].get("replicas", 1), each["spec"]["template"])
        elif each["kind"] == "RayJob":
            yield from _of_rayjob(name, each["spec"])


def _of_rayjob(name, spec):
    cluster = spec["rayClusterSpec"]
    yield Pods(f"{name} head", "head", 1, _with_autoscaler(cluster))
    for group in cluster.get("workerGroupSpecs", []):
        count = group.get("maxReplicas", 0) * group.get("numOfHosts", 1)
        yield Pods(f"{name} {group['groupName']}", "worker", count, group["template"])
    if "submitterPodTemplate" in spec:
        yield Pods(f"{name} submitter", "submitter", 1, spec["submitterPodTemplate"])


def _with_autoscaler(cluster):
    """The head's template, with the container that the operator adds for the autoscaler."""
    template = cluster["headGroupSpec"]["template"]
    if not cluster.get("enableInTreeAutoscaling"):
        return template
    options = cluster.get("autoscalerOptions", {})
    taken = {key: options[key] for key in ("resources", "securityContext", "volumeMounts", "env") if key in options}
    head = template["spec"]["containers"][0]
    container = {"name": "autoscaler", "image": options.get("image", head["image"])} | taken
    return template | {"spec": template["spec"] | {"containers": [*template["spec"]["containers"], container]}}


def amount(container, side, resource):
    """What a container requests (`side` requests) or may use (limits) of a resource; None where it does not say."""
    said = container.get("resources", {}).get(side, {}).get(resource)
    return None if said is None else parse_quantity(said)
