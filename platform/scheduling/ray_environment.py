"""Sets the environment variables that Ray reads on import. Every module that imports Ray must import this one first.

Variables set by the user are kept. In `pyproject.toml`, ruff's import order puts this module into a section before all
others, so that it stays before Ray.
"""

import os

ENVIRONMENT = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else workers under `uv run` start in a separate environment
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_prestart_worker_first_driver": "0",  # these workers would not have the environment of Tune's and stay unused
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger is the record
    "RAY_AIR_NEW_OUTPUT": "0",  # its reporter prints tables at any verbosity
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # our own handler ends the study
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's snapshots are never restored
}

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Variable in which Ray passes a submitted job's configuration to its driver, as JSON."""

for _name, _value in ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
