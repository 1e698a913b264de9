"""The optimizers against hand-worked steps."""

import pytest
import torch
from torch import nn

from crossarch.trainables.config.run import AdamWConfig, LionConfig, OptimizerConfig, SGDConfig
from crossarch.trainables.methods.optimizer import make_optimizer, set_learning_rate

LION = LionConfig(name="lion", beta1=0.95, beta2=0.98, weight_decay=0.2)
SGD = SGDConfig(name="sgd", momentum=0.9, weight_decay=0.2)
ADAMW = AdamWConfig(name="adamw", beta1=0.9, beta2=0.999, weight_decay=0.2)


def scalars(*values: float) -> nn.Module:
    """A module of parameters that hold one number each."""
    return nn.ParameterList(nn.Parameter(torch.tensor([value], dtype=torch.float64)) for value in values)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, *gradients: float) -> list[float]:
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()
    return [float(parameter.detach()) for parameter in model.parameters()]


def test_lion_is_three_steps_worked_by_hand() -> None:
    """p *= 1 - lr wd; p -= lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g, for two parameters at once.

    Of the first: step 2 goes with the momentum, 0.95 * 0.01 - 0.05 * 0.1 > 0, although its gradient is negative.
    """
    model = scalars(1.0, -2.0)
    optimizer = make_optimizer(model, LION)
    set_learning_rate(optimizer, 0.1)

    assert step(model, optimizer, 0.5, -1.0) == pytest.approx([0.98 - 0.1, -1.96 + 0.1], rel=1e-14)
    assert step(model, optimizer, -0.1, -1.0) == pytest.approx([0.88 * 0.98 - 0.1, -1.86 * 0.98 + 0.1], rel=1e-14)
    assert step(model, optimizer, -0.3, 9.0)[0] == pytest.approx(0.7624 * 0.98 + 0.1, rel=1e-14)
    momentum = [float(optimizer.state[parameter]["exp_avg"]) for parameter in model.parameters()]
    assert momentum[0] == pytest.approx(0.98 * (0.98 * 0.01 + 0.02 * -0.1) + 0.02 * -0.3, rel=1e-13)
    assert momentum[1] == pytest.approx(0.98 * (0.98 * -0.02 + 0.02 * -1.0) + 0.02 * 9.0, rel=1e-13)


@pytest.mark.parametrize("config", [LION, ADAMW])
def test_weight_decay_is_decoupled(config: OptimizerConfig) -> None:
    """Without a gradient the weights shrink by lr times decay, and by that alone."""
    model = scalars(3.0)
    optimizer = make_optimizer(model, config)
    set_learning_rate(optimizer, 0.01)

    assert step(model, optimizer, 0.0) == pytest.approx([3.0 * (1 - 0.01 * 0.2)], rel=1e-14)


def test_adamw_is_torch_s_and_a_first_step_worked_by_hand() -> None:
    """Bias correction makes the first step lr * g / (|g| + eps), after the decay."""
    model = scalars(1.0)
    optimizer = make_optimizer(model, ADAMW)
    set_learning_rate(optimizer, 0.1)

    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    assert step(model, optimizer, 0.5) == pytest.approx([1 - 0.1 * 0.2 - 0.1 * 0.5 / (0.5 + 1e-8)], rel=1e-14)


def test_sgd_is_three_steps_worked_by_hand() -> None:
    """g += wd p; m = b1 m + g, at first g itself; p -= lr m: the decay is coupled, it goes through the momentum."""
    model = scalars(1.0, -2.0)
    optimizer = make_optimizer(model, SGD)
    set_learning_rate(optimizer, 0.1)

    assert type(optimizer) is torch.optim.SGD
    # m = 0.5 + 0.2 * 1 = 0.7 and -1 + 0.2 * -2 = -1.4
    assert step(model, optimizer, 0.5, -1.0) == pytest.approx([1 - 0.07, -2 + 0.14], rel=1e-14)
    # m = 0.9 * 0.7 + (-0.1 + 0.2 * 0.93) = 0.716 and 0.9 * -1.4 + (-1 + 0.2 * -1.86) = -2.632
    assert step(model, optimizer, -0.1, -1.0) == pytest.approx([0.93 - 0.0716, -1.86 + 0.2632], rel=1e-14)
    # m = 0.9 * 0.716 + 0.2 * 0.8584 = 0.81608 and 0.9 * -2.632 + 0.2 * -1.5968 = -2.68816
    assert step(model, optimizer, 0.0, 0.0) == pytest.approx([0.8584 - 0.081608, -1.5968 + 0.268816], rel=1e-14)


def test_sgd_without_momentum_is_gradient_descent() -> None:
    model = scalars(1.0)
    optimizer = make_optimizer(model, SGDConfig(name="sgd", momentum=0.0, weight_decay=0.0))
    set_learning_rate(optimizer, 0.1)

    assert step(model, optimizer, 0.5) == pytest.approx([0.95])
    assert step(model, optimizer, -0.5) == pytest.approx([1.0])


@pytest.mark.parametrize("config", [LION, ADAMW, SGD])
def test_the_learning_rate_reaches_every_group(config: OptimizerConfig) -> None:
    model = scalars(1.0, 1.0)
    optimizer = make_optimizer(nn.ParameterList([model[0]]), config)  # type: ignore[index]
    optimizer.add_param_group({"params": [model[1]]})  # type: ignore[index]
    set_learning_rate(optimizer, 0.0)

    assert step(model, optimizer, 1.0, 1.0) == [1.0, 1.0]
    set_learning_rate(optimizer, 0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]
    first, second = step(model, optimizer, 1.0, 1.0)
    assert first == second < 1.0


def test_every_parameter_of_the_network_is_optimized() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    grouped = [parameter for group in make_optimizer(model, LION).param_groups for parameter in group["params"]]

    assert {id(parameter) for parameter in grouped} == {id(parameter) for parameter in model.parameters()}
