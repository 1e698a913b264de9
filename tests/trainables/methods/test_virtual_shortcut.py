"""The switch of virtual shortcuts: its expectation, its gradients, and when it draws."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from crossarch.trainables.methods.drop_path import VirtualShortcut, pop_observed, set_keep_rate, switch

SIGMAS = 4.5
"""As in test_drop_path.py."""


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8, 1.0])
def test_expectation_over_all_masks_is_p_main_and_1_minus_p_shortcut(p: float) -> None:
    """Exactly: the sum over the 2^3 masks of a batch, each with its probability."""
    main, shortcut = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64)
    expectation = torch.zeros_like(main)
    for mask in itertools.product([0.0, 1.0], repeat=3):
        probability = math.prod(p if kept else 1 - p for kept in mask)
        expectation += probability * switch(main, shortcut, torch.tensor(mask))

    torch.testing.assert_close(expectation, p * main + (1 - p) * shortcut, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("mask", list(itertools.product([0.0, 1.0], repeat=3)))
def test_each_sample_is_one_of_the_two_without_a_factor(mask: tuple[float, ...]) -> None:
    main, shortcut = torch.randn(2, 3, 4, 2, 2)

    for result, one, other, kept in zip(switch(main, shortcut, torch.tensor(mask)), main, shortcut, mask, strict=True):
        assert torch.equal(result, one if kept else other)


class Times(nn.Module):
    """Multiplies by a number that can be learned."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.factor * x


def droppable(keep_rate: float = 1.0) -> VirtualShortcut:
    """Three times its input, or its input fivefold where dropped."""
    torch.manual_seed(0)
    module = VirtualShortcut(Times(3.0), Times(5.0))
    set_keep_rate(module, keep_rate)
    return module


@pytest.mark.parametrize("p", [0.3, 0.5, 0.9])
def test_mean_over_many_samples_is_the_expectation(p: float) -> None:
    samples = 20_000
    mean = droppable(p)(torch.ones(samples, 1)).detach().mean()

    deviation = (5 - 3) * math.sqrt(p * (1 - p) / samples)
    assert float(mean) == pytest.approx(p * 3 + (1 - p) * 5, abs=SIGMAS * deviation)


def test_draws_once_for_each_sample() -> None:
    factors = droppable(0.5)(torch.ones(64, 3, 4, 4)).flatten(1)

    assert torch.equal(factors, factors[:, :1].expand_as(factors))
    assert set(factors[:, 0].tolist()) == {3.0, 5.0}


def test_two_blocks_draw_on_their_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(VirtualShortcut(Times(3.0), Times(5.0)), VirtualShortcut(Times(3.0), Times(5.0)))
    set_keep_rate(model, 0.5)

    assert set(model(torch.ones(64, 1)).flatten().tolist()) == {9.0, 15.0, 25.0}


@pytest.mark.parametrize("training", [True, False])
def test_a_rate_of_one_and_evaluation_leave_the_shortcut_alone_and_draw_nothing(training: bool) -> None:
    module = droppable(1.0 if training else 0.1).train(training)
    x, before = torch.randn(5, 3), torch.get_rng_state()

    assert torch.equal(module(x), module.main(x))
    assert module.shortcut.calls == 0
    assert torch.equal(torch.get_rng_state(), before)
    assert pop_observed(module) == (1.0 if training else None)


def test_gradients_are_those_of_the_path_taken() -> None:
    module, x = droppable(0.5), torch.arange(1.0, 17.0).view(16, 1).requires_grad_()
    result = module(x)
    result.sum().backward()
    kept = result.detach() == 3 * x.detach()

    assert 0 < int(kept.sum()) < 16
    assert float(module.main.factor.grad) == float(x.detach()[kept].sum())
    assert float(module.shortcut.factor.grad) == float(x.detach()[~kept].sum())
    assert torch.equal(x.grad, torch.where(kept, 3.0, 5.0))


def test_where_every_sample_is_kept_the_shortcut_learns_nothing() -> None:
    module, x = droppable(0.5), torch.ones(3, 2)
    module.draw = lambda x: torch.ones(len(x))
    module(x).sum().backward()
    assert float(module.shortcut.factor.grad) == 0

    certain = droppable(1.0)
    certain(x).sum().backward()
    assert certain.shortcut.factor.grad is None


def test_gradient_is_the_numerical_one_in_double_precision() -> None:
    module = VirtualShortcut(nn.Tanh(), nn.Conv2d(2, 2, 1)).double()
    module.draw = lambda x: torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    x = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(module, (x,))


def test_a_path_that_leaves_the_finite_numbers_does_not_reach_the_other() -> None:
    main, shortcut = torch.full((2, 1), math.inf), torch.ones(2, 1)

    assert switch(main, shortcut, torch.tensor([0.0, 1.0])).flatten().tolist() == [1.0, math.inf]
