"""What MLflow's menu `Views` offers of a study: the columns and axes that tell its runs apart."""

import json

import pytest

from crossarch.platform.store.tracking import (
    MOST,
    QUERY,
    VIEW_TAG,
    TrackingError,
    View,
    connect,
    pages,
    params,
    saved_view,
    varying,
)

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")


def run(arm, network, **settings):
    return {"arm": arm, "model.architecture": network, "batch_size": "10"} | settings


def test_settings_that_arm_and_network_settle_are_no_axes():
    runs = [
        run("baseline", "convnet", epochs="20"),
        run("full", "resnet18", epochs="80", **{"model.shortcut": "improved", "kd.teacher": "a"}),
        run("full", "vgg11", epochs="80", **{"kd.teacher": "b"}),
    ]
    assert varying(runs) == ["arm", "model.architecture"]


def test_settings_that_a_study_sweeps_are_axes_and_seeds_the_last():
    runs = [
        run("full", "resnet18", seed=seed, **{"kd.alpha": alpha, "kd.teacher": f"{alpha}-{seed}"})
        for seed in "012"
        for alpha in ("0.5", "0.8")
    ]
    assert varying(runs) == ["arm", "model.architecture", "kd.alpha", "seed"]
    without = [run("full", "resnet18"), run("full", "resnet18", **{"data.distilled": "x"})]
    assert varying(without) == ["arm", "model.architecture", "data.distilled"], "absent is a value, too"


def test_a_view_stays_within_a_tags_length():
    runs = [{**run("full", "convnet", seed=seed), **{f"{'long' * 10}.{n}": seed for n in range(200)}} for seed in "01"]
    assert len(varying(runs)) == MOST
    assert len(saved_view(runs, 1795247400000)) <= 5000


def test_a_study_without_results_has_a_view():
    assert varying([]) == ["arm", "model.architecture"]


@pytest.mark.parametrize("there", [True, False])
def test_a_view_that_another_process_saves_at_the_same_time_stands(there, tracking_uri, invocation_of, monkeypatch):
    """Of two that write a new tag at once PostgreSQL refuses one."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    save = MlflowClient.set_experiment_tag

    def refused(client, experiment, key, value):
        if there:
            save(client, experiment, key, "of the other")
        raise MlflowException("duplicate key")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refused)
    if not there:
        with pytest.raises(TrackingError, match="duplicate key"):
            View(tracking_uri).sync("quickstart", "?", [invocation_of()], {})
        return
    View(tracking_uri).sync("quickstart", "?", [invocation_of()], {})
    assert connect(tracking_uri).get_experiment_by_name("quickstart").tags[VIEW_TAG] == "of the other"


def test_levelling_saves_the_view_and_tells_its_address(tracking_uri, configs, result_of, invocation_of, by_id):
    results, invocation = by_id(*(result_of(config) for config in configs)), invocation_of()
    assert pages(tracking_uri) == {}
    view = View(tracking_uri)
    view.sync("quickstart", "?", [invocation], results)
    experiment = connect(tracking_uri).get_experiment_by_name("quickstart")
    shown = json.loads(experiment.tags[VIEW_TAG])
    assert (shown["name"], shown["createdAt"]) == ("Results", 1795244400000)
    columns = json.loads(shown["state"])["selectedColumns"]
    logged = params(configs[0], next(iter(invocation.cells)), invocation)
    assert {name[8:-1] for name in columns if name.startswith("params.")} <= set(logged)
    assert pages(tracking_uri) == {"quickstart": f"/#/experiments/{experiment.experiment_id}/runs?{QUERY}"}
    assert view.sync("quickstart", "?", [invocation], results) == 0


def test_a_server_that_does_not_answer_is_told(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="does not answer"):
        pages("http://127.0.0.1:9")
