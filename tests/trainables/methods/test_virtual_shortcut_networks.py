"""Virtual shortcuts through the config, in AlexNet and VGG11: the plain network but where a path is dropped."""

import pytest
import torch
from settings import images_of, make, model_of
from torch import Tensor, nn

from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.run import KeepRateConfig
from crossarch.trainables.data.images import Images
from crossarch.trainables.methods.drop_path import VirtualShortcut, set_keep_rate
from crossarch.trainables.models.registry import build
from crossarch.trainables.training.evaluate import evaluate
from crossarch.trainables.training.loop import train

each_network = pytest.mark.parametrize("network", ["alexnet", "vgg11"])
each_norm = pytest.mark.parametrize("norm", ["batch", "instance", "group"])
each_deep_network = pytest.mark.parametrize("network", ["resnet18", "resnet50", "alexnet", "vgg11"])


def pair(network: str, norm: str) -> tuple[nn.Module, nn.Module]:
    """A network without and with what drops its paths, from one seed."""
    models = []
    for keep_rate in (None, KeepRateConfig()):
        torch.manual_seed(0)
        models.append(build(model_of(network, norm, width=1 / 32), images_of(channels=1), keep_rate))
    return models[0], models[1]


def main_weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights and running statistics but for the virtual shortcuts', by their names in the plain network."""
    virtual = [name for name, module in model.named_modules() if isinstance(module, VirtualShortcut)]
    weights = model.state_dict()
    for name in virtual:
        for key in [key for key in weights if key.startswith(f"{name}.shortcut.")]:
            del weights[key]
        for key in [key for key in weights if key.startswith(f"{name}.main.")]:
            weights[name + key.removeprefix(f"{name}.main")] = weights.pop(key)
    return weights


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    first, second = main_weights(one), main_weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@each_deep_network
@each_norm
def test_one_seed_gives_the_plain_and_the_droppable_network_the_same_weights(network: str, norm: str) -> None:
    assert_same_weights(*pair(network, norm))


@each_deep_network
@each_norm
def test_at_rate_one_training_is_the_plain_network_s_bit_for_bit(network: str, norm: str) -> None:
    """Outputs, gradients and running statistics, over a few steps."""
    plain, droppable = pair(network, norm)
    set_keep_rate(droppable, 1.0)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in (plain, droppable)]
    for _ in range(3):
        images = torch.randn(6, 1, 32, 32)
        outputs = [model(images) for model in (plain, droppable)]
        assert torch.equal(*outputs)
        for output, optimizer in zip(outputs, optimizers, strict=True):
            optimizer.zero_grad()
            output.square().mean().backward()
            optimizer.step()

    assert_same_weights(plain, droppable)


@each_deep_network
@each_norm
def test_evaluation_is_the_plain_network_s_at_any_rate_and_leaves_everything_as_it_was(
    network: str, norm: str, few: Images
) -> None:
    plain, droppable = pair(network, norm)
    set_keep_rate(droppable, 0.1)
    before = {name: value.clone() for name, value in droppable.state_dict().items()}
    random = torch.get_rng_state()

    assert torch.equal(plain.eval()(few.test), droppable.eval()(few.test))
    assert evaluate(plain, few.test, few.test_labels) == evaluate(droppable.train(), few.test, few.test_labels)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in droppable.state_dict().items())


@each_network
def test_shortcuts_learn_from_dropped_samples_alone(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of InstanceNorm, where samples do not meet: not at rate 1, and not where a sample's every path is kept."""
    model = pair(network, "instance")[1].double()
    shortcuts = [module.shortcut for module in model.modules() if isinstance(module, VirtualShortcut)]
    parameters = [parameter for shortcut in shortcuts for parameter in shortcut.parameters()]
    images = torch.randn(4, 1, 32, 32, dtype=torch.float64)

    def gradients(rate: float, mask: list[float], count: int) -> list[Tensor | None]:
        monkeypatch.setattr(torch, "bernoulli", lambda rates: torch.tensor(mask[: len(rates)]).to(rates))
        set_keep_rate(model, rate)
        model.zero_grad()
        model(images[:count]).square().sum().backward()
        return [parameter.grad for parameter in parameters]

    assert len(shortcuts) == len(parameters) // 3  # convolution, scale, shift
    assert set(gradients(1.0, [], 4)) == {None}
    assert all(not gradient.any() for gradient in gradients(0.5, [1, 1, 1, 1], 4))
    from_two = gradients(0.5, [0, 0, 1, 1], 4)
    assert any(gradient.any() for gradient in from_two)
    for all_four, two_alone in zip(from_two, gradients(0.5, [0, 0], 2), strict=True):
        torch.testing.assert_close(all_four, two_alone)


@each_network
def test_where_every_path_is_dropped_the_shortcuts_are_the_network(network: str) -> None:
    _, model = pair(network, "batch")
    set_keep_rate(model, 1e-30)
    images = torch.randn(4, 1, 32, 32)
    with torch.no_grad():
        expected = images
        for part in model.features:
            expected = part.shortcut(expected) if isinstance(part, VirtualShortcut) else part(expected)

        assert torch.equal(model(images), model.classifier(expected.flatten(1)))


@each_network
def test_the_loop_trains_the_shortcuts_once_paths_are_dropped(network: str, few: Images) -> None:
    config = make(network, "instance", "without_kd").replace({"optimizer.weight_decay": 0.0})

    def shortcuts_after(epochs: int) -> list[Tensor]:
        model = train(config.replace({"epochs": epochs}), few).model
        return [value for name, value in model.state_dict().items() if ".shortcut." in name]

    torch.manual_seed(config.seed)
    fresh = build(config.model, DATASETS["digits"], config.keep_rate).state_dict()
    untrained = [value for name, value in fresh.items() if ".shortcut." in name]
    assert all(torch.equal(*both) for both in zip(shortcuts_after(2), untrained, strict=True))  # p = 1 before W
    assert not any(torch.equal(*both) for both in zip(shortcuts_after(6), untrained, strict=True))
