from datetime import UTC, datetime

import pytest
from small import SMALL

from crossarch.platform.store.invocations import begin, invocation_id
from crossarch.platform.store.ledger import Ledger


def test_invocations_come_back_exactly_and_oldest_first(tmp_path, invocation_of):
    ledger = Ledger(tmp_path)
    late, early = invocation_of(9), invocation_of(7, runs=slice(2))
    other = invocation_of(8, study="table2")
    for invocation in (late, other, early):
        ledger.write_invocation(invocation)
    assert ledger.invocations() == [early, other, late]
    assert ledger.invocations("quickstart") == [early, late]
    assert ledger.invocations("unknown") == []


def test_a_new_invocation_names_its_moment(tmp_path):
    planned = list(SMALL.expand((0,)))
    before = datetime.now(UTC)
    invocation = begin(SMALL, planned, "crossarch run small")
    assert before <= datetime.fromisoformat(invocation.started_at) <= datetime.now(UTC)
    Ledger(tmp_path).write_invocation(invocation)
    assert Ledger(tmp_path).invocations() == [invocation]
    assert (invocation.study, invocation.question) == ("small", SMALL.question)
    assert list(invocation.cells.items()) == [(run.run_id, run.coordinates) for run in planned]
    ((name, coordinates),) = invocation.teachers.items()
    (teacher,) = (run.teacher for run in planned if run.teacher)
    assert (name, coordinates) == (teacher.run_id, {"arm": "without_dp_kd", "architecture": "ConvNet"})
    assert invocation.labels == {"arm": {"baseline": "Baseline", "full": "Full", "without_dp_kd": "w/o DP & KD"}}
    assert invocation.names(name) == {"arm": "w/o DP & KD", "architecture": "ConvNet"}


def test_ids_sort_by_time_whatever_the_zone():
    times = ["2026-11-21T09:30:00+02:00", "2026-11-21T07:30:00.000001+00:00", "2026-11-21T08:00:00+00:00"]
    ids = [invocation_id(datetime.fromisoformat(time)) for time in times]
    assert ids == sorted(ids)
    assert invocation_id(datetime.fromisoformat(times[0])) != ids[0]


def test_a_truncated_invocation_is_skipped_with_a_warning(tmp_path, invocation_of):
    ledger = Ledger(tmp_path)
    ledger.write_invocation(invocation_of(7))
    ledger.write_invocation(invocation_of(8))
    (tmp_path / "ledger" / "invocations" / f"{invocation_of(7).id}.parquet").write_bytes(b"PAR1")
    with pytest.warns(UserWarning, match="cannot be read"):
        assert ledger.invocations() == [invocation_of(8)]
