"""Every study's smoke form, run by one command: in one Ray session, by workers that stay, and on one ledger."""

from datetime import datetime

import pytest
from plans import needed_by
from processes import Command

from crossarch.platform.scheduling.data import bound
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.catalog import STUDIES
from crossarch.trainables.config.identity import run_id

pytestmark = pytest.mark.cluster

LONGEST = 900
"""Seconds that the command may take on a machine that does much else: its start, imports and a distillation, too."""

LIMIT = 20
"""Seconds that a study may take on two workers once they are there, its report included."""

WORKERS = 2


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """What the command leaves."""
    folder = tmp_path_factory.mktemp("smokes")
    command = Command("run", *STUDIES, "--smoke", "--storage", str(folder / "results"), folder=folder)
    try:
        assert command.wait(LONGEST) == 0, command.err
    finally:
        command.end()
    return folder / "results"


@pytest.fixture(scope="module")
def results(storage):
    return Ledger(storage).read()


@pytest.fixture(scope="module")
def reported(storage, results):
    """Seconds from one study's report to the next, the first one's from the end of the last run."""
    ends = [max(datetime.fromisoformat(each.finished_at).timestamp() for each in results.values())]
    ends += [(storage / "reports" / f"{name}-smoke" / "index.html").stat().st_mtime for name in STUDIES]
    return {name: after - before for name, before, after in zip(STUDIES, ends, ends[1:], strict=False)}


def planned(name, storage):
    return tuple(bound(STUDIES[name].smoke(), storage).expand())


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_finishes_and_is_reported(storage, results, reported, name):
    """In LIMIT seconds, the runs that it shares with others counted in each."""
    runs = needed_by(planned(name, storage))
    assert len(runs) > 1
    assert {results[run_id].outcome for run_id in runs} == {"finished"}
    assert (storage / "reports" / f"{name}-smoke" / "index.html").is_file()
    trained = sum(results[run_id].device_seconds for run_id in runs) / WORKERS
    assert trained + reported[name] < LIMIT, f"runs {trained:.1f} s, report {reported[name]:.1f} s"


def test_all_together_keep_to_that_limit(results, reported):
    """By the clock, from the first run's start to the last report."""
    begun = min(datetime.fromisoformat(each.started_at) for each in results.values())
    ended = max(datetime.fromisoformat(each.finished_at) for each in results.values())
    assert (ended - begun).total_seconds() + sum(reported.values()) < LIMIT * len(STUDIES)


def test_resnet18_teaches_resnet50(storage, results):
    """The one study whose teacher is no ConvNet."""
    runs = {(plan.arm, plan.cell[-1]): results[run_id(plan.config)] for plan in planned("figure7", storage)}
    student = runs["full_resnet18", "ResNet50"]
    teacher = results[run_id(student.config.kd.teacher)]
    assert teacher.config.model.architecture == "resnet18"
    assert student.teacher_sha256 == teacher.weights_sha256 is not None
    assert (storage / "reports" / "figure7-smoke" / "chart.csv").is_file()


def test_a_run_that_studies_share_is_trained_once(storage, results):
    """Every run of Table 7 is one of Table 2: it is in both ledgers of runs, and was written once."""
    shared, whole = ({run_id(plan.config) for plan in planned(name, storage)} for name in ("table7", "table2"))
    assert shared <= whole
    assert shared <= {name for each in Ledger(storage).invocations("table7-smoke") for name in each.runs}
    assert set(results) == {name for each in Ledger(storage).invocations() for name in each.runs}
