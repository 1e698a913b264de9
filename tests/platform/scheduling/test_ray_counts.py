"""Ray itself counts shares of a GPU, and chooses nodes by label, as `demand` says it does."""

import json

import pytest
from clusters import PATIENCE, RayCluster
from processes import Command

pytestmark = pytest.mark.cluster

SHARES = (1, 2, 3, 6, 7, 9)

SELECTORS = {"a": True, "b": False, "!a": False, "!b": True, "in(a,b)": True, "in(b,c)": False, "!in(b,c)": True}

CODE = f"""
import json, sys
from crossarch.platform.scheduling.demand import Demand, Node, gpu_share, selects
import ray
ray.init(sys.argv[1], log_to_driver=False)

def granted(demand, most, seconds):
    "How many of so many groups Ray gives a place, within so many seconds of the last one that it gave one."
    selectors = {{"bundle_label_selector": [dict(demand.labels)]}} if demand.labels else {{}}
    groups = [ray.util.placement_group([demand.bundle], **selectors) for _ in range(most)]
    count = sum(group.wait(seconds) for group in groups)
    for group in groups:
        ray.util.remove_placement_group(group)
    return count

told = {{"shares": {{}}, "selectors": {{}}}}
for k in {SHARES}:
    demand = Demand(gpus=gpu_share(1 / k))
    slots = demand.slots(Node(resources=ray.cluster_resources()))
    told["shares"][k] = [granted(demand, k, 30), granted(demand, k + 1, 3), slots]
for selector in {list(SELECTORS)}:
    told["selectors"][selector] = [granted(Demand(labels={{"zone": selector}}), 1, 5) == 1, selects(selector, "a")]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    cluster = RayCluster(folder, cpus=16, num_gpus=1, labels="zone=a")
    command = Command(cluster.address, folder=folder, code=CODE, environment=cluster.environment)
    try:
        assert command.wait(PATIENCE) == 0, command.err
        return json.loads(command.out.splitlines()[-1])
    finally:
        command.end()
        cluster.end()


@pytest.mark.parametrize("k", SHARES)
def test_a_kth_of_a_gpu_is_given_k_times_and_not_once_more(told, k):
    """6 x 0.1667, as Ray would round a sixth, would be more than one."""
    assert told["shares"][str(k)] == [k, k, k]


@pytest.mark.parametrize("selector", SELECTORS)
def test_labels_choose_the_same_nodes(told, selector):
    assert told["selectors"][selector] == [SELECTORS[selector]] * 2
