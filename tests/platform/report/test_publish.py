"""The report's files: written once, left alone, and never in the way of a run."""

import pytest
from made_up import with_curves

from crossarch.platform.commands.publish import publish, write_report
from crossarch.platform.store.invocations import begin
from crossarch.platform.store.ledger import Ledger
from crossarch.platform.store.level import default_tracking_uri
from crossarch.platform.store.tracking import TrackingError


@pytest.fixture
def root(results, tmp_path):
    ledger = Ledger(tmp_path)
    for result in with_curves(results).values():
        ledger.write(result)
    return tmp_path


def test_an_unchanged_report_is_not_written_again(study, root):
    folder = root / "out"
    written = write_report(study, study.seeds, root, folder)
    assert {path.name for path in written} == {path.name for path in folder.iterdir()}
    assert write_report(study, study.seeds, root, folder) == []
    (folder / "verdict.csv").unlink()
    assert write_report(study, study.seeds, root, folder, anew=False) == [], "looked at the page alone"
    assert [path.name for path in write_report(study, study.seeds, root, folder)] == ["verdict.csv"]


def test_a_new_result_makes_a_new_page(study, root, make_results):
    folder = root / "out"
    write_report(study, study.seeds, root, folder)
    for result in make_results(study, {("full", "ResNet18"): [85.5, 99.9, 99.8]}).values():
        Ledger(root).write(result)
    assert "index.html" in [path.name for path in write_report(study, study.seeds, root, folder, anew=False)]
    assert "99.9" in (folder / "runs.csv").read_text()


def test_it_says_where_the_page_is_and_makes_no_store_for_mlflow(study, root):
    told = publish(study, study.seeds, root, default_tracking_uri(root))
    assert told == [f"Report: {root / 'reports' / 'small' / 'index.html'}"]
    assert not (root / "mlflow.db").exists()


def test_what_fails_is_told_in_a_line(study, root, monkeypatch):
    (root / "file").touch()
    (line,) = publish(study, study.seeds, root, "", folder=root / "file")
    assert line.startswith(f"The report cannot be written to {str(root / 'file')!r}: ")

    def refuse(*arguments):
        raise TrackingError("MLflow at x does not answer.")

    monkeypatch.setattr("crossarch.platform.commands.publish.attach", refuse)
    told = publish(study, study.seeds, root, "x")
    assert told[1:] == ["The report is not attached in MLflow: MLflow at x does not answer."]


def test_the_page_tells_the_command_without_this_machines_paths(study, root):
    Ledger(root).write_invocation(begin(study, (), "crossarch run small --storage /home/me"))
    write_report(study, study.seeds, root, root / "out")
    page = (root / "out" / "index.html").read_text()
    assert "crossarch run small" in page
    assert "/home/me" not in page
