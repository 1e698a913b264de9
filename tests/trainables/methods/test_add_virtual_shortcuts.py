"""Virtual shortcuts around the blocks of anybody's network: what is bridged, what is refused, what is left alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from crossarch.trainables.methods.drop_path import (
    VirtualShortcut,
    add_virtual_shortcuts,
    drops,
    set_keep_rate,
    shortcut_between,
)
from crossarch.trainables.models.layers import instance_norm

IMAGES = (2, 3, 16, 16)


class Network(nn.Module):
    """Somebody's: a block of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
        self.wider = nn.Conv2d(3, 8, 3, padding=1)
        self.halved = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.flat = nn.Conv2d(8, 6, 3, stride=(2, 1), padding=1)
        self.odd = nn.Conv2d(6, 6, (2, 1))
        self.unused = nn.Conv2d(3, 3, 1)
        self.rectified = nn.ReLU(inplace=True)
        self.parts = nn.ModuleList([nn.Linear(6, 6), nn.Dropout(0.5)])
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.odd(self.flat(self.halved(self.wider(self.same(x)))))
        x = self.rectified(x).mean((2, 3))
        for part in self.parts:
            x = part(x)
        return self.head(x)


def network() -> Network:
    torch.manual_seed(0)
    return Network()


def add(model: nn.Module, *blocks: str) -> None:
    add_virtual_shortcuts(model, blocks, torch.zeros(*IMAGES))


SHORTCUTS = {
    "same": [],
    "wider": [nn.Conv2d, nn.BatchNorm2d],
    "halved": [nn.MaxPool2d, nn.Conv2d, nn.BatchNorm2d],
    "flat": [nn.MaxPool2d, nn.Conv2d, nn.BatchNorm2d],
    "parts.0": [],
}
"""What each block is bridged with; nothing where its shapes are alike."""


@pytest.mark.parametrize(("name", "layers"), SHORTCUTS.items())
def test_a_shortcut_has_what_the_shapes_ask_for(name: str, layers: list[type[nn.Module]]) -> None:
    model = network()
    add(model, name)
    bridged = model.get_submodule(name)

    assert isinstance(bridged, VirtualShortcut)
    if layers:
        assert [type(layer) for layer in bridged.shortcut] == layers
    else:
        assert type(bridged.shortcut) is nn.Identity


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ((2, 8, 16, 16), (2, 8, 8, 8)),
        ((2, 8, 16, 16), (2, 6, 8, 16)),
        ((2, 8, 12, 16), (2, 6, 4, 2)),
        ((2, 8, 16, 16), (2, 6, 16, 16)),
        ((2, 8, 5, 3), (2, 6, 1, 1)),
        ((2, 8), (2, 8)),
    ],
)
def test_a_shortcut_leads_from_shape_to_shape(inner: tuple[int, ...], outer: tuple[int, ...]) -> None:
    bridge = shortcut_between(torch.Size(inner), torch.Size(outer))

    assert bridge(torch.randn(inner)).shape == outer


def test_the_shortcut_pools_over_the_very_pixels_that_the_block_makes_one_of() -> None:
    torch.manual_seed(0)
    bridge = shortcut_between(torch.Size((1, 2, 4, 6)), torch.Size((1, 3, 2, 2)), instance_norm)
    assert isinstance(bridge, nn.Sequential)
    images = torch.randn(1, 2, 4, 6)
    pooled = images.unflatten(3, (2, 3)).unflatten(2, (2, 2)).amax((3, 5))

    torch.testing.assert_close(bridge(images), bridge[2](bridge[1](pooled)))


def test_the_network_computes_what_it_did_but_in_training_below_a_rate_of_one() -> None:
    plain, model = network(), network()
    add(model, *SHORTCUTS)
    images = torch.randn(8, 3, 16, 16)

    def outputs(rate: float, training: bool) -> list[Tensor]:
        set_keep_rate(model, rate)
        results = []
        for each in (plain, model):
            torch.manual_seed(1)  # for the Dropout
            results.append(each.train(training)(images))
        return results

    assert len(list(drops(model))) == len(SHORTCUTS)
    assert torch.equal(*outputs(1.0, training=True))
    assert torch.equal(*outputs(0.2, training=False))
    assert not torch.allclose(*outputs(0.2, training=True))


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_taking_the_shapes_leaves_modes_statistics_gradients_and_random_numbers_alone() -> None:
    model = network()
    model.same[1].eval()  # frozen by its owner
    modes = {name: module.training for name, module in model.named_modules()}
    before, random = state(model), torch.get_rng_state()

    add(model, "parts.0")  # a bridge without weights, so that nothing is drawn for it either

    assert torch.equal(torch.get_rng_state(), random)
    after = state(model)
    assert all(torch.equal(after[name.replace("parts.0.", "parts.0.main.")], before[name]) for name in before)
    assert {name: model.get_submodule(name).training for name in modes} == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_what_is_added_is_in_the_network_s_mode_type_and_device(training: bool) -> None:
    model = network().double().train(training)
    add_virtual_shortcuts(model, ["halved"], torch.zeros(*IMAGES, dtype=torch.float64))

    assert {module.training for module in model.modules()} == {training}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}


class Pairs(nn.Module):
    """A block that takes or gives more than a tensor."""

    def __init__(self, use: Callable[[nn.Module, Tensor], Tensor], give: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.block = Giving(give)
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(self.block, x)


class Giving(nn.Module):
    def __init__(self, give: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.give = give

    def forward(self, x: Tensor, other: Tensor | None = None) -> object:
        return self.give(x)


REFUSED = [
    (network, ("none",), r"^block 'none' is not in the network; it has same, same\.0, "),
    (network, ("",), "^block '' is not in the network"),
    (network, ("same", "none"), "^block 'none' is not in the network"),
    (network, ("same", "halved.0", "halved"), r"^block 'halved\.0' lies within another block$"),
    (network, ("same", "wider", "same"), "^block 'same' is named twice$"),
    (
        network,
        ("wider", "odd"),
        r"^block 'odd': no shortcut by pooling .* \(2, 6, 4, 8\) to \(2, 6, 3, 8\)$",
    ),
    (network, ("wider", "head"), r"^block 'head': no shortcut by pooling leads from .* \(2, 6\) to \(2, 4\)$"),
    (network, ("wider", "unused"), "^block 'unused' is not run as a whole"),
    (network, ("wider", "parts"), "^block 'parts' is not run as a whole"),
    (network, ("wider", "rectified"), "^block 'rectified' changes its input in place"),
    (lambda: Pairs(lambda block, x: block(x)[0], lambda x: (x, x)), ("block",), "^block 'block' returns tuple, and"),
    (lambda: Pairs(lambda block, x: block(x, x), lambda x: x), ("block",), "^block 'block' takes more than one tensor"),
    (lambda: Pairs(lambda block, x: block(x=x), lambda x: x), ("block",), "^block 'block' takes more than one tensor"),
]


@pytest.mark.parametrize(("make", "blocks", "sentence"), REFUSED)
def test_what_cannot_be_bridged_is_refused_and_the_network_left_as_it_was(
    make: Callable[[], nn.Module], blocks: tuple[str, ...], sentence: str
) -> None:
    model = make()
    before, names = state(model), [name for name, _ in model.named_modules()]

    with pytest.raises(ValueError, match=sentence) as refusal:
        add(model, *blocks)

    assert "\n" not in str(refusal.value)
    assert [name for name, _ in model.named_modules()] == names
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_network_that_fails_itself_is_left_as_it_was_too() -> None:
    model = network()
    with pytest.raises(RuntimeError, match="channels"):
        add_virtual_shortcuts(model, ["same"], torch.zeros(2, 5, 16, 16))

    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
