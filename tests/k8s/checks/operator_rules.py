"""What KubeRay's operator, and Kueue's webhook, refuse in a RayJob although its schema allows it.

After `ray-operator/controllers/ray/utils/validation.go` of KubeRay 1.5 to 1.7; where these differ, the strictest. The
operator says most of it only in an event, long after `kubectl apply` has said that all is well.
"""

import re

import yaml
from packaging.version import InvalidVersion, Version

LONGEST_NAME = 47
"""Characters; the operator appends 6 for the cluster's name, and that one must leave room for its services' names."""
TOKENS_SINCE = Version("2.52.0")
QUEUE = "kueue.x-k8s.io/queue-name"
MOST_GROUPS = 6
"""Of workers: a Kueue workload has at most 8 sets of pods, of which the head and the submitter are two."""


def operator_problems(objects):
    """Each rule that a RayJob among the objects breaks."""
    for job in (each for each in objects if each["kind"] == "RayJob"):
        rules = (_name, _ending, _deletion, _submission, _runtime_env, _tokens, _groups, _autoscaling, _kueue)
        for rule in rules:
            yield from (f"RayJob {job['metadata']['name']}: {text}" for text in rule(job, job["spec"]))


def _name(job, _):
    name = job["metadata"]["name"]
    if len(name) > LONGEST_NAME:
        yield f"metadata.name has {len(name)} characters, at most {LONGEST_NAME} are allowed"
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
        yield "metadata.name must be lower-case letters, digits and hyphens, and start with a letter"


def _ending(_, spec):
    shutdown = spec.get("shutdownAfterJobFinishes", False)
    if spec.get("ttlSecondsAfterFinished", 0) and not shutdown:
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
    if spec.get("suspend") and not shutdown:
        yield "suspend needs shutdownAfterJobFinishes"


def _deletion(_, spec):
    rules = spec.get("deletionStrategy", {}).get("deletionRules", [])
    if rules and spec.get("shutdownAfterJobFinishes"):
        yield "deletionRules exclude shutdownAfterJobFinishes"
    pairs = [(rule["condition"].get("jobStatus"), rule["policy"]) for rule in rules]
    if len(set(pairs)) < len(pairs):
        yield "deletionRules name the same policy twice for one job status"
    order = ["DeleteWorkers", "DeleteCluster", "DeleteSelf"]
    for status in {status for status, _ in pairs}:
        of_status = [rule for rule in rules if rule["condition"].get("jobStatus") == status]
        times = {rule["policy"]: rule["condition"].get("ttlSeconds", 0) for rule in of_status}
        waits = [times[policy] for policy in order if policy in times]
        if waits != sorted(waits):
            yield "deletionRules must delete workers before the cluster, and the cluster before the job itself"
    if any(policy == "DeleteWorkers" for _, policy in pairs) and spec["rayClusterSpec"].get("enableInTreeAutoscaling"):
        yield "deletionRules cannot DeleteWorkers with the autoscaler"


def _submission(_, spec):
    mode = spec.get("submissionMode", "K8sJobMode")
    if mode == "SidecarMode" and ("submitterPodTemplate" in spec or "submitterConfig" in spec):
        yield "SidecarMode takes neither submitterPodTemplate nor submitterConfig"
    if mode == "InteractiveMode" and spec.get("backoffLimit", 0):
        yield "InteractiveMode excludes backoffLimit"
    submitter = spec.get("submitterPodTemplate", {}).get("spec", {})
    if submitter and submitter.get("restartPolicy") not in ("Never", "OnFailure"):
        yield "submitterPodTemplate is a Job's: its restartPolicy must be Never or OnFailure"


def _runtime_env(_, spec):
    try:
        parsed = yaml.safe_load(spec.get("runtimeEnvYAML", "")) or {}
    except yaml.YAMLError:
        parsed = None
    if not isinstance(parsed, dict):
        yield "runtimeEnvYAML does not parse as a YAML mapping"


def _tokens(_, spec):
    cluster = spec["rayClusterSpec"]
    if "authOptions" not in cluster or cluster["authOptions"].get("mode", "token") != "token":
        return
    try:
        version = Version(cluster.get("rayVersion", ""))
    except InvalidVersion:
        yield "authOptions.mode token needs rayVersion"
    else:
        if version < TOKENS_SINCE:
            yield f"authOptions.mode token needs rayVersion {TOKENS_SINCE} or later"


def _groups(_, spec):
    cluster = spec["rayClusterSpec"]
    groups = cluster.get("workerGroupSpecs", [])
    names = [group["groupName"] for group in groups]
    if len(set(names)) < len(names):
        yield "workerGroupSpecs name a group twice"
    for group in groups:
        if group["minReplicas"] > group["maxReplicas"]:
            yield f"group {group['groupName']}: minReplicas is above maxReplicas"
        elif not group["minReplicas"] <= group.get("replicas", group["minReplicas"]) <= group["maxReplicas"]:
            yield f"group {group['groupName']}: replicas is not between minReplicas and maxReplicas"
    for group in [cluster["headGroupSpec"], *groups]:
        name, started = group.get("groupName", "head"), group.get("rayStartParams", {})
        if "labels" in started:
            yield f"group {name}: labels belong beside rayStartParams, not into it"
        if group.get("resources") and {"num-cpus", "num-gpus", "memory", "resources"} & set(started):
            yield f"group {name}: resources are said both in rayStartParams and beside it"


def _autoscaling(_, spec):
    cluster = spec["rayClusterSpec"]
    groups = cluster.get("workerGroupSpecs", [])
    if not cluster.get("enableInTreeAutoscaling"):
        if any("idleTimeoutSeconds" in group for group in groups) or "autoscalerOptions" in cluster:
            yield "autoscalerOptions and idleTimeoutSeconds need enableInTreeAutoscaling"
        return
    if any(group.get("suspend") for group in groups):
        yield "no worker group can be suspended with the autoscaler"
    version = cluster.get("autoscalerOptions", {}).get("version", "v2")
    if version == "v1" and any("idleTimeoutSeconds" in group for group in groups):
        yield "a group's idleTimeoutSeconds needs autoscaler v2"
    for group in [cluster["headGroupSpec"], *groups]:
        if version == "v2" and group["template"]["spec"].get("restartPolicy", "Never") != "Never":
            yield "autoscaler v2 needs restartPolicy Never in every Ray pod"


def _kueue(job, spec):
    if QUEUE not in job["metadata"].get("labels", {}):
        return
    if not spec.get("shutdownAfterJobFinishes"):
        yield "a queue of Kueue needs shutdownAfterJobFinishes"
    if spec["rayClusterSpec"].get("enableInTreeAutoscaling"):
        yield "a queue of Kueue excludes enableInTreeAutoscaling"
    if len(spec["rayClusterSpec"].get("workerGroupSpecs", [])) > MOST_GROUPS:
        yield f"a queue of Kueue takes at most {MOST_GROUPS} worker groups"
