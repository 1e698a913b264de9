"""What stands beside the RayJob is refused, too, for the reason it is broken for: policies, MLflow, quota, Secrets."""

import pytest
from checks.build import find, overlay_objects
from checks.every import problems


def policy(objects, name):
    return find(objects, "NetworkPolicy", name)["spec"]


def mlflow(objects):
    return find(objects, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"][0]


def everybody(objects):
    policy(objects, "ray")["ingress"].append({"ports": [{"port": 8265}]})


def any_operator(objects):
    policy(objects, "ray")["ingress"][1]["from"][1].pop("namespaceSelector")


def whole_namespace_of_the_operator(objects):
    policy(objects, "ray")["ingress"][1]["from"][1].pop("podSelector")


def client_port(objects):
    policy(objects, "ray")["ingress"][1]["ports"].append({"port": 10001})


def no_policies_of_ray(objects):
    for name in ("ray", "default-deny"):
        objects.remove(find(objects, "NetworkPolicy", name))


def mute_submitter(objects):
    policy(objects, "submitter")["egress"].clear()


def metadata_service(objects):
    policy(objects, "ray")["egress"].append({"to": [{"ipBlock": {"cidr": "169.254.0.0/16"}}]})


def hosts(text):
    def change(objects):
        args = mlflow(objects)["args"]
        args[:] = [arg for arg in args if "allowed-hosts" not in arg] + ([f"--allowed-hosts={text}"] if text else [])

    return change


def jobs(objects):
    mlflow(objects)["env"] = [each for each in mlflow(objects)["env"] if "JOB" not in each["name"]]


def no_startup(objects):
    del mlflow(objects)["startupProbe"]


def two_on_sqlite(objects):
    find(objects, "Deployment", "mlflow")["spec"]["replicas"] = 2


def password_among_arguments(objects):
    mlflow(objects)["args"].append("--backend-store-uri=postgresql://mlflow:pass@db/mlflow")


def secret(objects):
    objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"password": "b"}})


def baseline(objects):
    find(objects, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"


def host_path(objects):
    find(objects, "Deployment", "mlflow")["spec"]["template"]["spec"]["volumes"][0] = {
        "name": "mlflow",
        "hostPath": {"path": "/srv"},
    }


def other_budget(objects):
    find(objects, "PodDisruptionBudget", "mlflow")["spec"]["selector"]["matchLabels"] = {"app": "mlflow"}


def small_quota(objects):
    find(objects, "ResourceQuota")["spec"]["hard"]["requests.memory"] = "400Gi"


CASES = [
    (everybody, "port 8265 is open to a pod of another namespace"),
    (any_operator, "port 8265 is closed to operator"),
    (whole_namespace_of_the_operator, "port 8265 is open to another pod of the operator's namespace"),
    (client_port, "port 10001 is open to submitter"),
    (no_policies_of_ray, "port 6379 is open to an unlabelled pod of the namespace"),
    (mute_submitter, "submitter: cannot reach the head's port 8265"),
    (metadata_service, "the cloud's metadata service is open to it"),
    (hosts(""), "--allowed-hosts must name the Service"),
    (hosts("*"), "--allowed-hosts must name the Service"),
    (jobs, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION must be false"),
    (no_startup, "a startup probe on /health is missing"),
    (password_among_arguments, "a password in a URI is among the arguments"),
    (secret, "a Secret does not belong into a manifest"),
    (baseline, "must be enforced as restricted, not baseline"),
    (host_path, "volume mlflow is of a type that restricted pod security refuses"),
    (other_budget, "selects no pod"),
    (small_quota, "all pods at once need"),
]


@pytest.mark.parametrize(("break_it", "reason"), CASES, ids=lambda value: getattr(value, "__name__", "reason"))
def test_refused_for_its_reason_while_the_overlay_passes(break_it, reason):
    objects = overlay_objects("prod")
    assert problems(objects) == []
    break_it(objects)
    assert any(reason in text for text in problems(objects)), problems(objects)


def test_sqlite_has_one_server():
    objects = overlay_objects("gpu")
    two_on_sqlite(objects)
    assert any("several servers cannot share SQLite" in text for text in problems(objects))
