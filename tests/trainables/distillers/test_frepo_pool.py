"""Networks of the pool are of all ages, and made anew when, and only when, their counter passes the limit."""

import pytest
import torch
from torch import nn

from crossarch.trainables.distillers.frepo import Pool

IMAGES, LABELS = torch.randn(4, 3), torch.randn(4, 2)


def make_pool(size=10, stagger=10, limit=100):
    return Pool(lambda: nn.Linear(3, 2), size, stagger, limit, learning_rate=3e-4)


def test_the_counters_start_at_0_10_and_so_on_to_90():
    assert [member.uses for member in make_pool().members] == list(range(0, 100, 10))


@pytest.mark.parametrize("place", range(10))
def test_a_network_is_made_anew_when_and_only_when_its_counter_passes_100(place):
    pool = make_pool()
    counters, anew = [], []
    for use in range(1, 210):
        before = pool.members[place]
        counters.append(before.uses)
        pool.age(place, IMAGES, LABELS)
        if pool.members[place] is not before:
            anew.append(use)
            assert pool.members[place].uses == 0

    start = 10 * place
    assert anew == [102 - start, *([204 - start] if 204 - start < 210 else [])]
    assert counters[: 102 - start] == list(range(start, 102))  # counted up one by one, and used at 101 once more
    others = [member.uses for other, member in enumerate(pool.members) if other != place]
    assert others == [uses for other, uses in enumerate(range(0, 100, 10)) if other != place]


def test_a_new_network_has_new_weights_and_no_moments():
    pool = make_pool(limit=1)
    old = pool.members[0].network
    for _ in range(3):
        pool.age(0, IMAGES, LABELS)

    assert not torch.equal(old.weight, pool.members[0].network.weight)
    assert not pool.members[0].optimizer.state


def test_a_use_trains_one_step_of_adam_on_the_squared_error():
    pool = make_pool()
    network = pool.members[0].network
    before, error = network.weight.detach().clone(), (network(IMAGES) - LABELS).square().sum()
    (gradient,) = torch.autograd.grad(error, network.weight)

    pool.age(0, IMAGES, LABELS)

    torch.testing.assert_close(network.weight, before - 3e-4 * gradient.sign())  # Adam's first step


def test_networks_are_drawn_alike():
    torch.manual_seed(0)
    pool = make_pool(size=4)

    counts = torch.tensor([pool.draw() for _ in range(4000)]).bincount(minlength=4)

    assert (counts - 1000).abs().max() < 120  # more than four standard deviations


def test_a_network_is_used_in_evaluation_mode_and_trained_in_training_mode():
    modes = []

    class Watched(nn.Linear):
        def forward(self, images):
            modes.append(self.training)
            return super().forward(images)

    pool = Pool(lambda: Watched(3, 2), 1, 0, 100, 3e-4)
    pool.members[0].network(IMAGES)
    pool.age(0, IMAGES, LABELS)
    pool.members[0].network(IMAGES)

    assert modes == [False, True, False]
