"""Our own rules for pods: as little privilege, and as much said about resources, as the work allows."""

import re

from checks.pods import amount, pods_of

GPU = "nvidia.com/gpu"
SECRETIVE = re.compile(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
IN_A_URI = re.compile(r"://[^/@\s]*:[^/@\s]+@")
RESTRICTED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret", "downwardAPI", "csi"}


def security_problems(objects):
    """Each rule that an object, or a pod that objects lead to, breaks."""
    for each in objects:
        yield from _object_problems(each)
    for pods in pods_of(objects):
        yield from (f"{pods.where}: {text}" for text in [*_pod(pods), *_placement(pods)])
        for container in pods.containers:
            where = f"{pods.where}, container {container['name']}"
            rules = (_privileges, _writable, _resources, _image, _credentials)
            yield from (f"{where}: {text}" for rule in rules for text in rule(container))


def _object_problems(each):
    name = f"{each['kind']} {each['metadata']['name']}"
    if each["kind"] == "Namespace":
        level = each["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        if level != "restricted":
            yield f"{name}: pod security must be enforced as restricted, not {level}"
    if each["kind"] == "Secret":
        yield f"{name}: a Secret does not belong into a manifest"
    if each["kind"] == "RayJob":
        yield from (f"{name}: {text}" for text in _rayjob(each["spec"]))


def _rayjob(spec):
    cluster = spec["rayClusterSpec"]
    head = cluster["headGroupSpec"]
    if head.get("rayStartParams", {}).get("num-cpus") != "0" or amount(
        head["template"]["spec"]["containers"][0], "limits", GPU
    ):
        yield "the head must offer no CPU and no GPU to runs (num-cpus: '0')"
    if cluster.get("authOptions", {}).get("mode") != "token":
        yield "authOptions.mode must be token"
    if IN_A_URI.search(spec["entrypoint"]):
        yield "the entrypoint has a password in a URI"


def _pod(pods):
    security = pods.spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser", 0) == 0:
        yield "runAsNonRoot must be true, with a user other than 0"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile must be RuntimeDefault"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pods.spec.get(key):
            yield f"{key} is not allowed"
    for volume in pods.spec.get("volumes", []):
        if not set(volume) - {"name"} <= RESTRICTED_VOLUMES:
            yield f"volume {volume['name']} is of a type that restricted pod security refuses"
    autoscales = any(container["name"] == "autoscaler" for container in pods.containers)
    if pods.spec.get("automountServiceAccountToken") is not autoscales:
        yield "automountServiceAccountToken must be false, except for the head that autoscales"


def _placement(pods):
    if pods.role != "worker":
        if pods.spec.get("tolerations") or pods.spec.get("nodeSelector"):
            yield "tolerations and node selectors are for workers only"
        return
    spot = any(toleration.get("value") == "spot" for toleration in pods.spec.get("tolerations", []))
    if spot != (pods.spec.get("nodeSelector", {}).get("crossarch/capacity") == "spot"):
        yield "a spot group must both select spot nodes and tolerate their taint"
    if spot:
        yield from _drain(pods.spec)


def _drain(spec):
    hook = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    command = " ".join(hook)
    pause = re.search(r"sleep (\d+)", command)
    if "ray drain-node" not in command or pause is None:
        yield "a spot worker must drain its node before it stops, and wait for a checkpoint"
    elif spec.get("terminationGracePeriodSeconds", 30) <= int(pause[1]):
        yield "terminationGracePeriodSeconds must be longer than preStop takes"


def _privileges(container):
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "allowPrivilegeEscalation must be false"
    capabilities = security.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "capabilities must be dropped, all of them"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem must be true"


def _writable(container):
    mounts = {mount["mountPath"] for mount in container.get("volumeMounts", []) if not mount.get("readOnly")}
    home = next((each["value"] for each in container.get("env", []) if each["name"] == "HOME"), "/home/crossarch")
    for path in ("/tmp", home):  # noqa: S108, in the container
        if path not in mounts:
            yield f"{path} must be a writable mount"


def _resources(container):
    if amount(container, "requests", "cpu") is None:
        yield "a CPU request is missing"
    memory = [amount(container, side, "memory") for side in ("requests", "limits")]
    if memory[0] is None or memory[0] != memory[1]:
        yield "memory requests must equal limits"
    gpus = [amount(container, side, GPU) for side in ("requests", "limits")]
    if gpus != [None, None] and (gpus[0] != gpus[1] or gpus[0] % 1 or gpus[0] < 1):
        yield "GPUs must be whole, and requests equal limits"


def _image(container):
    _, _, tag = container["image"].rpartition("/")[2].partition(":")
    if tag in ("", "latest", "nightly"):
        yield f"image {container['image']} is not pinned"


def _credentials(container):
    for each in container.get("env", []):
        if "value" in each and (SECRETIVE.search(each["name"]) or IN_A_URI.search(each["value"])):
            yield f"{each['name']} must come from a Secret"
    for word in [*container.get("command", []), *container.get("args", [])]:
        if IN_A_URI.search(word):
            yield "a password in a URI is among the arguments"
