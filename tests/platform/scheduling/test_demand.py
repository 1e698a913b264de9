import math
import re
from contextlib import contextmanager

import pytest

from crossarch.platform.scheduling.cluster import Cluster, ClusterError, _additions, on_demand
from crossarch.platform.scheduling.demand import Demand, Node, gpu_share, parse_labels, parse_resources, selects
from crossarch.platform.scheduling.site import Site

CPUS = Node(resources={"CPU": 4.0, "memory": 8e9}, labels={"zone": "a"})
GPUS = Node(resources={"CPU": 8.0, "GPU": 2.0}, labels={"zone": "b"})
HEAD = Node(resources={"memory": 8e9})


@pytest.mark.parametrize(
    ("nodes", "demand", "slots"),
    [
        ([CPUS], Demand(), 4),
        ([CPUS, GPUS], Demand(), 2),  # a whole GPU each where there are any: the cores of the others stay free
        ([GPUS], Demand(gpus=0.5), 4),
        ([GPUS], Demand(gpus=0.3333), 6),
        ([GPUS], Demand(gpus=0.125), 8),  # for 16 there are too few cores
        ([CPUS, GPUS], Demand(gpus=0), 12),
        ([CPUS, CPUS], Demand(resources={"memory": 4e9}), 4),
        ([CPUS, GPUS], Demand(labels={"zone": "a"}), 4),
        ([CPUS, GPUS], Demand(labels={"zone": "!a"}), 2),
        ([HEAD, CPUS], Demand(), 4),
    ],
)
def test_slots_are_what_each_node_has_room_for(nodes, demand, slots):
    assert Cluster(nodes=tuple(nodes)).serving(demand).slots == slots


def test_room_is_not_added_up_over_nodes():
    halves = tuple(Node(resources={"CPU": 0.5}) for _ in range(4))
    with pytest.raises(ClusterError, match=r"a run needs 1 CPU, and the nodes have 4 x \(0\.5 CPU\)$"):
        Cluster(nodes=halves).serving(Demand())


@pytest.mark.parametrize(
    ("demand", "told"),
    [
        (Demand(gpus=0.25), "a run needs 1 CPU, 0.25 GPU, and the nodes have 2 x (4 CPU, 0 GPU); 1 x (0 CPU, 0 GPU)"),
        (
            Demand(resources={"fast_disk": 1.0}, labels={"zone": "c"}),
            "a run needs 1 CPU, 1 fast_disk, label zone = c, and the nodes have "
            "2 x (4 CPU, 0 fast_disk, label zone = a); 1 x (0 CPU, 0 fast_disk, label zone = none)",
        ),
    ],
)
def test_what_no_node_can_give_is_refused_with_what_there_is(demand, told):
    with pytest.raises(ClusterError) as refused:
        Cluster(nodes=(CPUS, HEAD, CPUS)).serving(demand)
    assert str(refused.value) == f"no node of the cluster can train a run: {told}"


def test_a_cluster_without_nodes_is_refused():
    with pytest.raises(ClusterError, match=r"and the nodes have none$"):
        Cluster(nodes=()).serving(Demand())


def test_a_cluster_that_grows_is_waited_for_and_says_for_what():
    grown = Cluster(nodes=(HEAD,)).serving(Demand(gpus=1), grows_to=8)
    assert grown.slots == 8
    assert grown.waits_for == (
        "Waiting for the cluster to grow: a run needs 1 CPU, 1 GPU, and the nodes have 1 x (0 CPU, 0 GPU)."
    )
    assert Cluster(nodes=(GPUS,)).serving(Demand(gpus=1), grows_to=8).waits_for is None


@pytest.mark.parametrize("k", range(1, 65))
def test_a_kth_of_a_gpu_is_k_runs(k):
    """Ray counts in rounded ten-thousandths, of which k must not be more than a whole."""
    share = gpu_share(float(f"{1 / k:.4f}"))
    assert gpu_share(1 / k) == share
    assert 0.99 < k * round(share, 4) <= 1
    assert Demand(gpus=share).slots(Node(resources={"CPU": 64.0, "GPU": 1.0})) == k
    assert Demand(gpus=share).gpu_share == share


def test_without_gpus_a_run_asks_for_none():
    assert gpu_share(0.0) == 0
    assert Demand(gpus=0.0).bundle == {"CPU": 1.0}
    assert Demand().on([CPUS]).bundle == {"CPU": 1.0}
    assert Demand().on([CPUS, GPUS]).bundle == {"CPU": 1.0, "GPU": 1.0}


@pytest.mark.parametrize("value", [0.3, 0.75, 0.01, 2.0, -0.5, 1.5, math.nan, math.inf])
def test_other_shares_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^gpus_per_run = \S+ is neither 0 nor 1/k of a GPU"):
        gpu_share(value)


@pytest.mark.parametrize(
    ("selector", "value", "chosen"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", None, False),
        ("!a", "b", True),
        ("!a", "a", False),
        ("!a", None, True),
        ("in(a,b)", "b", True),
        ("in(a, b)", "b", True),
        ("in(a,b)", "c", False),
        ("!in(a,b)", "c", True),
        ("!in(a,b)", "a", False),
    ],
)
def test_labels_select_as_rays_do(selector, value, chosen):
    assert selects(selector, value) is chosen


def test_hints_are_read():
    assert parse_resources(["memory=4e9", "fast_disk = 1"]) == {"memory": 4e9, "fast_disk": 1.0}
    assert parse_labels(["zone=a", "ray.io/accelerator-type=!A100"]) == {
        "zone": "a",
        "ray.io/accelerator-type": "!A100",
    }


@pytest.mark.parametrize(
    ("parse", "texts", "sentence"),
    [
        (parse_resources, ["memory"], "resources = 'memory' is not of the form name=value"),
        (parse_resources, ["disk=0"], "resources = 'disk=0': the amount is not a number above 0"),
        (parse_resources, ["disk=much"], "resources = 'disk=much': the amount is not a number above 0"),
        (parse_resources, ["GPU=1"], "resources = 'GPU=1': a run has one CPU, and its part of a GPU is --gpus-per-run"),
        (parse_resources, ["disk=1", "disk=2"], "resources = 'disk' is given twice"),
        (parse_labels, ["zone="], "labels = 'zone=' is not of the form name=value"),
        (parse_labels, ["zone=a", "zone=b"], "labels = 'zone' is given twice"),
    ],
)
def test_hints_that_are_none_are_refused(parse, texts, sentence):
    with pytest.raises(ValueError, match=rf"^{re.escape(sentence)}$"):
        parse(texts)


def test_what_the_job_sets_itself_is_not_set_again():
    """Ray refuses a variable that both the job and its driver set."""
    assert "OMP_NUM_THREADS" in _additions(None)
    for silent in ("{}", '{"runtime_env": {}}', '{"runtime_env": null}'):
        assert _additions(silent) == _additions(None)
    told = _additions('{"runtime_env": {"env_vars": {"OMP_NUM_THREADS": "4"}}}')
    assert told == {name: value for name, value in _additions(None).items() if name != "OMP_NUM_THREADS"}


@pytest.mark.parametrize("nodes", [(HEAD,), (HEAD, CPUS)])
def test_what_is_waited_for_is_told_once(monkeypatch, tmp_path, nodes):
    @contextmanager
    def connected(address):
        yield Cluster(nodes=nodes)

    monkeypatch.setattr("crossarch.platform.scheduling.cluster.connected", connected)
    told = []
    site = Site(root=tmp_path, tracking="nowhere", grows_to=3)
    with on_demand(site, told.append) as cluster:
        assert told == [], "nobody has asked for the cluster"
        assert [cluster().slots, cluster().slots] == [3, 3]
    assert len(told) == (1 if nodes == (HEAD,) else 0)
