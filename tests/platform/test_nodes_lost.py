"""A study on several nodes, of which one is killed on the way: every run is in the ledger, once; what it needs."""

import urllib.request

import pytest
from clusters import PATIENCE, RayCluster
from plans import needed_by
from processes import Command, descendants, in_training, wait_for
from small import MAIN, SMALL

from crossarch.platform.store.ledger import Ledger

pytestmark = [
    pytest.mark.cluster,
    # MLflow 3.17 with SQLAlchemy 2.1
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]

SEEDS = 4


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head that trains nothing, and two nodes, one with something that only it has."""
    started = RayCluster(tmp_path_factory.mktemp("cluster"), cpus=0)
    try:
        started.add(labels="zone=a")
        started.add(labels="zone=b")
        yield started
    finally:
        started.end()


@pytest.fixture
def run(cluster):
    """`crossarch run small --smoke` on the cluster."""
    begun = []

    def start(*arguments):
        common = ("run", "small", "--smoke", "--address", cluster.address, "--storage", cluster.folder / "storage")
        environment = cluster.environment
        begun.append(Command(*common, *arguments, folder=cluster.folder / "d", code=MAIN, environment=environment))
        return begun[-1]

    yield start
    for command in begun:
        command.end()


@pytest.mark.parametrize(
    ("arguments", "needs", "has"),
    [
        (("--gpus-per-run", "0.25"), "1 CPU, 0.25 GPU", "1 x (0 CPU, 0 GPU); 2 x (1 CPU, 0 GPU)"),
        (
            ("--labels", "zone=c"),
            "1 CPU, label zone = c",
            "1 x (0 CPU, label zone = none); 1 x (1 CPU, label zone = a); 1 x (1 CPU, label zone = b)",
        ),
    ],
)
def test_what_no_node_can_give_is_told_at_once(run, cluster, arguments, needs, has):
    command = run(*arguments)
    assert command.wait(PATIENCE) == 1
    told = f"no node of the cluster can train a run: a run needs {needs}, and the nodes have "
    assert command.err.startswith(f"crossarch: {told}")
    assert sorted(command.err.strip().removeprefix(f"crossarch: {told}").split("; ")) == sorted(has.split("; "))
    assert not Ledger(cluster.folder / "storage").read()


def scrape(cluster):
    """What the head's metrics port says of our metrics; the driver is connected to the head."""
    with urllib.request.urlopen(f"http://127.0.0.2:{cluster.metrics_port}/metrics", timeout=10) as answer:
        return [line for line in answer.read().decode().splitlines() if line.startswith("ray_crossarch_")]


def test_a_node_is_killed_and_every_run_is_there_once(run, cluster):
    storage = cluster.folder / "storage"
    command = run("--seeds", SEEDS, "--labels", "zone=in(a,b)")
    planned = needed_by(SMALL.smoke().expand(range(SEEDS)))

    lost = cluster.nodes[2]

    def one_is_done_and_it_trains():
        assert command.process.poll() is None, command.out + command.err
        return "  finished  " in command.out and in_training(descendants(lost.process.pid))

    wait_for(one_is_done_and_it_trains, 2 * PATIENCE)
    before = set(Ledger(storage).read())
    assert len(before) < len(planned), "some are left"
    cluster.kill(lost)
    lines = wait_for(lambda: scrape(cluster), PATIENCE, pause=1)
    assert any(line.startswith("ray_crossarch_runs{") and 'study="small-smoke"' in line for line in lines), lines

    assert command.wait(2 * PATIENCE) == 0, command.out + command.err
    recorded = Ledger(storage).read()
    assert set(recorded) == set(planned)
    assert {result.outcome for result in recorded.values()} == {"finished"}
    for number in range(1, len(planned) + 1):
        assert command.out.count(f"{number:>4}/{len(planned)}  finished") == 1
    assert len(list((storage / "ledger" / "runs").glob("*.parquet"))) == len(planned)
    wait_for(lambda: len(cluster.alive()) == 2, PATIENCE, pause=1)  # the dashboard lags behind
