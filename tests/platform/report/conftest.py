"""A study of two arms with hand-made results."""

import dataclasses

import pytest
from small import SMALL

from crossarch.search_spaces.study import Axis
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult

ENVIRONMENT = {"device": "cpu", "cpu": "Z80", "cores": "2", "torch": "2.13.0", "python": "3.11.7", "commit": "abc123"}

ACCURACIES = {
    ("baseline", "ConvNet"): [80.0, 82.0, 84.0],
    ("baseline", "ResNet18"): [70.0, 74.0, "diverged"],
    ("full", "ResNet18"): [85.5, "failed", None],
    "teacher": [90.0, 91.0, "blocked"],
}
"""Of seeds 0, 1, 2: an accuracy, an outcome without one, or None for a run that left nothing."""


def as_result(config, told, **changes):
    """A result with accuracy `told`, or of outcome `told`."""
    accuracy = told if isinstance(told, float) else None
    values = {
        "outcome": "finished" if accuracy is not None else told,
        "test_accuracy": accuracy,
        "error": None if accuracy is not None else f"it was {told}",
        "training_seconds": 10.0,
        "environment": ENVIRONMENT,
    }
    return RunResult(config=config, **(values | changes))


@pytest.fixture(scope="session")
def study():
    return SMALL


@pytest.fixture(scope="session")
def results(make_results):
    return make_results(SMALL, ACCURACIES)


@pytest.fixture(scope="session")
def make_results():
    """Results by run id, from accuracies by arm and network; what is told for no cell is missing."""

    def make(study, accuracies, **changes):
        made = {}
        for plan in study.expand():
            place = study.seeds.index(plan.config.seed)
            told = {plan.config: accuracies.get((plan.arm, plan.cell[study.column]), [])}
            if plan.config.kd:
                told[plan.config.kd.teacher] = accuracies.get("teacher", [])
            for config, values in told.items():
                if values and values[place] is not None:
                    made[run_id(config)] = as_result(config, values[place], **changes)
        return made

    return make


@pytest.fixture
def wide_study():
    """A study over images per class, which comes before the network in every cell, and over `networks` networks."""

    def make(networks):
        deep = {f"ResNet{number}": {"model.architecture": "resnet18"} for number in range(networks - 1)}
        images = Axis(name="IPC", choices={f"{n} a class": {"data.images_per_class": n} for n in (1, 10)})
        architecture = Axis(name="architecture", choices={"ConvNet": {"model.architecture": "convnet"}} | deep)
        return dataclasses.replace(SMALL, name="wide", axes=(images, architecture))

    return make
