"""Study, trainable and results without training, for measuring the overhead of the platform."""

import dataclasses
from typing import Any

import crossarch.platform.scheduling.ray_environment  # noqa: F401, before Ray

from ray import tune

from crossarch.platform.scheduling.trial import taken
from crossarch.search_spaces.single import single_run
from crossarch.search_spaces.study import Study
from crossarch.trainables.config.result import RunResult
from crossarch.trainables.config.run import RunConfig, from_dict
from crossarch.trainables.training.execute import now


def nothing(spec: dict[str, Any]) -> None:
    """Tune function trainable that reports a result for each run without training."""
    for run in taken(spec)["runs"]:
        tune.report({"result": untrained(from_dict(run["config"])).to_dict()})


def untrained(config: RunConfig) -> RunResult:
    """Finished result at chance accuracy; only for temporary ledgers."""
    values = {"test_accuracy": 10.0, "test_loss": 2.3, "validation_accuracy": 10.0, "finished_at": now()}
    return RunResult(config=config, outcome="finished", **values, started_at=now())  # type: ignore[arg-type]


def made_up_study(runs: int) -> Study:
    """Study of one arm and one network with seeds 0 to `runs` - 1."""
    return dataclasses.replace(single_run("baseline", {}), seeds=tuple(range(runs)))
