"""What `crossarch bench platform` times is the platform at work, complete, and nothing is trained."""

import json
from pathlib import Path

import pytest
from processes import Command
from rich.console import Console

from crossarch.platform.commands import platform_cost as bench
from crossarch.platform.scheduling.runner import run_study
from crossarch.platform.scheduling.untrained import made_up_study, untrained
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.tracking import sync_study

PATIENCE = 300
"""Seconds for the command; it took 80 on two busy cores."""


def test_a_made_up_study_has_as_many_different_runs_as_asked() -> None:
    assert len({untrained(plan.config).run_id for plan in made_up_study(7).expand()}) == 7


def test_a_finished_study_is_complete_and_level(tmp_path: Path) -> None:
    """Running it again finds all done, starts no Ray, and has nothing to tell MLflow."""
    study = made_up_study(5)
    site, plan = bench.finished_study(study, tmp_path)

    assert {result.outcome for result in Ledger(tmp_path).read().values()} == {"finished"}
    assert len(plan.runs) == len(plan.results) == 5
    assert not plan.todo
    assert sync_study(Ledger(tmp_path), tmp_path, study.name, site.tracking) == 0
    assert run_study(study, study.seeds, site, Console(quiet=True)).exit_status == 0
    assert (tmp_path / "mlflow.db").stat().st_size == 0


def test_a_stopwatch_passes_events_on_and_adds_their_time_up() -> None:
    heard: list[object] = []

    class Listening:
        def done(self, *given: object) -> None:
            heard.extend(given)

    watch = bench.Stopwatch(Listening())  # type: ignore[arg-type]
    watch.done("run", "result")
    first = watch.seconds
    watch.done("run", "result")

    assert heard == ["run", "result"] * 2
    assert 0 < first < watch.seconds


@pytest.mark.cluster
def test_runs_that_train_nothing_all_arrive(tmp_path: Path) -> None:
    file = tmp_path / "platform.json"
    command = Command(
        "bench", "platform", "--runs", 4, "--cohorts", "1,2", "--reported", 6, "--out", file, folder=tmp_path
    )
    try:
        assert command.wait(PATIENCE) == 0, command.err
    finally:
        command.end()
    document = json.loads(file.read_text())
    assert document["not_finished"] == 0
    assert [(each["cohort"], each["lost"]) for each in document["cohorts"]] == [(1, 0), (2, 0)]
    assert all(each[name] > 0 for each in document["cohorts"] for name in ("ms_whole", "ms_ledger"))
    assert all(document[name] > 0 for name in ("report_seconds", "run_again_cpu_seconds"))
