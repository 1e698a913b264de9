"""A study that makes its own set: what the runner does with each way in which a distillation can end."""

from contextlib import contextmanager

import pytest
from digits_sets import as_distilled, stored
from rich.console import Console

from crossarch.platform.scheduling import cluster, runner
from crossarch.platform.scheduling import distil as distillation
from crossarch.platform.scheduling.cluster import Cluster
from crossarch.platform.scheduling.data import bound
from crossarch.platform.scheduling.demand import Node
from crossarch.platform.scheduling.runner import run_study
from crossarch.platform.scheduling.site import Site
from crossarch.platform.scheduling.tune_distil import Ended
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.quickstart import DISTILS, QUICKSTART, SMOKE_SET


class Unseen:
    """In the place of MLflow's view of a distillation."""

    def __init__(self, *told):
        self.told = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def __getattr__(self, name):
        return lambda *told: None


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """Runs the smoke form where distillations end as told; clusters that were asked for, and plans to train."""
    clusters, trained = [], []

    @contextmanager
    def connected(address):
        clusters.append(address)
        yield Cluster(nodes=(Node(resources={"CPU": 2}),))

    def train(parts, plan, ledger, site, console, start):
        start()
        trained.append(plan)
        return False

    def run(ended):
        def drive(config, name, cluster, site, on_point):
            if ended.stored:
                stored(tmp_path, as_distilled(name, config))
            return ended

        monkeypatch.setattr(distillation, "drive", drive)
        console = Console(width=200, record=True)
        site = Site(root=tmp_path, tracking="nowhere")
        ending = run_study(QUICKSTART.smoke(), (0,), site, console)
        return ending, console.export_text()

    monkeypatch.setattr(cluster, "connected", connected)
    monkeypatch.setattr(distillation, "DistillationView", Unseen)
    monkeypatch.setattr(runner, "_train", train)
    monkeypatch.setattr(runner, "sync_study", lambda *told: 0)
    run.clusters, run.trained = clusters, trained
    return run


def test_a_stored_set_is_trained_on_in_the_same_cluster(begun):
    ending, told = begun(Ended(stored=True))
    assert f"{SMOKE_SET}: in the store" in told
    assert len(begun.clusters) == 1
    (plan,) = begun.trained
    digests = {run.config.data.sha256 for run in plan.runs.values()}
    assert len(digests) == 1
    assert None not in digests
    assert ending.study.to_distil() == {}


def test_a_failed_distillation_is_a_sentence_and_nothing_is_trained(begun, tmp_path):
    ending, told = begun(Ended(error="DistillationDivergedError: the loss is nan after step 3"))
    assert f"{SMOKE_SET}: failed: DistillationDivergedError: the loss is nan after step 3" in told
    assert (ending.exit_status, ending.outcomes, begun.trained) == (1, {"missing": 12}, [])
    assert Ledger(tmp_path).invocations() == []


def test_an_interrupted_distillation_trains_nothing_and_goes_on_with_the_same_command(begun, tmp_path):
    ending, _ = begun(Ended(interrupted=True))
    assert (ending.exit_status, begun.trained) == (130, [])
    assert set(ending.study.to_distil()) == {SMOKE_SET}
    ending, _ = begun(Ended(stored=True, interrupted=True))
    assert (ending.exit_status, begun.trained) == (130, []), "the interrupt came just when the set was stored"
    begun(Ended(error="it is there already, so nobody asks"))
    assert len(begun.trained) == 1


def test_a_set_that_is_there_is_not_distilled_and_a_complete_study_starts_nothing(begun, tmp_path, result):
    stored(tmp_path, as_distilled(SMOKE_SET, DISTILS[SMOKE_SET]))
    study = bound(QUICKSTART.smoke(), tmp_path)
    for plan in study.expand():
        Ledger(tmp_path).write(result(plan.config, test_accuracy=50.0))
    console = Console(width=200, record=True)
    ending = run_study(study, (0,), Site(root=tmp_path, tracking="nowhere"), console)
    assert (ending.exit_status, begun.clusters, begun.trained) == (0, [], [])
