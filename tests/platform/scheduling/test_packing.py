"""How many runs share a GPU after some of them ran out of its memory."""

import pytest
from plans import run_of
from settings import PLAIN, STUDENT

from crossarch.platform.scheduling.demand import Demand, gpu_share
from crossarch.platform.scheduling.workers import Packing, larger

SMALL, LARGE = (run_of(config.model.architecture, config=config) for config in (PLAIN, STUDENT))
OTHER_SEED = run_of("other", config=STUDENT.replace({"seed": 7}))


def test_only_the_kind_that_ran_out_gets_more():
    packing = Packing(Demand(gpus=0.25))
    assert packing.loosen(LARGE, 0.25)
    assert (packing.share([SMALL]), packing.share([LARGE]), packing.share([OTHER_SEED])) == (0.25, 0.5, 0.5)
    assert packing.share([SMALL, LARGE]) == 0.5, "a cohort gets what its largest run needs"


def test_several_that_run_out_at_once_are_one_lesson():
    packing = Packing(Demand(gpus=0.25))
    assert packing.loosen(LARGE, 0.25)
    assert packing.loosen(OTHER_SEED, 0.25)
    assert packing.share([LARGE]) == 0.5


@pytest.mark.parametrize("demand", [Demand(), Demand(gpus=0), Demand(gpus=1.0)])
def test_more_than_a_whole_gpu_there_is_not(demand):
    packing = Packing(demand)
    assert packing.share([LARGE]) == 1.0
    assert not packing.loosen(LARGE, 1.0)


@pytest.mark.parametrize("k", range(2, 65))
def test_half_as_many_fit_each_time_until_it_is_one(k):
    share, counts = gpu_share(1 / k), [k]
    while share < 1:
        share = larger(share)
        counts.append(round(1 / share))
    assert counts == [k >> shift for shift in range(k.bit_length())]


def test_a_demand_without_a_gpu_stays_without():
    assert Demand(gpus=0.25).sharing(0.5).bundle == {"CPU": 1.0, "GPU": 0.5}
    assert Demand(gpus=0).sharing(1.0).bundle == {"CPU": 1.0}
