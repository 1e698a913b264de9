"""All at once: nodes with tokens, a submitted job, a node lost, MLflow on PostgreSQL, results on S3; each run once."""

import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from clusters import PATIENCE, RayCluster
from postgres import Postgres, mlflow_server, why_not
from processes import MAIN, alive, descendants, in_training, wait_for
from shown import assert_level

from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.storage import open_storage
from crossarch.platform.store.tracking import connect

REASON = why_not()

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
    # MLflow 3.17 with SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]

RUNS, STUDY, BUCKET = 12, "quickstart-smoke", "whole-cluster"


@pytest.fixture
def place(s3):
    """Storage on S3; whatever is started after this has the credentials in its environment."""
    return f"{s3.bucket(BUCKET)}/study"


@pytest.fixture
def database():
    started = Postgres()
    yield started
    started.end()


@pytest.fixture
def tracking(database, tmp_path):
    with mlflow_server(database, tmp_path / "mlflow") as address:
        yield address


@pytest.fixture
def cluster(place, tmp_path):
    """A head that trains nothing, and two nodes."""
    started = RayCluster(tmp_path / "cluster", cpus=0)
    try:
        started.add()
        started.add()
        yield started
    finally:
        started.end()


@pytest.fixture
def job(cluster, place, tracking):
    run = (sys.executable, "-c", MAIN, "run", "quickstart", "--smoke")
    submitted = cluster.submit(*run, "--storage", place, "--tracking", tracking)
    yield submitted
    submitted.end()


def rows(s3):
    """How often each run is in the ledger."""
    keys = [re.search(r"ledger/runs/([^~]+)~[^/]*\.parquet$", key) for key in s3.objects(BUCKET)]
    return Counter(found[1] for found in keys if found)


def lose_a_node_that_trains(cluster, job, s3):
    """Kills a node once a run is recorded, while another is trained there: how many were there, and its processes."""
    lost = cluster.nodes[2]

    def trains():
        assert job.process.poll() is None, job.out + job.err
        return in_training(descendants(lost.process.pid)) and rows(s3)

    before = wait_for(trains, 2 * PATIENCE)
    return len(before), cluster.kill(lost)


def test_a_study_survives_the_loss_of_a_node_and_is_complete_everywhere(
    cluster, job, place, tracking, database, s3, tmp_path, crossarch, monkeypatch
):
    before, victims = lose_a_node_that_trains(cluster, job, s3)
    assert before < RUNS, "there was nothing left to lose"
    assert job.wait(2 * PATIENCE) == 0, job.out + job.err
    assert f"{RUNS} planned: {RUNS} finished" in job.out
    assert not any(map(alive, victims)), "the node has come back"
    assert "not level" not in job.out
    assert f"Report: {place}/reports/{STUDY}/index.html" in job.out

    assert (len(rows(s3)), set(rows(s3).values())) == (RUNS, {1})
    for number in range(1, RUNS + 1):
        assert job.out.count(f"{number:>4}/{RUNS}  finished") == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    storage = open_storage(place)
    recorded = Ledger(storage).read()
    assert {result.outcome for result in recorded.values()} == {"finished"}
    assert len(Ledger(storage).invocations(STUDY)) == 1

    assert_level(storage, STUDY, tracking)
    client = connect(tracking)
    experiment = client.get_experiment_by_name(STUDY)
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    shown = Path(client.download_artifacts(parent.info.run_id, "report/index.html", str(tmp_path)))
    stored = s3.folder / BUCKET / "study" / "reports" / STUDY / "index.html"
    assert shown.read_bytes() == stored.read_bytes()
    for complaint in ("deadlock", "could not serialize", "connection slots"):
        assert complaint not in database.log()

    told = crossarch("report", "quickstart", "--smoke", "--storage", place, "--tracking", tracking)
    assert (told.status, told.err) == (0, "")
    assert f"{RUNS} planned: {RUNS} finished" in told.out

    written = [path for folder in (tmp_path, s3.folder, cluster.sessions) for path in folder.rglob("*")]
    written = [path for path in written if path.is_file() and path != Path(cluster.environment["RAY_AUTH_TOKEN_PATH"])]
    assert len(written) > 100, "too few to have looked everywhere"
    for name, secret in (("S3", s3.secret), ("PostgreSQL", database.password)):
        lines = [(path, line) for path in written for line in path.read_bytes().split(b"\n") if secret.encode() in line]
        assert not [(path, line.replace(secret.encode(), name.encode())[-2000:]) for path, line in lines]
