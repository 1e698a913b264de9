"""The fused kernel of norm, ReLU and pooling gives what the layers give, and is used only where it suits."""

import copy

import pytest
import torch
from groups import FALLBACKS, channels_last, close, group, native_stack, passed

from crossarch.trainables.cpu.fused import ConvolutionKind

pytestmark = pytest.mark.usefixtures("with_library")

SHAPES = [(1, 1, 2, 2), (3, 5, 4, 6), (2, 37, 6, 2), (10, 64, 8, 8), (5, 512, 4, 4), (7, 3, 3, 5)]
"""Images (N, C, H, W): channels that are no whole vectors, pixels that are no whole groups, odd sides."""


@pytest.mark.parametrize("shape", SHAPES)
def test_values_gradients_and_statistics_are_those_of_the_three(
    shape: tuple[int, ...], calls: list[ConvolutionKind]
) -> None:
    torch.manual_seed(0)
    network, images = group(shape[1]), channels_last(*shape)
    one = native_stack(network)
    for _ in range(2):
        close(passed(one, images), passed(network, images))

    assert len(calls) == (0 if shape[2] % 2 else 2)
    assert int(one[1].num_batches_tracked) == 2  # type: ignore[call-overload]


def test_the_result_lies_channels_last_and_its_gradient_need_not() -> None:
    torch.manual_seed(0)
    network, images = group(6), channels_last(3, 6, 4, 4)
    result = native_stack(network)(images)
    assert result.is_contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(()).double().expand(result.shape)
    close(passed(native_stack(network), images, gradient), passed(network, images, gradient))


@pytest.mark.parametrize("shifted", [False, True])
def test_single_precision_is_as_near_to_double_as_torch_s(shifted: bool) -> None:
    """By largest errors. Slopes in a channel of mean 1000 and deviation 0.01 depend on which units are just above 0."""
    torch.manual_seed(0)
    network, images = group(64), channels_last(10, 64, 32, 32)
    if shifted:
        images[:, 7] = 1000 + 0.01 * images[:, 7]
    images = images.float().double()
    single = [native_stack(network).float(), copy.deepcopy(network).float()]
    exact = passed(network, images)
    found, torch_s = (
        {name: value - exact[name] for name, value in passed(each, images.float()).items()} for each in single
    )

    for name in exact if not shifted else ("result", "1.running_mean", "1.running_var"):
        assert found[name].abs().max() <= 1.1 * torch_s[name].abs().max() + 1e-6, name


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_constant_channel_has_no_variance(value: float) -> None:
    torch.manual_seed(0)
    network, images = group(16, torch.float32), channels_last(3, 16, 4, 6, dtype=torch.float32)
    images[:, 3] = value
    one = native_stack(network)
    found, exact = passed(one, images), passed(network.double(), images.double())
    close(found, {name: value.to(found[name].dtype) for name, value in exact.items()}, 1e-4)

    result = one(images)[:, 3]
    assert torch.equal(result, network[1].bias[3].relu().expand_as(result))  # type: ignore[union-attr, index]
    torch.testing.assert_close(one[1].running_var[3], torch.tensor(0.7**2))  # type: ignore[index]


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_goes_through(poison: float) -> None:
    """To its channel, forward; from a gradient to weight, bias and channel, unless ReLU was 0 there."""
    torch.manual_seed(0)
    network, images = group(5), channels_last(3, 5, 4, 4)
    clean, gradient = images.clone(), torch.randn_like(network(images))
    images[1, 2, 3, 3] = poison
    close(passed(native_stack(network), images), passed(network, images))

    gradient[0, 3, 1, 1] = poison
    with torch.no_grad():
        network[1].bias[4] = -100  # type: ignore[index]
    gradient[0, 4] = poison
    close(passed(native_stack(network), clean, gradient), passed(network, clean, gradient))


@pytest.mark.parametrize("wanted", ["images", "1.weight", "1.bias", None])
def test_a_gradient_that_nobody_asks_for_is_not_needed_for_the_others(wanted: str | None) -> None:
    torch.manual_seed(0)
    network, images = group(5), channels_last(3, 5, 4, 4)
    gradients = []
    for each in (network, native_stack(network)):
        leaves = {"images": images.clone(), **dict(each.named_parameters())}
        for name, leaf in leaves.items():
            leaf.requires_grad_(name == wanted)
        result = each(leaves["images"]).square().sum()
        assert result.requires_grad == (wanted is not None)
        gradients.append(torch.autograd.grad(result, leaves[wanted])[0] if wanted else result)

    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("reason", FALLBACKS)
def test_elsewhere_it_computes_what_it_did_before(
    reason: str, calls: list[ConvolutionKind], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network, images = group(5), channels_last(3, 5, 4, 4)
    one = native_stack(network)
    one(images)
    assert calls == [ConvolutionKind.NONE]
    network(images)
    for each in (network, one):
        changed = FALLBACKS[reason](each, images, monkeypatch)
    images = images if changed is None else changed
    close(passed(one, images), passed(network, images))

    assert len(calls) == 1
