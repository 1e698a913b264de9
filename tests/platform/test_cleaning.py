import pytest
from settings import PLAIN, STUDENT, TEACHER

from crossarch.platform.store.cleaning import clean_storage
from crossarch.platform.store.ledger import Ledger
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult


def put(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


@pytest.fixture
def record(tmp_path):
    def make(config, outcome):
        accuracy = 50.0 if outcome == "finished" else None
        Ledger(tmp_path).write(RunResult(config=config, outcome=outcome, test_accuracy=accuracy))

    return make


def checkpoint(root, config, size=100):
    return put(root / "checkpoints" / run_id(config) / "00000010.pt", size)


@pytest.mark.parametrize("outcome", ["finished", "diverged"])
def test_checkpoints_of_runs_with_a_result_go(tmp_path, record, outcome):
    record(PLAIN, outcome)
    path = checkpoint(tmp_path, PLAIN)
    assert clean_storage(tmp_path, weights=False) == 100
    assert not path.parent.exists()


@pytest.mark.parametrize("outcome", ["failed", "blocked"])
def test_checkpoints_of_runs_to_be_tried_again_stay(tmp_path, record, outcome):
    record(PLAIN, outcome)
    paths = [checkpoint(tmp_path, PLAIN), checkpoint(tmp_path, STUDENT)]
    assert clean_storage(tmp_path, weights=False) == 0
    assert all(path.exists() for path in paths)


def test_what_killed_drivers_and_writers_left_goes(tmp_path, record):
    record(PLAIN, "finished")
    leftovers = [
        put(tmp_path / "ray" / "20261121T080000000000Z-abcdef" / "trial" / "result.json", 10),
        put(tmp_path / "weights" / ".x.pt.0123.partial", 20),
        put(tmp_path / "checkpoints" / run_id(STUDENT) / ".00000020.pt.0123.partial", 40),
    ]
    unfinished = checkpoint(tmp_path, STUDENT)
    half = put(tmp_path / "ledger" / "runs" / ".x.parquet.0123.partial", 5)
    assert clean_storage(tmp_path, weights=False) == 70
    assert not any(path.exists() for path in (*leftovers, half, tmp_path / "ray"))
    assert unfinished.exists()


def test_weights_go_only_where_it_is_said(tmp_path, record):
    record(TEACHER, "finished")
    weights = put(tmp_path / "weights" / f"{run_id(TEACHER)}.pt", 30)
    assert clean_storage(tmp_path, weights=False) == 0
    assert weights.exists()
    assert clean_storage(tmp_path, weights=True) == 30
    assert not weights.exists()


def test_the_records_stay(tmp_path, record, listing):
    record(PLAIN, "finished")
    record(STUDENT, "failed")
    put(tmp_path / "mlflow.db", 7)
    put(tmp_path / "mlflow-artifacts" / "quickstart" / "x", 7)
    put(tmp_path / "ledger" / "level" / "0123", 7)
    before, results = listing(tmp_path), Ledger(tmp_path).read()
    assert clean_storage(tmp_path, weights=True) == 0
    assert listing(tmp_path) == before
    assert Ledger(tmp_path).read() == results


def test_cleaning_twice_frees_nothing_more(tmp_path, record):
    record(PLAIN, "finished")
    checkpoint(tmp_path, PLAIN)
    assert clean_storage(tmp_path, weights=True) == 100
    assert clean_storage(tmp_path, weights=True) == 0


def test_nothing_is_made_where_there_is_nothing(tmp_path):
    assert clean_storage(tmp_path / "storage", weights=True) == 0
    assert list(tmp_path.iterdir()) == []
