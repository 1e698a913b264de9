"""KubeRay's real CRDs accept every overlay, where KUBERAY_CRD_DIR names a folder of them; how they are read, always."""

import os

import pytest
import yaml
from checks.build import OVERLAYS, overlay_objects
from checks.crds import crd_problems, schemas

FOLDER = os.environ.get("KUBERAY_CRD_DIR")

SPEC = {
    "type": "object",
    "required": ["entrypoint"],
    "properties": {
        "entrypoint": {"type": "string"},
        "limits": {
            "type": "object",
            "additionalProperties": {
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "x-kubernetes-int-or-string": True,
            },
        },
        "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {}},
    },
}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "ray.io",
        "names": {"kind": "RayJob"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "apiVersion": {"type": "string"},
                            "kind": {"type": "string"},
                            "metadata": {"type": "object"},
                            "spec": SPEC,
                        },
                    }
                },
            }
        ],
    },
}


@pytest.mark.skipif(FOLDER is None, reason="KUBERAY_CRD_DIR names no folder of KubeRay's CRDs")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_real_crds_accept(overlay):
    known = schemas(FOLDER)
    assert ("RayJob", "ray.io/v1") in known
    assert list(crd_problems(overlay_objects(overlay), known)) == []


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"entrypoint": "a", "limits": {"cpu": 1, "memory": "2Gi"}, "anything": {"b": {"c": 1}}}, None),
        ({"entrypoint": "a", "entrypoin": "a"}, "'entrypoin' was unexpected"),
        ({}, "'entrypoint' is a required property"),
        ({"entrypoint": "a", "limits": {"cpu": 1.5}}, "1.5 is not valid"),
    ],
)
def test_a_crd_is_read_strictly(spec, problem, tmp_path):
    (tmp_path / "rayjobs.yaml").write_text(yaml.safe_dump(CRD))
    job = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "a"}, "spec": spec}
    said = list(crd_problems([job], schemas(tmp_path)))
    assert len(said) == (problem is not None)
    assert all(problem in text for text in said)
