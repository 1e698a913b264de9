"""What the runner does where there is nothing that could be trained."""

import dataclasses

import pytest
from plans import needed_by
from rich.console import Console
from small import SMALL

from crossarch.platform.scheduling.runner import run_studies, run_study
from crossarch.platform.scheduling.site import Site
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import connect

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")

RUNS = needed_by(SMALL.expand((0, 1)))
OUTCOMES = {"baseline": "finished", "without_dp_kd": "diverged"}
LEARNING = {name: run.teacher.run_id for name, run in RUNS.items() if run.teacher}


@pytest.fixture
def diverged(result, tmp_path):
    """A ledger that lacks the students alone, whose teachers diverged."""
    ledger = Ledger(tmp_path)
    for run in RUNS.values():
        if run.arm in OUTCOMES:
            ledger.write(result(run.config, OUTCOMES[run.arm], test_accuracy=50.0))
    return ledger


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the study where no cluster can be had."""

    def no_cluster(address):
        raise ConnectionError("a cluster is asked for")

    monkeypatch.setattr("crossarch.platform.scheduling.cluster.connected", no_cluster)

    def call(seeds):
        console = Console(width=200, record=True)
        site = Site(root=tmp_path, tracking=default_tracking_uri(tmp_path))
        return run_study(SMALL, seeds, site, console), console

    return call


def test_a_study_whose_runs_are_all_blocked_starts_no_cluster(diverged, run):
    for _ in range(2):
        ending, console = run((0, 1))
        assert (ending.outcomes, ending.exit_status) == ({"finished": 4, "diverged": 2, "blocked": 2}, 1)
        text = console.export_text()
        assert text.count("blocked") == 2
        for seed in (0, 1):
            assert f"Full · ResNet18 · seed {seed}" in text
        known = diverged.read()
        assert {name for name, found in known.items() if found.outcome == "blocked"} == set(LEARNING)
        assert {name: known[name].error for name in LEARNING} == {
            name: f"its teacher {teacher} diverged" for name, teacher in LEARNING.items()
        }


def test_a_cluster_is_started_where_one_run_can_be_trained(diverged, run):
    before = diverged.read()
    with pytest.raises(ConnectionError, match="a cluster is asked for"):
        run((0, 1, 2))
    assert diverged.read() == before
    assert diverged.invocations() == []


def test_several_studies_are_one_queue_and_each_has_its_own_record(diverged, run, tmp_path):
    """The second has the first one's runs but for one arm."""
    other = dataclasses.replace(SMALL, name="other", only={"arm": ("full",)})
    console, site = Console(width=200, record=True), Site(root=tmp_path, tracking=default_tracking_uri(tmp_path))
    endings = run_studies([(SMALL, (0, 1)), (other, (0, 1))], site, console)
    assert [ending.study.name for ending in endings] == ["small", "other"]
    assert [dict(ending.outcomes) for ending in endings] == [
        {"finished": 4, "diverged": 2, "blocked": 2},
        {"diverged": 2, "blocked": 2},
    ]
    text = console.export_text()
    assert text.count("blocked") == 2, "what they share is told once"
    assert "small · Full · ResNet18 · seed 0" in text
    started = {each.study: each for each in diverged.invocations()}
    assert set(started) == {"small", "other"}
    assert list(started["small"].runs) == list(RUNS)
    assert set(started["other"].cells) == set(LEARNING)
    assert set(started["other"].teachers) == set(LEARNING.values())
    assert started["small"].labels["arm"] == {
        "baseline": "Baseline",
        "full": "Full",
        "without_dp_kd": "w/o DP & KD",
    }
    for name, invocation in started.items():
        experiment = connect(site.tracking).get_experiment_by_name(name)
        runs = connect(site.tracking).search_runs([experiment.experiment_id])
        shown = {found.data.tags["crossarch.run_id"] for found in runs if "crossarch.run_id" in found.data.tags}
        assert shown == set(invocation.runs)
