"""Ray and MLflow read their variables when they are imported: by then ours are set, and the user's stay."""

import json
import os
import subprocess
import sys

import pytest

from crossarch.platform.scheduling import ray_environment
from crossarch.platform.store import mlflow_environment

WATCH = """
import importlib, json, os, sys

class Watch:
    # Notes the environment in which a library is first imported.
    seen = {}

    def find_spec(self, name, path=None, target=None):
        if name in ("ray", "mlflow"):
            self.seen.setdefault(name, dict(os.environ))

sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
print(json.dumps(Watch.seen))
"""

OURS = {"ray": ray_environment.ENVIRONMENT, "mlflow": mlflow_environment.ENVIRONMENT}


def environments(module, **own):
    """The environments in which a fresh process that imports `module` imports Ray and MLflow, by library."""
    names = {name for ours in OURS.values() for name in ours}
    environment = {name: value for name, value in os.environ.items() if name not in names} | own
    done = subprocess.run(
        [sys.executable, "-c", WATCH, module], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("crossarch.platform.scheduling.tune", "ray"),
        ("crossarch.platform.scheduling.cluster", "ray"),
        ("crossarch.platform.scheduling.trial", "ray"),
        ("crossarch.platform.commands.train", "ray"),
        ("crossarch.platform.commands.train", "mlflow"),
        ("crossarch.platform.store.tracking", "mlflow"),
    ],
)
def test_the_variables_are_set_before_the_library_is_imported(module, library):
    seen = environments(module)[library]
    assert {name: seen.get(name) for name in OURS[library]} == OURS[library]


def test_what_the_user_has_set_stays():
    seen = environments(
        "crossarch.platform.commands.train", RAY_USAGE_STATS_ENABLED="1", MLFLOW_HTTP_REQUEST_TIMEOUT="3"
    )
    assert seen["ray"]["RAY_USAGE_STATS_ENABLED"] == "1"
    assert seen["mlflow"]["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "3"
