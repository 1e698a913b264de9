"""Sets the environment variables that MLflow reads, some of them on import. Must be imported before MLflow.

Variables set by the user are kept. In `pyproject.toml`, ruff's import order puts this module into a section before all
others, so that it stays before MLflow.
"""

import os

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow's defaults are a timeout of 120 s, 7 retries over 4 minutes, a terminal line for each run, and telemetry."""

for _name, _value in ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
