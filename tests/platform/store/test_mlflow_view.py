import contextlib
import dataclasses
import fcntl
import math
import sqlite3

import pytest

from crossarch.platform.store import tracking
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import TrackingError, View, connect, describe_running, owners
from crossarch.trainables.config.result import Point

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")

QUESTION = "Does it close the gap?"


@pytest.fixture
def view(tracking_uri):
    return View(tracking_uri)


@pytest.fixture
def results(configs, result_of, by_id):
    return by_id(*(result_of(config) for config in configs))


@pytest.fixture
def shown(tracking_uri):
    """What MLflow shows of a study, children by run id and parents by invocation."""

    def look(study="quickstart"):
        client = connect(tracking_uri)
        experiment = client.get_experiment_by_name(study)
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        children = [run for run in runs if "crossarch.run_id" in run.data.tags]
        parents = [run for run in runs if "crossarch.run_id" not in run.data.tags]
        by_run = {run.data.tags["crossarch.run_id"]: run for run in children}
        by_invocation = {run.data.tags["crossarch.invocation"]: run for run in parents}
        assert (len(by_run), len(by_invocation)) == (len(children), len(parents)), "something is doubled"
        return by_run, by_invocation

    return look


def history(tracking_uri, run):
    client = connect(tracking_uri)
    points = [
        (name, metric.step, metric.value)
        for name in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, name)
    ]
    assert len({point[:2] for point in points}) == len(points), "a step is doubled"
    return {(name, step): value for name, step, value in points}


def test_everything_is_built_from_nothing(view, tracking_uri, tmp_path, shown, configs, results, invocation_of):
    invocation = invocation_of()
    assert view.sync("quickstart", QUESTION, [invocation], results) == 1 + len(results)
    children, parents = shown()
    assert set(children) == set(results)
    parent = parents[invocation.id]
    assert (parent.info.run_name, parent.info.status) == ("2026-11-21 07:00:00 UTC", "FINISHED")
    run = children[list(invocation.cells)[-1]]
    assert run.info.run_name == "Full · ResNet18 · seed 2"
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (1795247400000, 1795248000123)
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.data.params["keep_rate.minimum"] == "0.5"
    points = history(tracking_uri, run)
    result = results[list(invocation.cells)[-1]]
    assert points["train_loss", result.curve[0].epoch] == result.curve[0].train_loss
    assert points["test_accuracy", configs[-1].epochs] == result.test_accuracy
    experiment = connect(tracking_uri).get_experiment_by_name("quickstart")
    assert experiment.tags["mlflow.note.content"] == QUESTION
    assert experiment.artifact_location == (tmp_path / "mlflow-artifacts" / "quickstart").as_uri()


def test_levelling_twice_changes_nothing(view, tracking_uri, shown, results, invocation_of):
    assert view.sync("quickstart", QUESTION, [invocation_of()], results) > 0
    before = {name: history(tracking_uri, run) for name, run in shown()[0].items()}
    assert view.sync("quickstart", QUESTION, [invocation_of()], results) == 0
    assert View(tracking_uri).sync("quickstart", QUESTION, [invocation_of()], results) == 0
    assert {name: history(tracking_uri, run) for name, run in shown()[0].items()} == before


def test_a_later_invocation_takes_no_children_from_the_first(view, shown, results, invocation_of):
    first, second = invocation_of(7, runs=slice(4)), invocation_of(9)
    partial = {name: results[name] for name in first.runs}
    view.sync("quickstart", QUESTION, [first], partial)
    assert view.sync("quickstart", QUESTION, [second, first], results) == 1 + 5
    children, parents = shown()
    nested = [children[name].data.tags["mlflow.parentRunId"] for name in second.runs]
    ids = [parents[invocation.id].info.run_id for invocation in (first, second)]
    assert nested == ids[:1] * 4 + ids[1:] * 5
    assert parents[second.id].data.tags["crossarch.runs_under_earlier_invocations"] == "4"


def test_a_run_of_two_studies_is_in_both(view, shown, results, invocation_of):
    invocations = [invocation_of(7), invocation_of(8, study="table2", runs=slice(2))]
    view.sync("quickstart", QUESTION, invocations, results)
    assert view.sync("table2", QUESTION, invocations, results) == 3
    shared = next(iter(invocations[1].runs))
    assert shared in shown("quickstart")[0]
    assert set(shown("table2")[0]) == set(invocations[1].runs)
    assert shown("table2")[0][shared].data.tags["crossarch.study"] == "table2"
    assert view.sync("quickstart", QUESTION, invocations, results) == 0


def test_a_failure_that_is_made_good_becomes_one_finished_run(view, tracking_uri, shown, results, invocation_of):
    invocation = invocation_of(runs=slice(1))
    (run_id,) = invocation.runs
    finished = results[run_id]
    failed = dataclasses.replace(
        finished, outcome="failed", error="no GPU", curve=finished.curve[:2], finished_at="2026-11-21T07:55:00+00:00"
    )
    view.sync("quickstart", QUESTION, [invocation], {run_id: failed})
    before = shown()[0][run_id]
    assert (before.info.status, before.data.tags["crossarch.error"]) == ("FAILED", "no GPU")
    assert "test_accuracy" not in before.data.metrics
    assert view.sync("quickstart", QUESTION, [invocation], {run_id: finished}) == 2
    after = shown()[0][run_id]
    assert after.info.run_id == before.info.run_id, "the same run goes on"
    assert (after.info.status, after.data.tags["crossarch.outcome"]) == ("FINISHED", "finished")
    assert "crossarch.error" not in after.data.tags
    history(tracking_uri, after)
    assert view.sync("quickstart", QUESTION, [invocation], {run_id: finished}) == 0


def test_a_curve_that_contradicts_the_ledger_is_replaced(view, tracking_uri, shown, results, invocation_of):
    invocation = invocation_of(runs=slice(1))
    (run_id,) = invocation.runs
    view.sync("quickstart", QUESTION, [invocation], results)
    changed = dataclasses.replace(results[run_id], test_accuracy=12.5, curve=results[run_id].curve[:-1])
    assert view.sync("quickstart", QUESTION, [invocation], {run_id: changed}) == 1
    points = history(tracking_uri, shown()[0][run_id])
    epochs = changed.config.epochs
    assert points["test_accuracy", epochs] == 12.5
    assert ("train_loss", epochs) not in points


def test_what_is_not_a_number_is_shown_and_stays_level(view, tracking_uri, shown, results, invocation_of):
    invocation = invocation_of(runs=slice(1))
    (run_id,) = invocation.runs
    point = Point(epoch=1, train_loss=math.nan, learning_rate=math.inf, keep_rate=1.0)
    diverged = dataclasses.replace(results[run_id], outcome="diverged", error="nan", curve=(point,), test_loss=math.nan)
    view.sync("quickstart", QUESTION, [invocation], {run_id: diverged})
    points = history(tracking_uri, shown()[0][run_id])
    assert math.isnan(points["train_loss", 1])
    again = dataclasses.replace(diverged, error="NaN")
    before = shown()[0][run_id].info.run_id
    assert view.sync("quickstart", QUESTION, [invocation], {run_id: again}) == 1
    assert shown()[0][run_id].info.run_id == before, "the same numbers contradict nothing"


def test_a_long_curve_goes_in_batches(view, tracking_uri, shown, results, invocation_of):
    invocation = invocation_of(runs=slice(1))
    (run_id,) = invocation.runs
    points = tuple(Point(epoch=n, train_loss=1 / n, learning_rate=0.1, keep_rate=1.0) for n in range(1, 1001))
    view.sync("quickstart", QUESTION, [invocation], {run_id: dataclasses.replace(results[run_id], curve=points)})
    shown_points = history(tracking_uri, shown()[0][run_id])
    assert [shown_points["train_loss", n] for n in range(1, 1001)] == [1 / n for n in range(1, 1001)]


def test_a_run_made_twice_is_removed(view, tracking_uri, shown, results, invocation_of):
    invocation = invocation_of(runs=slice(1))
    view.sync("quickstart", QUESTION, [invocation], results)
    children, _ = shown()
    (run,) = children.values()
    tags = {"crossarch.run_id": run.data.tags["crossarch.run_id"]}
    connect(tracking_uri).create_run(run.info.experiment_id, tags=tags)
    assert view.sync("quickstart", QUESTION, [invocation], results) == 1
    assert shown()[0].keys() == children.keys()


def test_what_was_deleted_in_mlflow_comes_back(view, tracking_uri, shown, results, invocation_of):
    invocation = invocation_of(runs=slice(2))
    view.sync("quickstart", QUESTION, [invocation], results)
    client = connect(tracking_uri)
    children, parents = shown()
    client.delete_run(parents[invocation.id].info.run_id)
    assert view.sync("quickstart", QUESTION, [invocation], results) == 3, "the parent, and its children's link to it"
    client.delete_experiment(parents[invocation.id].info.experiment_id)
    view.sync("quickstart", QUESTION, [invocation], results)
    children, parents = shown()
    links = {child.data.tags["mlflow.parentRunId"] for child in children.values()}
    assert links == {parents[invocation.id].info.run_id}


def test_a_run_of_an_interrupted_driver_is_killed_and_then_continued(
    view, tracking_uri, shown, configs, results, invocation_of
):
    invocation = invocation_of(runs=slice(1))
    ((run_id, owner),) = owners([invocation]).items()
    assert owner == invocation
    experiment = view.experiment("quickstart", QUESTION)
    experiment.sync([invocation], {}, current=invocation.id)
    running = describe_running(configs[0], {}, run_id, invocation, started=5)
    assert experiment.show(running, parent=invocation.id)
    assert shown()[1][invocation.id].info.status == "RUNNING"
    assert view.sync("quickstart", QUESTION, [invocation], {}) == 2
    assert shown()[0][run_id].info.status == "KILLED"
    assert shown()[1][invocation.id].info.status == "KILLED"
    assert view.sync("quickstart", QUESTION, [invocation], {}) == 0
    assert view.experiment("quickstart", QUESTION).show(running, parent=invocation.id)
    assert shown()[0][run_id].info.status == "RUNNING"
    assert view.sync("quickstart", QUESTION, [invocation], results) == 2
    assert shown()[0][run_id].info.status == "FINISHED"


def test_levelling_that_was_cut_off_is_completed(view, tracking_uri, shown, results, invocation_of, monkeypatch):
    from mlflow import MlflowClient

    log_batch, calls = MlflowClient.log_batch, []

    def failing(*arguments, **options):
        calls.append(1)
        if len(calls) > 4:
            raise ConnectionResetError(104, "Connection reset by peer")
        return log_batch(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", failing)
        with pytest.raises(TrackingError, match=r"does not answer \(Connection reset by peer\)\.$"):
            view.sync("quickstart", QUESTION, [invocation_of()], results)
    assert view.sync("quickstart", QUESTION, [invocation_of()], results) == 1 + 9 - 4
    assert set(shown()[0]) == set(results)


def test_the_fluent_environment_does_not_reach_us(view, shown, results, invocation_of, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    view.sync("quickstart", QUESTION, [invocation_of(runs=slice(1))], results)
    children, parents = shown()
    assert [run.data.tags["mlflow.parentRunId"] for run in children.values()] == [
        run.info.run_id for run in parents.values()
    ]


def test_a_server_that_is_down_is_one_sentence_without_credentials(results, invocation_of, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as caught:
        View("http://me:secret@127.0.0.1:9").sync("quickstart", QUESTION, [invocation_of()], results)
    assert str(caught.value) == "MLflow at http://127.0.0.1:9 does not answer (Connection refused)."


def test_a_database_that_is_none_is_one_sentence(tmp_path, results, invocation_of):
    (tmp_path / "mlflow.db").write_text("not a database, " * 100)
    with pytest.raises(TrackingError, match=r"^MLflow at sqlite:.* failed: .*file is not a database.*\.$"):
        View(default_tracking_uri(tmp_path)).sync("quickstart", QUESTION, [invocation_of()], results)


def test_a_new_store_is_initialised_under_a_lock_and_in_silence(tmp_path, capfd, monkeypatch):
    import mlflow

    uri, alone = default_tracking_uri(tmp_path / "new"), []

    class Watched(mlflow.MlflowClient):
        def __init__(self, **options):
            with (tmp_path / "new" / "mlflow.db.lock").open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    alone.append(False)
                except BlockingIOError:
                    alone.append(True)
            super().__init__(**options)
            with contextlib.closing(sqlite3.connect(tmp_path / "new" / "mlflow.db")) as database:
                assert database.execute("SELECT name FROM experiments").fetchall() == [("Default",)]

    monkeypatch.setattr(tracking, "MlflowClient", Watched)
    connect(uri)
    assert alone == [True]
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed(view, results, invocation_of, capfd, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with contextlib.suppress(TrackingError):
        View("http://127.0.0.1:9").sync("quickstart", QUESTION, [invocation_of()], results)
    view.sync("quickstart", QUESTION, [invocation_of(runs=slice(2))], results)
    assert capfd.readouterr() == ("", "")
