"""A block gives what its layers give, and stands only where they stood."""

import copy
from collections.abc import Callable

import pytest
import torch
from blocks import FALLBACKS, channels_last, close, layers, passed
from torch import Tensor, nn

from crossarch.trainables.cpu.block import Block, use_blocks
from crossarch.trainables.cpu.winograd import NONE

pytestmark = pytest.mark.usefixtures("with_library")

SHAPES = [(1, 1, 2, 2), (3, 5, 4, 6), (2, 37, 6, 2), (10, 64, 8, 8), (5, 512, 4, 4), (7, 3, 3, 5)]
"""Images (N, C, H, W): channels that are no whole vectors, pixels that are no whole groups, odd sides."""


def joined(network: nn.Sequential) -> nn.Sequential:
    network = copy.deepcopy(network)
    use_blocks(network)
    assert isinstance(network[0], Block)
    return network


@pytest.mark.parametrize("shape", SHAPES)
def test_values_gradients_and_statistics_are_those_of_the_three(shape: tuple[int, ...], calls: list[int]) -> None:
    torch.manual_seed(0)
    network, images = layers(shape[1]), channels_last(*shape)
    one = joined(network)
    for _ in range(2):
        close(passed(one, images), passed(network, images))

    assert len(calls) == (0 if shape[2] % 2 else 2)
    assert int(one[0].num_batches_tracked) == 2  # type: ignore[call-overload]


def test_the_result_lies_channels_last_and_its_slope_need_not() -> None:
    torch.manual_seed(0)
    network, images = layers(6), channels_last(3, 6, 4, 4)
    result = joined(network)(images)
    assert result.is_contiguous(memory_format=torch.channels_last)
    slope = torch.randn(()).double().expand(result.shape)
    close(passed(joined(network), images, slope), passed(network, images, slope))


@pytest.mark.parametrize("shifted", [False, True])
def test_single_precision_is_as_near_to_double_as_torch_s(shifted: bool) -> None:
    """By largest errors. Slopes in a channel of mean 1000 and deviation 0.01 depend on which units are just above 0."""
    torch.manual_seed(0)
    network, images = layers(64), channels_last(10, 64, 32, 32)
    if shifted:
        images[:, 7] = 1000 + 0.01 * images[:, 7]
    images = images.float().double()
    single = [joined(network).float(), copy.deepcopy(network).float()]
    exact = passed(network, images)
    found, torch_s = (
        {name: value - exact[name] for name, value in passed(each, images.float()).items()} for each in single
    )

    for name in exact if not shifted else ("result", "0.running_mean", "0.running_var"):
        assert found[name].abs().max() <= 1.1 * torch_s[name].abs().max() + 1e-6, name


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_constant_channel_has_no_variance(value: float) -> None:
    torch.manual_seed(0)
    network, images = layers(16, torch.float32), channels_last(3, 16, 4, 6, dtype=torch.float32)
    images[:, 3] = value
    one = joined(network)
    found, exact = passed(one, images), passed(network.double(), images.double())
    close(found, {name: value.to(found[name].dtype) for name, value in exact.items()}, 1e-4)

    result = one(images)[:, 3]
    assert torch.equal(result, network[0].bias[3].relu().expand_as(result))  # type: ignore[union-attr, index]
    torch.testing.assert_close(one[0].running_var[3], torch.tensor(0.7**2))  # type: ignore[index]


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_goes_through(poison: float) -> None:
    """To its channel, forward; from a slope to weight, bias and channel, unless ReLU was 0 there."""
    torch.manual_seed(0)
    network, images = layers(5), channels_last(3, 5, 4, 4)
    clean, slope = images.clone(), torch.randn_like(network(images))
    images[1, 2, 3, 3] = poison
    close(passed(joined(network), images), passed(network, images))

    slope[0, 3, 1, 1] = poison
    with torch.no_grad():
        network[0].bias[4] = -100  # type: ignore[index]
    slope[0, 4] = poison
    close(passed(joined(network), clean, slope), passed(network, clean, slope))


@pytest.mark.parametrize("wanted", ["images", "0.weight", "0.bias", None])
def test_a_gradient_that_nobody_asks_for_is_not_needed_for_the_others(wanted: str | None) -> None:
    torch.manual_seed(0)
    network, images = layers(5), channels_last(3, 5, 4, 4)
    slopes = []
    for each in (network, joined(network)):
        leaves = {"images": images.clone(), **dict(each.named_parameters())}
        for name, leaf in leaves.items():
            leaf.requires_grad_(name == wanted)
        result = each(leaves["images"]).square().sum()
        assert result.requires_grad == (wanted is not None)
        slopes.append(torch.autograd.grad(result, leaves[wanted])[0] if wanted else result)

    torch.testing.assert_close(*slopes, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("reason", FALLBACKS)
def test_elsewhere_it_computes_what_it_did_before(
    reason: str, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network, images = layers(5), channels_last(3, 5, 4, 4)
    one = joined(network)
    one(images)
    assert calls == [NONE]
    network(images)
    for each in (network, one):
        changed = FALLBACKS[reason](each, images, monkeypatch)
    images = images if changed is None else changed
    close(passed(one, images), passed(network, images))

    assert len(calls) == 1


def test_all_places_of_a_network_are_found_and_its_names_stay() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *layers(8).float()),
        nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), *layers(8).float(), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4)),
        nn.GroupNorm(2, 4),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(2),
    )
    network = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    use_blocks(network)

    found = [type(module).__name__ for module in network.modules()]
    assert [name for name in found if name == "Block"] == ["Block", "Block"]
    assert list(plain.state_dict()) == list(network.state_dict())
    images = channels_last(4, 3, 8, 8, dtype=torch.float32)
    close(passed(network, images), passed(plain, images), 1e-4)
    again = copy.deepcopy(network)
    again.load_state_dict(plain.state_dict())
    close(passed(again.eval(), images), passed(plain.eval(), images), 1e-4)


def twice(norm: nn.Module, relu: nn.Module, pool: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Sequential(norm, relu, pool), relu)


class Reversed(nn.Sequential):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        return super().forward(input).neg()


@pytest.mark.parametrize(
    "build",
    [
        twice,
        Reversed,
        lambda norm, relu, pool: nn.Sequential(nn.BatchNorm2d(4, affine=False), relu, pool),
        lambda norm, relu, pool: nn.Sequential(nn.BatchNorm2d(4, track_running_stats=False), relu, pool),
        lambda norm, relu, pool: nn.Sequential(nn.BatchNorm2d(4, momentum=None), relu, pool),
        lambda norm, relu, pool: nn.Sequential(nn.GroupNorm(4, 4), relu, pool),
        lambda norm, relu, pool: nn.Sequential(norm, nn.ReLU(), pool),
        lambda norm, relu, pool: nn.Sequential(norm, nn.Identity(), relu, pool),
        lambda norm, relu, pool: nn.ModuleList([norm, relu, pool]),
    ],
)
def test_other_layers_stay_what_they_were(build: Callable[..., nn.Module]) -> None:
    network = build(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AvgPool2d(2))
    before = [type(module) for module in network.modules()]
    use_blocks(network)

    assert [type(module) for module in network.modules()] == before


def test_only_pooling_of_two_by_two_is_joined() -> None:
    network = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AvgPool2d(3))
    use_blocks(network)
    assert [type(module) for module in network] == [nn.BatchNorm2d, nn.ReLU, nn.AvgPool2d]
    network = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AvgPool2d(2))
    use_blocks(network)
    assert [type(module) for module in network] == [Block, nn.Identity, nn.Identity]
