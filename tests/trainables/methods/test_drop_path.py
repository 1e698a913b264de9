"""DropPath: Eq. 1 leaves the expectation as it is, and acts on every network that has it."""

import math
from collections.abc import Callable

import pytest
import torch
from settings import DEEP, PATHS, PLAIN, SETTINGS, STUDENT, make
from torch import Tensor, nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.methods.drop_path import DropPath, drop_path, drops, pop_observed, set_keep_rate
from crossarch.trainables.methods.schedules import keep_rate
from crossarch.trainables.models.registry import build

SIGMAS = 4.5
"""Statistical tests are off by more with a probability under 1e-5; they are seeded, so they never waver."""


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8, 1.0])
def test_expectation_over_the_mask_is_exactly_the_input(p: float) -> None:
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    kept, dropped = drop_path(x, torch.ones(4), p), drop_path(x, torch.zeros(4), p)

    torch.testing.assert_close(p * kept + (1 - p) * dropped, x, rtol=1e-15, atol=0)
    assert torch.equal(dropped, torch.zeros_like(x))


@pytest.mark.parametrize("p", [0.3, 0.5, 0.9])
def test_mean_over_many_samples_is_the_input(p: float) -> None:
    torch.manual_seed(0)
    module, samples = DropPath(), 20_000
    module.keep_rate = p
    deviation = math.sqrt((1 - p) / p / samples)  # of the mean of m / p, m ~ Bernoulli(p)

    mean = module(torch.full((samples, 1), 2.0)).mean()

    assert float(mean) == pytest.approx(2.0, abs=2 * SIGMAS * deviation)


def test_draws_once_for_each_sample() -> None:
    torch.manual_seed(0)
    module = DropPath()
    module.keep_rate = 0.5
    factors = module(torch.ones(64, 3, 4, 4)).flatten(1)

    assert torch.equal(factors, factors[:, :1].expand_as(factors))
    assert set(factors[:, 0].tolist()) == {0.0, 2.0}


def test_a_rate_of_one_changes_nothing_and_draws_no_random_numbers() -> None:
    module, x = DropPath(), torch.randn(5, 3)
    before = torch.get_rng_state()

    assert module(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_is_the_identity_at_any_rate() -> None:
    module, x = DropPath().eval(), torch.randn(5, 3)
    module.keep_rate = 0.1
    before = torch.get_rng_state()

    assert module(x) is x
    assert torch.equal(torch.get_rng_state(), before)
    assert pop_observed(module) is None


WITH_DROP_PATH = [name for name, config in SETTINGS.items() if config.keep_rate is not None]


def test_every_deep_network_is_among_those_with_drop_path() -> None:
    assert {SETTINGS[name].model.architecture for name in WITH_DROP_PATH} == set(DEEP)


@pytest.mark.parametrize("name", WITH_DROP_PATH)
def test_acts_through_config_and_set_keep_rate_as_in_the_loop(name: str) -> None:
    """Also holds the test itself to account: with a set_keep_rate that sets nothing, its condition is not met."""
    assert changes_training_output(name, set_keep_rate)
    assert not changes_training_output(name, lambda model, rate: None)


def changes_training_output(name: str, set_rate: Callable[[nn.Module, float], None]) -> bool:
    """Whether the network's output in training mode is another in the epoch with the lowest keep rate."""
    config = SETTINGS[name]
    rates = [keep_rate(epoch, config.keep_rate, config.phases) for epoch in range(config.epochs)]
    assert max(rates) == 1
    assert min(rates) < 1
    torch.manual_seed(0)
    model = build(config.model, DATASETS["digits"], config.keep_rate).train()
    images = torch.randn(16, 1, 32, 32)

    def output(rate: float) -> Tensor:
        set_rate(model, rate)
        with torch.no_grad():
            return model(images)  # type: ignore[no-any-return]

    assert torch.equal(output(1.0), output(1.0))
    return not torch.equal(output(max(rates)), output(min(rates)))


@pytest.mark.parametrize("network", DEEP)
def test_every_block_of_the_notes_draws_once_for_each_sample(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, ...]] = []
    bernoulli = torch.bernoulli
    monkeypatch.setattr(torch, "bernoulli", lambda rates: sizes.append(rates.shape) or bernoulli(rates))
    config = make(network, "instance", "full")
    model = build(config.model, DATASETS["digits"], config.keep_rate).train()
    set_keep_rate(model, 0.5)

    model(torch.randn(7, 1, 32, 32))

    assert sizes == [(7,)] * PATHS[network]
    assert len(list(drops(model))) == PATHS[network]


def test_the_convnet_has_nothing_to_drop() -> None:
    assert not list(drops(build(PLAIN.model, DATASETS["digits"])))


@pytest.mark.parametrize("network", DEEP)
@pytest.mark.parametrize("p", [0.5, 0.8])
def test_observed_share_of_a_network_is_within_binomial_bounds(network: str, p: float) -> None:
    torch.manual_seed(0)
    config = make(network, "batch", "full")
    model = build(config.model, DATASETS["digits"], config.keep_rate).train()
    set_keep_rate(model, p)
    with torch.no_grad():
        model(torch.randn(400, 1, 32, 32))

    drawn = 400 * PATHS[network]
    assert sum(module.drawn for module in drops(model)) == drawn
    assert pop_observed(model) == pytest.approx(p, abs=SIGMAS * math.sqrt(p * (1 - p) / drawn))


def test_dropping_every_path_leaves_the_shortcuts_alone() -> None:
    """What is dropped is the main path: without it a network is the chain of its shortcuts."""
    torch.manual_seed(0)
    model = build(STUDENT.model, DATASETS["digits"]).train()
    set_keep_rate(model, 1e-30)
    images = torch.randn(4, 1, 32, 32)
    with torch.no_grad():
        expected = model.stem(images)
        for block in model.blocks:
            expected = block.shortcut(expected).relu()
        expected = model.classifier(expected.mean((2, 3)))

        assert torch.equal(model(images), expected)


@pytest.mark.parametrize("p", [0.5, 0.8])
def test_observed_share_is_within_binomial_bounds_and_taken_once(p: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(DropPath(), DropPath())
    set_keep_rate(model, p)
    for _ in range(50):
        model(torch.ones(100, 1))

    assert pop_observed(model) == pytest.approx(p, abs=SIGMAS * math.sqrt(p * (1 - p) / 10_000))
    assert pop_observed(model) is None


def test_observed_share_counts_what_was_kept() -> None:
    torch.manual_seed(0)
    model = DropPath()
    set_keep_rate(model, 0.5)
    kept = sum(int(model(torch.ones(7, 1)).count_nonzero()) for _ in range(3))
    set_keep_rate(model, 1.0)
    model(torch.ones(9, 1))

    assert pop_observed(model) == (kept + 9) / 30
    model(torch.ones(4, 1))
    assert pop_observed(model) == 1  # of what came since


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.0000001, 2.0, math.nan])
def test_rates_that_are_none_are_refused_and_change_nothing(rate: float) -> None:
    model = DropPath()

    with pytest.raises(ValueError, match=r"keep_rate = .* is outside \(0, 1\]"):
        set_keep_rate(model, rate)
    assert model.keep_rate == 1


def test_gradients_pass_where_kept_and_nowhere_else() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    drop_path(x, torch.tensor([1.0, 0.0]), 0.25).sum().backward()

    assert x.grad is not None
    assert x.grad.tolist() == [[4.0] * 3, [0.0] * 3]
