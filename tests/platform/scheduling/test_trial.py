"""A worker trains only what it would train as the driver's own machine does."""

import re

import pytest
from ray import tune

from crossarch.platform.scheduling import trial
from crossarch.platform.scheduling.version_check import versions


@pytest.fixture
def reported(monkeypatch):
    """What workers report to Tune; a run or a distillation that begins reports itself."""
    heard = []
    monkeypatch.setattr(tune, "report", heard.append)
    for work in ("trainable", "distillable"):
        monkeypatch.setattr(trial, work, lambda spec, origin, work=work: heard.append(work))
    return heard


@pytest.mark.parametrize(("work", "begins"), [(trial.train, "trainable"), (trial.distil, "distillable")])
def test_with_the_drivers_versions_it_begins(reported, work, begins):
    work({"versions": versions()})
    assert reported == [begins]


@pytest.mark.parametrize("work", [trial.train, trial.distil])
def test_on_a_node_with_others_it_fails_and_says_why(reported, work):
    ours = versions()
    work({"versions": ours | {"torch": "0.1"}})
    (told,) = reported
    torch = ours["torch"].partition("+")[0]
    assert re.fullmatch(
        rf"the node [\d.]+ and the driver differ, .*: torch {torch}\S* there, 0\.1 here", told["failed"]
    )


def test_nothing_of_the_specification_goes_back_with_the_reports(monkeypatch):
    """Tune puts what is left of it into each; the worker has all of it."""
    spec = {"versions": versions(), "runs": [{"run_id": "a"}]}
    held, given = dict(spec), []
    monkeypatch.setattr(trial, "trainable", lambda spec, origin: given.append(spec))
    trial.train(spec)
    assert (given, spec) == ([held], {})
