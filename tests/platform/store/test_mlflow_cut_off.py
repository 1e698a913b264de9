"""Whatever request MLflow does not answer, a run that is level afterwards is complete."""

import pytest

from crossarch.platform.store.tracking import TrackingError, View, connect

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")

REQUESTS = ("create_run", "log_batch", "set_terminated")


def shown(tracking_uri, run_id):
    client = connect(tracking_uri)
    experiment = client.get_experiment_by_name("quickstart")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`crossarch.run_id` = '{run_id}'")
    return run.info.status, run.info.end_time, run.data.params, run.data.metrics, set(run.data.tags)


def level_but(request, arrives, level, monkeypatch):
    """Levels, and loses the first of these requests that is about a run, or its answer where it `arrives`."""
    from mlflow import MlflowClient

    original, lost = getattr(MlflowClient, request), []

    def losing(client, subject, *arguments, **options):
        tags = options["tags"] if request == "create_run" else client.get_run(subject).data.tags
        if "crossarch.run_id" not in tags or lost:
            return original(client, subject, *arguments, **options)
        lost.append(subject)
        if arrives:
            original(client, subject, *arguments, **options)
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, request, losing)
        try:
            level()
        except TrackingError:
            assert lost
        else:
            assert not lost


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("outcome", ["finished", "failed", "blocked"])
def test_a_run_is_not_level_before_it_is_complete(
    tracking_uri, configs, result_of, invocation_of, monkeypatch, outcome, arrives
):
    """Cut off twice in any two places, and in between taken for interrupted: the end is as if nothing had happened."""
    for number, (first, second) in enumerate([(one, two) for one in REQUESTS for two in REQUESTS]):
        result, view = result_of(configs[0], outcome=outcome), View(tracking_uri)
        invocation = invocation_of(runs=slice(1))

        def level(results, view=view, invocation=invocation):
            return view.sync("quickstart", "why", [invocation], results)

        known = {result.run_id: result}
        if number == 0:
            level(known)
            expected = shown(tracking_uri, result.run_id)
        client = connect(tracking_uri)
        for run in client.search_runs([client.get_experiment_by_name("quickstart").experiment_id]):
            client.delete_run(run.info.run_id)
        level_but(first, arrives, lambda known=known, level=level: level(known), monkeypatch)
        level({})
        level_but(second, arrives, lambda known=known, level=level: level(known), monkeypatch)
        level(known)
        assert shown(tracking_uri, result.run_id) == expected, (first, second)
        assert level(known) == 0


def test_sqlite_is_told_its_settings_once_a_connection(tracking_uri, configs, result_of, invocation_of, by_id):
    from sqlalchemy import Engine, event

    opened = []

    def watch(connection, record):
        told = []
        connection.set_trace_callback(told.append)
        opened.append((connection, told))

    event.listen(Engine, "connect", watch)
    try:
        results = by_id(*(result_of(config) for config in configs))
        View(tracking_uri).sync("quickstart", "why", [invocation_of()], results)
    finally:
        event.remove(Engine, "connect", watch)
    assert opened
    for connection, told in opened:
        assert sum("foreign_keys" in statement for statement in told) == 1
        assert connection.execute("PRAGMA foreign_keys").fetchall() == [(1,)], "it holds"
