"""`ray job submit` to a cluster with tokens, on the loopback interface: what the README's section says, done."""

import sys

import pytest
from clusters import PATIENCE, RayCluster
from processes import MAIN, Command

from crossarch.platform.store.ledger import Ledger

pytestmark = [
    pytest.mark.cluster,
    # MLflow 3.17 with SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]

RUN = (sys.executable, "-c", MAIN, "run", "quickstart", "--smoke")

RUNS = 12


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head and a node more."""
    started = RayCluster(tmp_path_factory.mktemp("cluster"))
    try:
        started.add()
        yield started
    finally:
        started.end()


@pytest.fixture(scope="module")
def submitted(cluster):
    """A job that has run quickstart's smoke form, into a folder that all nodes see."""
    job = cluster.submit(*RUN, "--storage", cluster.folder / "storage")
    try:
        assert job.wait(2 * PATIENCE) == 0, job.out + job.err
        yield job
    finally:
        job.end()


@pytest.fixture(scope="module")
def recorded(submitted, cluster):
    return Ledger(cluster.folder / "storage").read()


def test_its_logs_are_followed_to_the_table(submitted):
    assert f"{RUNS}/{RUNS}  finished" in submitted.out
    assert f"{RUNS} planned: {RUNS} finished" in submitted.out
    assert "succeeded" in submitted.out + submitted.err


def test_the_run_attaches_to_the_cluster_that_it_runs_in(submitted, cluster):
    """A cluster of its own would have been a second session of Ray's, with a GCS server of its own."""
    drivers = [job for job in cluster.ask("/api/jobs/") if job["type"] == "SUBMISSION"]
    assert [job["status"] for job in drivers] == ["SUCCEEDED"]
    assert drivers[0]["driver_info"]["id"], "the job's driver is one of this cluster's"
    (session,) = [path for path in (cluster.sessions / "0").glob("session_*") if path.name != "session_latest"]
    assert (session / "runtime_resources" / "working_dir_files").is_dir()


def test_the_ledger_is_complete_and_can_be_fetched(recorded, cluster):
    import crossarch

    assert {result.outcome for result in recorded.values()} == {"finished"}
    assert len(recorded) == RUNS
    assert len(crossarch.load_results("quickstart-smoke", storage=cluster.folder / "storage")) == RUNS


def test_the_report_is_made_where_the_storage_is_seen(recorded, cluster):
    storage = cluster.folder / "storage"
    report = Command("report", "quickstart", "--smoke", "--storage", storage, folder=cluster.folder / "here")
    try:
        assert report.wait(PATIENCE) == 0, report.err
        assert f"{RUNS} planned: {RUNS} finished" in report.out
    finally:
        report.end()


def test_the_same_command_again_trains_nothing(recorded, cluster):
    again = cluster.submit(*RUN, "--storage", cluster.folder / "storage")
    try:
        assert again.wait(PATIENCE) == 0, again.out + again.err
        assert f"1/{RUNS}  finished" not in again.out
    finally:
        again.end()
    assert Ledger(cluster.folder / "storage").read() == recorded


def test_who_lacks_the_token_is_refused(cluster):
    strangers = {name: value for name, value in cluster.environment.items() if "AUTH" not in name}
    for own, refusal in (
        ({"RAY_AUTH_MODE": "disabled"}, "no authentication token was found"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}, "the authentication token is invalid or incorrect"),
    ):
        job = cluster.submit("true", environment=strangers | own)
        try:
            assert job.wait(PATIENCE) != 0
            assert refusal in job.err
        finally:
            job.end()
    assert "true" not in [job["entrypoint"] for job in cluster.ask("/api/jobs/")]


def test_results_that_would_vanish_with_the_job_are_refused(cluster):
    job = cluster.submit(*RUN)
    try:
        assert job.wait(PATIENCE) != 0
        assert "lies in the job's working directory, which Ray removes" in job.out
    finally:
        job.end()
