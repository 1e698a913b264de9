import socket
import threading
import time

import pytest

from crossarch.platform.store.tracking import View, Writer, connect

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")

DEAD = "http://127.0.0.1:9"


@pytest.fixture
def results(configs, result_of, by_id):
    return by_id(*(result_of(config) for config in configs))


def runs_of(tracking_uri, study="quickstart"):
    client = connect(tracking_uri)
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        return {}
    runs = client.search_runs([experiment.experiment_id])
    found = {run.data.tags.get("crossarch.run_id", run.data.tags["crossarch.invocation"]): run for run in runs}
    assert len(found) == len(runs), "something is doubled"
    return found


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def curve_of(tracking_uri, run_id):
    """The steps of a run's training loss by their instants, as MLflow has them; those that are there twice twice."""
    run = runs_of(tracking_uri).get(run_id)
    points = connect(tracking_uri).get_metric_history(run.info.run_id, "train_loss") if run else []
    return [point.step for point in points]


def train(writer, result, points=None):
    writer.running(result.run_id, result.config, result.environment)
    for point in result.curve[:points]:
        writer.point(result.run_id, point)
    if points is None:
        writer.done(result)


def test_what_the_writer_leaves_is_level(tracking_uri, results, invocation_of):
    invocation = invocation_of()
    writer = Writer(tracking_uri)
    writer.open(invocation)
    for result in results.values():
        train(writer, result)
    assert writer.close(30) == 0
    assert (writer.failures, writer.last_error) == (0, None)
    assert View(tracking_uri).sync("quickstart", "why", [invocation], results) == 0
    runs = runs_of(tracking_uri)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    result = next(iter(results.values()))
    assert curve_of(tracking_uri, result.run_id) == [point.epoch for point in result.curve]


def test_runs_are_shown_while_they_train(tracking_uri, results, invocation_of):
    invocation = invocation_of(runs=slice(2))
    first, second = list(results.values())[:2]
    writer = Writer(tracking_uri)
    writer.open(invocation)
    train(writer, first)
    train(writer, second, points=3)
    wait_for(lambda: len(curve_of(tracking_uri, second.run_id)) == 3)
    runs = runs_of(tracking_uri)
    assert runs[second.run_id].info.status == "RUNNING"
    assert runs[invocation.id].info.status == "RUNNING"
    assert runs[second.run_id].data.params["model.architecture"] == "convnet"
    writer.done(second)
    assert writer.close(30) == 0
    assert View(tracking_uri).sync("quickstart", "why", [invocation], results) == 0


def test_a_killed_drivers_run_is_continued_without_doubled_steps(tracking_uri, results, invocation_of):
    first, second = invocation_of(7, runs=slice(2)), invocation_of(8, runs=slice(2))
    result = next(iter(results.values()))
    dying = Writer(tracking_uri)
    dying.open(first)
    train(dying, result, points=3)
    wait_for(lambda: len(curve_of(tracking_uri, result.run_id)) == 3)
    before = runs_of(tracking_uri)[result.run_id]

    resumed = Writer(tracking_uri)
    resumed.open(second, earlier=[first])
    resumed.running(result.run_id, result.config, result.environment)
    for point in result.curve[1:]:
        resumed.point(result.run_id, point)
    resumed.done(result)
    assert resumed.close(30) == 0
    runs = runs_of(tracking_uri)
    after = runs[result.run_id]
    assert after.info.run_id == before.info.run_id
    assert after.data.tags["mlflow.parentRunId"] == runs[first.id].info.run_id
    assert curve_of(tracking_uri, result.run_id) == [point.epoch for point in result.curve]
    assert runs[second.id].info.status == "KILLED", "its other run was never trained"
    known = {result.run_id: result}
    assert View(tracking_uri).sync("quickstart", "why", [first, second], known) == 0


def test_what_an_interrupted_study_leaves_running_is_killed(tracking_uri, results, invocation_of):
    invocation = invocation_of(runs=slice(1))
    result = next(iter(results.values()))
    writer = Writer(tracking_uri)
    writer.open(invocation)
    train(writer, result, points=2)
    assert writer.close(30) == 0
    assert {run.info.status for run in runs_of(tracking_uri).values()} == {"KILLED"}
    assert View(tracking_uri).sync("quickstart", "why", [invocation], {}) == 0


def test_earlier_results_are_levelled_on_opening(tracking_uri, results, invocation_of):
    first, second = invocation_of(7, runs=slice(4)), invocation_of(8)
    writer = Writer(tracking_uri)
    writer.open(second, earlier=[first, second], results=results)
    assert writer.close(30) == 0
    assert View(tracking_uri).sync("quickstart", "why", [first, second], results) == 0
    assert len(runs_of(tracking_uri)) == 2 + len(results)


@pytest.fixture
def silent_server():
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("dead", [True, False])
def test_a_dead_or_silent_server_blocks_nobody(results, invocation_of, silent_server, dead):
    writer = Writer(DEAD if dead else silent_server)
    started = time.monotonic()
    writer.open(invocation_of())
    for result in results.values():
        train(writer, result)
    assert writer.close(0.5) == 1 + len(results)
    assert time.monotonic() - started < 3, "a request would have been given 10 seconds"


def test_a_dead_server_is_left_alone_for_longer_and_longer(results, invocation_of, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    now = [0.0]
    writer = Writer(DEAD, clock=lambda: now[0])
    writer.open(invocation_of())
    waits = []
    for count in range(1, 11):
        wait_for(lambda count=count: writer.failures == count)
        train(writer, next(iter(results.values())), points=1)
        time.sleep(0.02)
        assert writer.failures == count, "it pauses, whatever happens"
        waits.append(writer._courier._again_at - now[0])
        now[0] = writer._courier._again_at
        train(writer, next(iter(results.values())), points=1)
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert writer.last_error == "MLflow at http://127.0.0.1:9 does not answer (Connection refused)."


def test_a_server_that_returns_gets_everything(tracking_uri, results, invocation_of, monkeypatch):
    from mlflow import MlflowClient

    now, down = [0.0], [True]
    log_batch = MlflowClient.log_batch

    def failing(*arguments, **options):
        if down[0]:
            raise ConnectionRefusedError(111, "Connection refused")
        return log_batch(*arguments, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", failing)
    writer = Writer(tracking_uri, clock=lambda: now[0])
    invocation = invocation_of(runs=slice(2))
    writer.open(invocation)
    first, second = list(results.values())[:2]
    train(writer, first)
    wait_for(lambda: writer.failures > 0)
    down[0], now[0] = False, 1000.0
    train(writer, second)
    assert writer.close(30) == 0
    assert View(tracking_uri).sync("quickstart", "why", [invocation], results) == 0


def test_what_trains_goes_on_training_in_the_view_after_a_failure(tracking_uri, results, invocation_of, monkeypatch):
    from mlflow import MlflowClient

    now, lost = [0.0], []
    log_batch = MlflowClient.log_batch

    def answer_lost(client, run_id, **batch):
        log_batch(client, run_id, **batch)
        if batch.get("metrics") and not lost:
            lost.append(run_id)
            raise TimeoutError

    monkeypatch.setattr(MlflowClient, "log_batch", answer_lost)
    result = next(iter(results.values()))
    writer = Writer(tracking_uri, clock=lambda: now[0])
    invocation = invocation_of(runs=slice(1))
    writer.open(invocation)
    train(writer, result, points=2)
    wait_for(lambda: writer.failures == 1)
    now[0] = 1000.0
    writer.point(result.run_id, result.curve[2])
    wait_for(lambda: len(curve_of(tracking_uri, result.run_id)) == 3)
    assert curve_of(tracking_uri, result.run_id) == [point.epoch for point in result.curve[:3]]
    assert runs_of(tracking_uri)[result.run_id].info.status == "RUNNING"
    writer.done(result)
    assert writer.close(30) == 0
    assert View(tracking_uri).sync("quickstart", "why", [invocation], results) == 0


def test_a_run_whose_creation_was_not_answered_is_found_again(tracking_uri, results, invocation_of, monkeypatch):
    from mlflow import MlflowClient

    lost, create_run = [], MlflowClient.create_run

    def answer_lost(client, experiment_id, **options):
        run = create_run(client, experiment_id, **options)
        if "crossarch.run_id" in options["tags"] and not lost:
            lost.append(run)
            raise TimeoutError
        return run

    monkeypatch.setattr(MlflowClient, "create_run", answer_lost)
    result = next(iter(results.values()))
    writer = Writer(tracking_uri)
    writer.open(invocation_of(runs=slice(1)))
    train(writer, result)
    wait_for(lambda: writer.failures == 1)
    assert writer.close(30) == 0
    assert runs_of(tracking_uri)[result.run_id].info.run_id == lost[0].info.run_id
    assert writer.last_error == f"MLflow at {tracking_uri} does not answer (TimeoutError)."


def test_too_many_live_points_are_dropped_and_come_with_the_result(tracking_uri, results, invocation_of, monkeypatch):
    slow, experiment = threading.Event(), View.experiment

    def waiting(*arguments):
        slow.wait(20)
        return experiment(*arguments)

    monkeypatch.setattr("crossarch.platform.store.tracking._POINTS_WAITING", 2)
    monkeypatch.setattr(View, "experiment", waiting)
    result = next(iter(results.values()))
    writer = Writer(tracking_uri)
    writer.open(invocation_of(runs=slice(1)))
    wait_for(writer._events.empty)
    train(writer, result)
    assert writer._points_waiting == 2
    slow.set()
    assert writer.close(30) == 0
    assert writer._points_waiting == 0
    assert curve_of(tracking_uri, result.run_id) == [point.epoch for point in result.curve]


def test_a_failure_of_the_view_itself_reaches_nobody(tracking_uri, results, invocation_of, monkeypatch):
    monkeypatch.setattr(View, "experiment", lambda *_: 1 / 0)
    writer = Writer(tracking_uri)
    writer.open(invocation_of(runs=slice(1)))
    train(writer, next(iter(results.values())))
    assert writer.close(10) == 2
    assert "division by zero" in writer.last_error


def test_a_writer_never_opened_is_closed_at_once():
    assert Writer(DEAD).close(10) == 0
