"""Lion's kernel is lion-pytorch's step, to the bit."""

import pytest
import torch
from torch import Tensor, nn

from crossarch.trainables.config.run import LionConfig
from crossarch.trainables.cpu import native
from crossarch.trainables.methods import optimizer

SHAPES = [(1,), (17,), (70, 13, 3, 3), (3, 5, 1, 1), (2049,)]


def steps(native_too: bool, dtype: torch.dtype, config: LionConfig, poison: float | None) -> list[Tensor]:
    """Parameters and momenta after three steps, at the end with a gradient of `poison` somewhere."""
    torch.manual_seed(0)
    network = nn.Module()
    for index, shape in enumerate(SHAPES):
        network.register_parameter(f"p{index}", nn.Parameter(torch.randn(shape, dtype=dtype)))
    lion = optimizer.make_optimizer(network, config)
    optimizer.set_learning_rate(lion, 3.7e-3)
    for step in range(3):
        for parameter in network.parameters():
            parameter.grad = torch.randn_like(parameter)
            parameter.grad[..., -1].zero_()
            if poison is not None and step == 1:
                parameter.grad.view(-1)[0] = poison
        if native_too:
            optimizer.take_step(lion)
        else:
            lion.step()
    return [*network.parameters(), *(state["exp_avg"] for state in lion.state.values())]


@pytest.mark.parametrize("poison", [None, torch.nan, torch.inf])
@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.95, 0.3), (0.2, 0.98), (0.5, 0.5)])
@pytest.mark.parametrize("decay", [0.0, 5e-3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.usefixtures("library")
def test_it_is_lion_to_the_bit(
    dtype: torch.dtype, decay: float, betas: tuple[float, float], poison: float | None
) -> None:
    config = LionConfig(name="lion", beta1=betas[0], beta2=betas[1], weight_decay=decay)
    pairs = zip(*(steps(native_too, dtype, config, poison) for native_too in (True, False)), strict=True)

    assert all(torch.equal(one.nan_to_num(1e9), other.nan_to_num(1e9)) for one, other in pairs)


@pytest.mark.usefixtures("with_library")
def test_a_worked_step() -> None:
    """Decayed by 1 - 0.1 x 0.5, then a step of 0.1 against the sign of 0.9 m + 0.1 g."""
    layer = nn.Module()
    layer.p = nn.Parameter(torch.ones(4).double())
    lion = optimizer.make_optimizer(layer, LionConfig(name="lion", beta1=0.9, beta2=0.99, weight_decay=0.5))
    optimizer.set_learning_rate(lion, 0.1)
    lion.state[layer.p]["exp_avg"] = torch.tensor([1.0, 0, -1, 0]).double()
    layer.p.grad = torch.tensor([-8.0, 2, 1, 0]).double()
    optimizer.take_step(lion)

    torch.testing.assert_close(layer.p.data, torch.tensor([0.85, 0.85, 1.05, 0.95]).double())
    torch.testing.assert_close(lion.state[layer.p]["exp_avg"], torch.tensor([0.91, 0.02, -0.98, 0]).double())


LAYOUTS = {
    "channels last": lambda tensor: tensor.contiguous(memory_format=torch.channels_last),
    "with gaps": lambda tensor: torch.stack([tensor, tensor], -1)[..., 0],
    "plain": lambda tensor: tensor.contiguous(),
}


@pytest.mark.parametrize("weights", LAYOUTS)
@pytest.mark.parametrize("others", LAYOUTS)
@pytest.mark.usefixtures("library")
def test_gradients_and_momenta_may_lie_otherwise(weights: str, others: str) -> None:
    results = []
    for step in (optimizer.take_step, lambda lion: lion.step()):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Conv2d(13, 17, 3), nn.Conv2d(17, 2, 1))
        for parameter in layers.parameters():
            if parameter.dim() == 4:
                parameter.data = LAYOUTS[weights](parameter.data)
        config = LionConfig(name="lion", beta1=0.9, beta2=0.99, weight_decay=0.5)
        lion = optimizer.make_optimizer(layers, config)
        for _ in range(3):
            for parameter in layers.parameters():
                parameter.grad = torch.randn(parameter.shape)
                if parameter.dim() == 4:
                    parameter.grad = LAYOUTS[others](parameter.grad)
                    for name, momentum in lion.state[parameter].items():
                        lion.state[parameter][name] = LAYOUTS[others](momentum)
            step(lion)
        results.append([*layers.parameters(), *(state["exp_avg"] for state in lion.state.values())])

    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@pytest.mark.usefixtures("with_library")
def test_a_step_goes_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(native, "find_kernel", lambda name, *tensors: lambda *arguments: calls.append(arguments[3]))
    layer = nn.Linear(300, 200)
    lion = optimizer.make_optimizer(layer, LionConfig(name="lion", beta1=0.9, beta2=0.99, weight_decay=0.0))
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.take_step(lion)

    assert calls == [60000, 200]
