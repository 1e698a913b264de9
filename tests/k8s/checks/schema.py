"""Strict schemas: Kubernetes' own for its kinds, ours for the rest; unknown keys are refused.

The Ray kinds have the fields that KubeRay 1.5 to 1.7 share (its reference of ray.io/v1), so that what passes is
understood by each of them. Pod templates are checked as Pods.
"""

import functools
import json

import jsonschema
import kubernetes_validate
from checks.pods import pods_of

KUBERNETES = "1.33"
"""The oldest release that the manifests are checked against."""

TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
COUNT = {"type": "integer", "minimum": 0}
ANY = {"type": "object"}
"""Of Kubernetes' own types; checked as part of a Pod."""


def record(required=(), **properties):
    """A JSON schema of an object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def items(schema):
    return {"type": "array", "items": schema, "minItems": 1}


def choice(*values):
    return {"enum": list(values)}


def kind(version, name, spec):
    metadata = record(["name"], name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    whole = {"apiVersion": {"const": version}, "kind": {"const": name}, "metadata": metadata, "spec": spec}
    return record(("apiVersion", "kind", "metadata"), **whole)


GROUP = {"rayStartParams": TEXTS, "template": ANY, "resources": TEXTS, "labels": TEXTS}
HEAD = record(["template"], **GROUP, serviceType=TEXT, headService=ANY, enableIngress={"type": "boolean"})
WORKERS = record(
    ["groupName", "template", "minReplicas", "maxReplicas"],
    **GROUP,
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    numOfHosts={"type": "integer", "minimum": 1},
    idleTimeoutSeconds=COUNT,
    suspend={"type": "boolean"},
    scaleStrategy=record(workersToDelete={"type": "array", "items": TEXT}),
)
AUTOSCALER = record(
    version=choice("v1", "v2"),
    idleTimeoutSeconds=COUNT,
    upscalingMode=choice("Default", "Aggressive", "Conservative"),
    resources=ANY,
    securityContext=ANY,
    image=TEXT,
    imagePullPolicy=choice("Always", "IfNotPresent", "Never"),
    env={"type": "array"},
    envFrom={"type": "array"},
    volumeMounts={"type": "array"},
)
CREDENTIAL = record(value=TEXT, valueFrom=ANY)
FAULT_TOLERANCE = record(
    redisAddress=TEXT, redisUsername=CREDENTIAL, redisPassword=CREDENTIAL, externalStorageNamespace=TEXT
)
CLUSTER = record(
    ["headGroupSpec"],
    rayVersion=TEXT,
    headGroupSpec=HEAD,
    workerGroupSpecs=items(WORKERS),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=AUTOSCALER,
    authOptions=record(mode=choice("token", "disabled")),
    gcsFaultToleranceOptions=FAULT_TOLERANCE,
    headServiceAnnotations=TEXTS,
    suspend={"type": "boolean"},
    managedBy=TEXT,
)
DELETION = choice("DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone")
RULE = record(
    ["policy", "condition"],
    policy=DELETION,
    condition=record(["jobStatus"], jobStatus=choice("SUCCEEDED", "FAILED"), ttlSeconds=COUNT),
)
JOB = record(
    ["entrypoint", "rayClusterSpec"],
    entrypoint=TEXT,
    rayClusterSpec=CLUSTER,
    submissionMode=choice("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    submitterPodTemplate=ANY,
    submitterConfig=record(backoffLimit=COUNT),
    backoffLimit=COUNT,
    activeDeadlineSeconds={"type": "integer", "minimum": 1},
    shutdownAfterJobFinishes={"type": "boolean"},
    ttlSecondsAfterFinished=COUNT,
    deletionStrategy=record(["deletionRules"], deletionRules=items(RULE)),
    suspend={"type": "boolean"},
    runtimeEnvYAML=TEXT,
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    entrypointResources=TEXT,
    metadata=TEXTS,
    jobId=TEXT,
    managedBy=choice("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"),
)

SELECTOR = record(matchLabels=TEXTS, matchExpressions={"type": "array"})
QUOTA = record(["name", "nominalQuota"], name=TEXT, nominalQuota=TEXT, borrowingLimit=TEXT, lendingLimit=TEXT)
FLAVOR = record(["name", "resources"], name=TEXT, resources=items(QUOTA))
RESOURCES = record(["coveredResources", "flavors"], coveredResources=items(TEXT), flavors=items(FLAVOR))
ENDPOINT = record(["port"], port=TEXT, interval=TEXT, path=TEXT, scheme=TEXT, relabelings={"type": "array"})

OURS = {
    "RayJob": kind("ray.io/v1", "RayJob", JOB),
    "RayCluster": kind("ray.io/v1", "RayCluster", CLUSTER),
    "ResourceFlavor": kind(
        "kueue.x-k8s.io/v1beta2", "ResourceFlavor", record(nodeLabels=TEXTS, nodeTaints={"type": "array"})
    ),
    "ClusterQueue": kind(
        "kueue.x-k8s.io/v1beta2",
        "ClusterQueue",
        record(["resourceGroups"], namespaceSelector=SELECTOR, resourceGroups=items(RESOURCES), cohortName=TEXT),
    ),
    "LocalQueue": kind("kueue.x-k8s.io/v1beta2", "LocalQueue", record(["clusterQueue"], clusterQueue=TEXT)),
    "PodMonitor": kind(
        "monitoring.coreos.com/v1",
        "PodMonitor",
        record(["selector", "podMetricsEndpoints"], selector=SELECTOR, podMetricsEndpoints=items(ENDPOINT)),
    ),
}


def schema_problems(objects):
    """Each way in which an object, or a pod template in it, is not of its kind. A kind without a schema is one."""
    for each in objects:
        yield from _problems_of(f"{each['kind']} {each['metadata']['name']}", json.dumps(each))
    for pods in pods_of(objects):
        yield from _problems_of(pods.where, json.dumps(pods.whole))


@functools.cache  # overlays share most of their objects
def _problems_of(where, text):
    return list(_validate(where, json.loads(text)))


def _validate(where, each):
    try:
        if each["kind"] in OURS:
            jsonschema.Draft202012Validator(OURS[each["kind"]]).validate(each)
        else:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
    except jsonschema.ValidationError as error:  # kubernetes_validate's own is one, too
        yield f"{where}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield f"{where}: {error.message}"
