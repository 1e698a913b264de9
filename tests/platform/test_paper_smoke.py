"""Every study's smoke form is run by its command, offline: all in one Ray session, and on one ledger."""

import pytest
from clusters import RayCluster
from processes import Command

from crossarch.platform.record.ledger import Ledger
from crossarch.platform.run.data import bound
from crossarch.search_spaces.catalog import STUDIES
from crossarch.trainables.identity import run_id

pytestmark = pytest.mark.cluster

LONGEST = 600
"""Seconds that a smoke may take on a machine that does much else."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the smoke form of a study; what the ledger then holds of it, by arm and cell."""
    folder = tmp_path_factory.mktemp("smokes")
    cluster, storage = RayCluster(folder / "ray", cpus=2), folder / "results"

    def smoke(name):
        place = ("--address", cluster.address, "--storage", str(storage))
        command = Command("run", name, "--smoke", *place, folder=folder, environment=cluster.environment)
        try:
            assert command.wait(LONGEST) == 0, command.err
        finally:
            command.end()
        results = Ledger(storage).read()
        plans = bound(STUDIES[name].smoke(), storage).expand()
        return {(plan.arm, *plan.cell): results[run_id(plan.config)] for plan in plans}, storage

    yield smoke
    cluster.end()


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_finishes_and_is_reported(run, name):
    results, storage = run(name)
    assert {each.outcome for each in results.values()} == {"finished"}
    assert len(results) > 1
    assert (storage / "reports" / f"{name}-smoke" / "index.html").is_file()


def test_resnet18_teaches_resnet50(run):
    """The one study whose teacher is no ConvNet."""
    results, storage = run("figure7")
    (student,) = (each for place, each in results.items() if (place[0], place[-1]) == ("full_resnet18", "ResNet50"))
    teacher = Ledger(storage).read()[run_id(student.config.kd.teacher)]
    assert teacher.config.model.architecture == "resnet18"
    assert student.teacher_sha256 == teacher.weights_sha256 is not None
    assert (storage / "reports" / "figure7-smoke" / "chart.csv").is_file()
