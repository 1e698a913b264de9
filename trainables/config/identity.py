"""A run's identity: the hash of all that can change its result, and its seed."""

import functools
import hashlib
import json
from typing import Any

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import RunConfig

METHOD_VERSION = 2
"""Raised whenever the same configuration would train to another result: old results then keep to themselves."""


def config_hash(config: RunConfig) -> str:
    """16 hexadecimal digits of SHA-256 over all that can change the result but the seed.

    That is the configuration, the data's digests, the teacher's own hash and METHOD_VERSION. A distilled set is known
    by its digest, whatever its name in a store.
    """
    return _config_hash(config, METHOD_VERSION, DATASETS[config.data.dataset].digest)


@functools.lru_cache(maxsize=16384)
def _config_hash(config: RunConfig, version: int, digest: str | None) -> str:
    values = config.to_dict()
    del values["seed"]
    if config.data.sha256 is not None:
        del values["data"]["distilled"]
    if config.kd is not None:
        values["kd"]["teacher"] = config_hash(config.kd.teacher)
    identity = {
        "method_version": version,
        "data_digest": digest,
        "config": canonical(values),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def canonical(value: Any) -> Any:
    """Equal numbers alike (1 and 1.0, 0.0 and -0.0); no Nones, so that a new optional setting changes no hash."""
    if isinstance(value, dict):
        return {name: canonical(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, tuple | list):
        return [canonical(inner) for inner in value]
    return value + 0.0 if isinstance(value, int | float) else value


def run_id(config: RunConfig) -> str:
    """The name of a run in the ledger, MLflow and the file system: `<config hash>-s<seed>`."""
    return f"{config_hash(config)}-s{config.seed}"


def weights_file(config: RunConfig, which: str = "final") -> str:
    """The name of the file that holds a run's weights after its final epoch, or at its `best`."""
    return f"{run_id(config)}{'' if which == 'final' else f'.{which}'}.pt"
