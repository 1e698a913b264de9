"""Identity of a run: a hash of everything that can change its result, and its seed."""

import functools
import hashlib
import json
from typing import Any

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import DistilledData, RunConfig

METHOD_VERSION = 2
"""Incremented when an unchanged configuration gives a different result: run ids change, old results are not reused."""


def config_hash(config: RunConfig, version: int | None = None) -> str:
    """The first 16 hexadecimal digits of a SHA-256 of everything that can change the result, except the seed.

    This includes the configuration, the digest of the data, the teacher's hash and METHOD_VERSION (or `version`, under
    which the run was trained). A distilled set with a digest is identified by it, not by its name in the store.
    """
    version = METHOD_VERSION if version is None else version
    return _config_hash(config, version, DATASETS[config.data.dataset].digest)


@functools.lru_cache(maxsize=16384)
def _config_hash(config: RunConfig, version: int, digest: str | None) -> str:
    values = config.to_dict()
    del values["seed"]
    if isinstance(config.data, DistilledData) and config.data.sha256 is not None:
        del values["data"]["distilled_set"]
    if config.kd is not None:
        values["kd"]["teacher"] = config_hash(config.kd.teacher, version)
    identity = {
        "method_version": version,
        "data_digest": digest,
        "config": canonical(values),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def canonical(value: Any) -> Any:
    """Canonical form for hashing.

    Equal numbers become identical (1 and 1.0, 0.0 and -0.0). None is dropped from mappings, so that a new optional
    setting changes no hash.
    """
    if isinstance(value, dict):
        return {name: canonical(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, tuple | list):
        return [canonical(inner) for inner in value]
    return value + 0.0 if isinstance(value, int | float) else value


def run_id(config: RunConfig, version: int | None = None) -> str:
    """Name of a run in the ledger, MLflow and the file system: `<config hash>-s<seed>`."""
    return f"{config_hash(config, version)}-s{config.seed}"


def weights_file(config: RunConfig, which: str = "final") -> str:
    """File name of a run's weights: after the `final` epoch, or at the `best` test accuracy."""
    return f"{run_id(config)}{'' if which == 'final' else f'.{which}'}.pt"
