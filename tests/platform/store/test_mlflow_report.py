"""The report's page in MLflow: beside the study's last parent run, once, and again when it changed."""

import dataclasses
from pathlib import Path

import pytest

from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import TrackingError, View, attach, connect, sync_study

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "reports" / "index.html"
    file.parent.mkdir()
    file.write_text("<!doctype html>first")
    return file


@pytest.fixture
def invocations(invocation_of, tracking_uri, configs, result_of, by_id):
    """Two starts of a study, shown."""
    both = [invocation_of(7, runs=slice(2)), invocation_of(8, runs=slice(3))]
    View(tracking_uri).sync("quickstart", "?", both, by_id(*(result_of(config) for config in configs[:3])))
    return both


@pytest.fixture
def stored(tracking_uri):
    """The page that each invocation has in MLflow."""

    def look():
        client = connect(tracking_uri)
        experiment = client.get_experiment_by_name("quickstart")
        found = {}
        for run in client.search_runs([experiment.experiment_id]):
            for each in client.list_artifacts(run.info.run_id, "report"):
                file = Path(client.download_artifacts(run.info.run_id, each.path))
                found[run.data.tags["crossarch.invocation"]] = (each.path, file.read_text())
        return found

    return look


def test_the_last_invocation_has_the_page(invocations, tracking_uri, tmp_path, page, stored):
    assert attach(invocations, tmp_path, tracking_uri, page)
    assert stored() == {invocations[1].id: ("report/index.html", "<!doctype html>first")}


def test_it_is_sent_again_only_where_it_changed(invocations, tracking_uri, tmp_path, page, stored, monkeypatch):
    attach(invocations, tmp_path, tracking_uri, page)
    with monkeypatch.context() as patched:
        patched.setattr("crossarch.platform.store.tracking.connect", lambda uri: pytest.fail("MLflow was opened"))
        assert not attach(invocations, tmp_path, tracking_uri, page)
    page.write_text("<!doctype html>second")
    assert attach(invocations, tmp_path, tracking_uri, page)
    assert stored()[invocations[1].id][1] == "<!doctype html>second"


def test_levelling_leaves_it_alone(invocations, tracking_uri, tmp_path, page, stored, configs, result_of, by_id):
    attach(invocations, tmp_path, tracking_uri, page)
    results = by_id(*(result_of(config) for config in configs[:3]))
    assert View(tracking_uri).sync("quickstart", "?", invocations, results) == 0
    more = results | by_id(dataclasses.replace(result_of(configs[0]), outcome="failed", error="x"))
    View(tracking_uri).sync("quickstart", "?", invocations, more)
    assert invocations[1].id in stored()


def test_where_nothing_is_shown_nothing_is_sent(invocation_of, tracking_uri, tmp_path, page):
    assert not attach([], tmp_path, tracking_uri, page)
    assert not attach([invocation_of()], tmp_path, tracking_uri, page), "the study has no experiment"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert not attach([invocation_of()], elsewhere, default_tracking_uri(elsewhere), page)
    assert list(elsewhere.iterdir()) == []


def test_a_rebuilt_mlflow_gets_it_again(invocation_of, configs, result_of, tmp_path, page):
    ledger, uri = Ledger(tmp_path), default_tracking_uri(tmp_path)
    ledger.write_invocation(invocation_of(runs=slice(1)))
    ledger.write(result_of(configs[0]))
    sync_study(ledger, tmp_path, "quickstart", uri)
    assert attach(ledger.invocations("quickstart"), tmp_path, uri, page)
    client = connect(uri)
    for run in client.search_runs([client.get_experiment_by_name("quickstart").experiment_id]):
        client.delete_run(run.info.run_id)
    sync_study(ledger, tmp_path, "quickstart", uri, anyway=True)
    assert attach(ledger.invocations("quickstart"), tmp_path, uri, page)


def test_results_that_were_moved_get_no_page_where_they_lay(invocations, tracking_uri, tmp_path, page):
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "mlflow.db").write_bytes((tmp_path / "mlflow.db").read_bytes())
    with pytest.raises(TrackingError, match="`crossarch sync` makes it anew"):
        attach(invocations, moved, default_tracking_uri(moved), page)
    assert not (tmp_path / "mlflow-artifacts").exists()


def test_a_server_that_does_not_answer_is_told(invocation_of, tmp_path, page, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="does not answer"):
        attach([invocation_of()], tmp_path, "http://127.0.0.1:9", page)
