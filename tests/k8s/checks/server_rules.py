"""Rules for what stands beside Ray: MLflow's server, the quota, budgets of disruption, claims and references."""

import re

from checks.pods import amount, pods_of

NAMES_OF_THE_SERVICE = ("mlflow:5000", "mlflow.crossarch:5000", "mlflow.crossarch.svc.cluster.local:5000")
BESIDE = {"cpu": 0.5, "memory": 2**30}
"""Room in the quota for a pod that is being replaced."""


def server_problems(objects):
    yield from _mlflow(objects)
    yield from _quota(objects)
    yield from _budgets(objects)
    yield from _references(objects)


def _mlflow(objects):
    for pods in (pods for pods in pods_of(objects) if pods.labels.get("app.kubernetes.io/component") == "mlflow"):
        container = pods.spec["containers"][0]
        said = dict(arg.lstrip("-").partition("=")[::2] for arg in container.get("args", []))
        hosts = said.get("allowed-hosts", "").split(",")
        if "*" in hosts or not set(NAMES_OF_THE_SERVICE) <= set(hosts):
            yield f"{pods.where}: --allowed-hosts must name the Service, or MLflow answers 403, and no wildcard"
        env = {each["name"]: each.get("value") for each in container.get("env", [])}
        if env.get("MLFLOW_SERVER_ENABLE_JOB_EXECUTION") != "false":
            yield f"{pods.where}: MLFLOW_SERVER_ENABLE_JOB_EXECUTION must be false"
        if container.get("startupProbe", {}).get("httpGet", {}).get("path") != "/health":
            yield f"{pods.where}: a startup probe on /health is missing"
        store = env.get("MLFLOW_BACKEND_STORE_URI") or ""
        if pods.count > 1 and store.startswith("sqlite"):
            yield f"{pods.where}: several servers cannot share SQLite"


def _quota(objects):
    """The quota must hold all pods at once, at the sizes that groups may grow to."""
    needs = {"requests.cpu": 0.0, "requests.memory": 0.0, "requests.nvidia.com/gpu": 0.0, "pods": 0}
    for pods in pods_of(objects):
        needs["pods"] += pods.count
        for key in (key for key in needs if key.startswith("requests.")):
            each = (amount(c, "requests", key.removeprefix("requests.")) for c in pods.spec["containers"])
            needs[key] += pods.count * float(sum(value or 0 for value in each))
    for quota in (each for each in objects if each["kind"] == "ResourceQuota"):
        hard = {"resources": {"requests": quota["spec"]["hard"]}}
        for key, need in needs.items():
            room = float(amount(hard, "requests", key) or 0)
            if room < need + BESIDE.get(key.removeprefix("requests."), 0):
                yield f"ResourceQuota: {key} is {room:g}, but all pods at once need {need:g}"


def _budgets(objects):
    every = list(pods_of(objects))
    for budget in (each for each in objects if each["kind"] == "PodDisruptionBudget"):
        labels = budget["spec"]["selector"]["matchLabels"].items()
        if not any(labels <= pods.labels.items() for pods in every):
            yield f"PodDisruptionBudget {budget['metadata']['name']}: selects no pod"


def _references(objects):
    """Accounts, claims, volumes and services that something refers to must be there; Secrets are made by hand."""
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for pods in pods_of(objects):
        account = ("ServiceAccount", pods.spec.get("serviceAccountName", "default"))
        if account not in names:
            yield f"{pods.where}: there is no {' '.join(account)}"
        volumes = {volume["name"] for volume in pods.spec.get("volumes", [])}
        for volume in pods.spec.get("volumes", []):
            claim = ("PersistentVolumeClaim", volume.get("persistentVolumeClaim", {}).get("claimName"))
            if claim[1] and claim not in names:
                yield f"{pods.where}: there is no {' '.join(claim)}"
        for mount in (mount for c in pods.containers for mount in c.get("volumeMounts", [])):
            templates = {"data"} if pods.where.startswith("StatefulSet") else set()
            if mount["name"] not in volumes | templates:
                yield f"{pods.where}: there is no volume {mount['name']}"
    for job in (each for each in objects if each["kind"] == "RayJob"):
        host = re.search(r"--tracking https?://(?:[^@/ ]*@)?([^:/ ]+)", job["spec"]["entrypoint"])
        if host and ("Service", host[1]) not in names:
            yield f"RayJob {job['metadata']['name']}: there is no Service {host[1]}"
