"""KubeRay's own definitions of its kinds (CRDs), where there are any at hand, as strict schemas."""

from pathlib import Path

import jsonschema
import yaml


def strict(schema):
    """A CRD's OpenAPI schema as a JSON schema that refuses unknown keys, except where the CRD preserves them."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(each) for key, each in schema.items()}
    if schema.get("x-kubernetes-int-or-string") is True:
        made.pop("type", None)
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        made.setdefault("additionalProperties", schema.get("x-kubernetes-preserve-unknown-fields", False))
    return made


def schemas(folder):
    """(kind, version) -> strict schema, of every CRD in a folder of YAML files."""
    found = {}
    for path in sorted(Path(folder).glob("*.yaml")):
        for crd in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
            if crd and crd.get("kind") == "CustomResourceDefinition":
                spec = crd["spec"]
                for version in spec["versions"]:
                    key = (spec["names"]["kind"], f"{spec['group']}/{version['name']}")
                    found[key] = strict(version["schema"]["openAPIV3Schema"])
    return found


def crd_problems(objects, known):
    """Each way in which an object of a kind among `known` is not as its CRD says. Metadata is Kubernetes' own."""
    for each in objects:
        schema = known.get((each["kind"], each["apiVersion"]))
        if schema is None:
            continue
        bare = {key: value for key, value in each.items() if key != "metadata"}
        for error in jsonschema.Draft202012Validator(schema).iter_errors(bare):
            yield f"{each['kind']} {each['metadata']['name']}: {'.'.join(map(str, error.path))}: {error.message}"
