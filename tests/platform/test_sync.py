import shutil
import subprocess
import sys

import pytest
from plans import needed_by
from small import SMALL

from crossarch.platform.store.invocations import begin
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import TrackingError, connect, sync_study
from crossarch.trainables.config.result import Point, RunResult

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")

DEAD = "http://127.0.0.1:9"

CONFIGS = {name: run.config for name, run in needed_by(SMALL.expand((0,))).items()}
"""Three cells and a teacher."""


def finished(config, accuracy=50.0):
    curve = tuple(Point(epoch=n, train_loss=2 / n, learning_rate=1e-3, keep_rate=1.0) for n in (1, config.epochs))
    return RunResult(config=config, outcome="finished", test_accuracy=accuracy, test_loss=1.0, curve=curve)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A storage with all but the last run, and MLflow level with it. Its tests go on from each other's states."""
    folder = tmp_path_factory.mktemp("sync")
    ledger = Ledger(folder)
    ledger.write_invocation(begin(SMALL, SMALL.expand((0,)), "crossarch run small"))
    for config in list(CONFIGS.values())[:-1]:
        ledger.write(finished(config))
    assert level(folder) == 1 + 3
    return folder


def level(folder, tracking=None, *, study="small", anyway=False):
    return sync_study(Ledger(folder), folder, study, tracking or default_tracking_uri(folder), anyway=anyway)


def shown(folder):
    """What MLflow shows of each run: status, metrics and curves."""
    client = connect(default_tracking_uri(folder))
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    seen = {run.data.tags.get("crossarch.run_id", "invocation"): run for run in runs}
    assert len(seen) == len(runs), "something is doubled"
    return {
        name: (run.info.status, run.data.params, run.data.metrics, losses(client, run)) for name, run in seen.items()
    }


def losses(client, run):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "train_loss")]


def test_a_study_that_is_level_is_not_even_looked_at(root, monkeypatch):
    def no_mlflow(uri):
        raise AssertionError("MLflow is asked")

    monkeypatch.setattr("crossarch.platform.store.tracking.connect", no_mlflow)
    assert level(root) == 0


def test_it_is_looked_at_anyway_where_that_is_asked(root):
    assert level(root, anyway=True) == 0


def test_a_study_that_never_ran_has_nothing_to_show(root):
    assert level(root, DEAD, study="table2") == 0


def test_what_the_ledger_got_since_is_shown(root):
    last = list(CONFIGS)[-1]
    assert last not in shown(root)
    assert shown(root)["invocation"][0] == "KILLED", "a run is missing"
    Ledger(root).write(finished(CONFIGS[last], accuracy=75.0))
    assert level(root) == 2
    assert shown(root)[last][2]["test_accuracy"] == 75.0
    assert shown(root)["invocation"][0] == "FINISHED"
    assert level(root) == 0


def test_from_nothing_everything_is_rebuilt(root, tmp_path):
    before = shown(root)
    assert set(before) == {*CONFIGS, "invocation"}
    shutil.copytree(root / "ledger", tmp_path / "ledger")
    assert level(tmp_path) == len(before)
    assert shown(tmp_path) == before
    assert level(tmp_path) == 0


def test_the_command_rebuilds_a_database_that_was_deleted(root, tmp_path):
    """In a process of its own, as MLflow keeps a database open that was once used."""
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    (tmp_path / "mlflow.db").unlink()
    command = [
        sys.executable,
        "-c",
        "from crossarch.platform.cli.main import main; main()",
        "sync",
        "--storage",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "small: 5 runs brought level\n", "")
    assert shown(tmp_path) == shown(root)


def test_the_command_says_what_is_level(root, crossarch):
    assert crossarch("sync", "--storage", root) == (0, "small: level\n", "")


def test_a_dead_server_is_a_sentence_and_costs_nothing(root, crossarch):
    before = Ledger(root).read()
    answer = crossarch("sync", "--storage", root, "--tracking", DEAD)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == f"crossarch: MLflow at {DEAD} does not answer (Connection refused).\n"
    assert Ledger(root).read() == before
    with pytest.raises(TrackingError):
        level(root, DEAD)
    assert level(root) == 0, "of the other server it is still known"


@pytest.mark.parametrize("uri", ["nonsense://x", "sqlite:////proc/x/mlflow.db", "file:///tmp/mlruns"])
def test_a_server_that_there_cannot_be_is_a_sentence_too(root, crossarch, uri):
    answer = crossarch("sync", "--storage", root, "--tracking", uri)
    assert (answer.status, answer.out) == (1, "")
    (line,) = answer.err.splitlines()
    assert line.startswith("crossarch: MLflow at ")
