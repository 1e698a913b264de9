"""MLflow as a team has it: a server on PostgreSQL that keeps the artifacts, too, and several drivers at once."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from postgres import MLFLOW_PATIENCE, Postgres, mlflow_server, why_not

from crossarch.platform.store.invocations import Invocation
from crossarch.platform.store.tracking import View, Writer, attach, connect
from crossarch.trainables.config.result import RunResult

REASON = why_not()

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    # MLflow 3.17 with SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture(scope="module")
def database():
    started = Postgres()
    yield started
    started.end()


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    """The address of `mlflow server --serve-artifacts`."""
    with mlflow_server(database, tmp_path_factory.mktemp("mlflow")) as address:
        yield address


def drive(address: str, invocation: Invocation, results: list[RunResult]) -> tuple[int, str | None]:
    """One driver, which shows its runs live: how many are not level in the end, and what failed."""
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "60"  # of a machine that is busy
    writer = Writer(address)
    writer.open(invocation)
    for result in results:
        writer.running(result.run_id, result.config)
        for point in result.curve:
            writer.point(result.run_id, point)
        writer.done(result)
    return writer.close(MLFLOW_PATIENCE), writer.last_error


@pytest.fixture
def parts(configs, result_of, invocation_of):
    """Two drivers on one study, each with runs of its own, and others on a study of their own."""
    half = len(configs) // 2
    shares = [("common", slice(half)), ("common", slice(half, None)), ("second", slice(None)), ("third", slice(None))]
    return [
        (invocation_of(hour, study=study, runs=share), [result_of(config) for config in configs[share]])
        for hour, (study, share) in enumerate(shares, start=7)
    ]


def test_several_drivers_at_once_lock_nobody_out(server, database, parts, configs):
    with ProcessPoolExecutor(len(parts), mp_context=multiprocessing.get_context("spawn")) as drivers:
        started = [drivers.submit(drive, server, *each) for each in parts]
        assert [each.result(MLFLOW_PATIENCE) for each in started] == [(0, None)] * len(parts)
    for complaint in ("deadlock", "could not serialize", "connection slots"):
        assert complaint not in database.log()
    client = connect(server)
    for study, parents in (("common", 2), ("second", 1), ("third", 1)):
        experiment = client.get_experiment_by_name(study)
        shown = client.search_runs([experiment.experiment_id])
        assert [run.info.status for run in shown] == ["FINISHED"] * (len(configs) + parents)
        assert len({run.data.tags.get("crossarch.run_id") for run in shown}) == len(configs) + 1, "each once"
    assert database.count("SELECT count(*) FROM experiments WHERE name IN ('common', 'second', 'third')") == 3


def test_the_server_keeps_the_pages_of_the_report(server, invocation_of, by_id, configs, result_of, tmp_path):
    invocation = invocation_of(runs=slice(1))
    View(server).sync(invocation.study, "Does it close the gap?", [invocation], by_id(result_of(configs[0])))
    page = tmp_path / "index.html"
    page.write_text("<title>crossarch</title>")
    assert attach([invocation], tmp_path, server, page)
    client = connect(server)
    experiment = client.get_experiment_by_name(invocation.study)
    assert experiment.artifact_location.startswith("mlflow-artifacts:"), "through the server, not a folder of its own"
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.`crossarch.invocation` = '{invocation.id}'")[-1:]
    fetched = client.download_artifacts(parent.info.run_id, "report/index.html", str(tmp_path / "fetched"))
    assert Path(fetched).read_text() == page.read_text()
