import pytest

from crossarch.platform.store.level import default_tracking_uri, is_level, mark_level, study_digest

SERVER = "http://mlflow.example:5000"


@pytest.fixture
def digest(configs, result_of, invocation_of, by_id):
    return study_digest([invocation_of()], by_id(result_of(configs[0])))


def test_a_study_is_level_where_and_as_it_was_marked(tmp_path, digest):
    assert not is_level(tmp_path, SERVER, "quickstart", digest)
    assert list(tmp_path.iterdir()) == []
    mark_level(tmp_path, SERVER, "quickstart", digest)
    assert is_level(tmp_path, SERVER, "quickstart", digest)
    assert not is_level(tmp_path, SERVER, "table2", digest)
    assert not is_level(tmp_path, "http://other.example", "quickstart", digest)
    assert not is_level(tmp_path, SERVER, "quickstart", "another digest")


def test_a_new_password_is_not_another_server(tmp_path, digest):
    mark_level(tmp_path, "https://someone:old@mlflow.example", "quickstart", digest)
    assert is_level(tmp_path, "https://someone:new@mlflow.example", "quickstart", digest)


def test_a_lost_database_is_not_level(tmp_path, digest):
    uri = default_tracking_uri(tmp_path)
    mark_level(tmp_path, uri, "quickstart", digest)
    assert not is_level(tmp_path, uri, "quickstart", digest)
    (tmp_path / "mlflow.db").touch()
    assert is_level(tmp_path, uri, "quickstart", digest)


def test_the_digest_follows_invocations_and_outcomes(configs, result_of, invocation_of, by_id, digest):
    finished = by_id(result_of(configs[0]))
    assert study_digest([invocation_of()], finished) == digest
    others = [
        study_digest([], finished),
        study_digest([invocation_of(), invocation_of(9)], finished),
        study_digest([invocation_of()], {}),
        study_digest([invocation_of()], by_id(result_of(configs[0], outcome="failed"))),
        study_digest([invocation_of()], by_id(result_of(configs[0], at="2027-01-01T00:00:00+00:00"))),
    ]
    assert len({digest, *others}) == 6
