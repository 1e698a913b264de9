"""Who reaches whom under a set of network policies, as Kubernetes defines it, and who must not."""

import ipaddress

from checks.pods import pods_of

OPEN = {
    8265: {"ray", "submitter", "operator"},
    6379: {"ray"},
    10001: {"ray"},
}
"""Port of the head -> those that may reach it. All other ports of a Ray pod are for Ray pods, too."""
LABEL = "app.kubernetes.io/component"
NAMESPACE = "kubernetes.io/metadata.name"
METADATA_SERVICE = "169.254.169.254"


def party(namespace, **labels):
    """Somebody on the cluster's network: the labels of his namespace and of his pod."""
    return {"namespace": {NAMESPACE: namespace}, "labels": labels}


def component(name):
    return party("crossarch", **{LABEL: name})


OPERATOR = party("kuberay-operator", **{"app.kubernetes.io/name": "kuberay-operator"})
STRANGERS = {
    "a pod of another namespace": party("default", app="web"),
    "another pod of the operator's namespace": party("kuberay-operator", app="web"),
    "an unlabelled pod of the namespace": party("crossarch"),
    "a pod of another namespace that calls itself the operator": party("default", **OPERATOR["labels"]),
    "a pod of another namespace that calls itself Ray": party("default", **{LABEL: "ray"}),
}


def _selects(selector, labels):
    """Whether a label selector takes `labels`. Raises ValueError for one of more than matchLabels."""
    if set(selector) - {"matchLabels"}:
        raise ValueError(f"selector {selector} has more than matchLabels, which alone our policies may use")
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _is_peer(peer, other, home):
    if "ipBlock" in peer:
        if "address" not in other:
            return False
        address, block = ipaddress.ip_address(other["address"]), peer["ipBlock"]
        inside = [ipaddress.ip_network(cidr) for cidr in [block["cidr"], *block.get("except", [])]]
        return address in inside[0] and not any(address in network for network in inside[1:])
    if "address" in other:
        return False
    if "namespaceSelector" in peer:
        near = _selects(peer["namespaceSelector"], other["namespace"])
    else:
        near = other["namespace"].get(NAMESPACE) == home
    return near and _selects(peer.get("podSelector", {}), other["labels"])


def allowed(objects, direction, pod, other, port, protocol="TCP"):
    """Whether the policies let `other` into `pod` (`direction` ingress) or `pod` out to it (egress), at that port."""
    policies = [each for each in objects if each["kind"] == "NetworkPolicy"]
    of_pod = [
        each["spec"]
        for each in policies
        if each["metadata"]["namespace"] == pod["namespace"][NAMESPACE]
        and _selects(each["spec"]["podSelector"], pod["labels"])
        and direction.capitalize() in each["spec"]["policyTypes"]
    ]
    if not of_pod:
        return True
    side = "from" if direction == "ingress" else "to"
    return any(
        (side not in rule or any(_is_peer(peer, other, pod["namespace"][NAMESPACE]) for peer in rule[side]))
        and ("ports" not in rule or (port, protocol) in [(p["port"], p.get("protocol", "TCP")) for p in rule["ports"]])
        for spec in of_pod
        for rule in spec.get(direction, [])
    )


def network_problems(objects):
    """Each way in which a port of Ray's is open to somebody it is not for, or closed to somebody it is for."""
    known = {"ray": component("ray"), "submitter": component("submitter"), "operator": OPERATOR}
    for pods in (pods for pods in pods_of(objects) if pods.role in ("head", "worker")):
        pod = {"namespace": {NAMESPACE: "crossarch"}, "labels": pods.labels}
        for port, welcome in OPEN.items():
            for name, other in (known | STRANGERS).items():
                may = allowed(objects, "ingress", pod, other, port)
                if may != (name in welcome):
                    yield f"{pods.where}: port {port} is {'open' if may else 'closed'} to {name}"
        if allowed(objects, "egress", pod, {"address": METADATA_SERVICE}, 80):
            yield f"{pods.where}: the cloud's metadata service is open to it"
    for pods in (pods for pods in pods_of(objects) if pods.role == "submitter"):
        pod = {"namespace": {NAMESPACE: "crossarch"}, "labels": pods.labels}
        if not allowed(objects, "egress", pod, component("ray"), 8265):
            yield f"{pods.where}: cannot reach the head's port 8265"
