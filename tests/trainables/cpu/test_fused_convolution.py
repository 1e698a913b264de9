"""The fused kernel of convolution, norm, ReLU and pooling gives what the layers give."""

import copy

import pytest
import torch
from groups import FALLBACKS, channels_last, close, group, native_stack, passed
from torch import Tensor, nn

from crossarch.trainables.cpu import winograd
from crossarch.trainables.cpu.fused import ConvolutionKind
from crossarch.trainables.cpu.layers import Conv2d, ConvNormReluPoolStack

pytestmark = pytest.mark.usefixtures("with_library")


DIRECT, WINOGRAD, NONE = ConvolutionKind.DIRECT, ConvolutionKind.WINOGRAD, ConvolutionKind.NONE


def convolved(images: Tensor, outs: int, **settings: object) -> tuple[nn.Sequential, ConvNormReluPoolStack]:
    """A group of torch's layers, and a stack of the same with native kernels."""
    changes = {"padding": 1, "bias": False, **settings}
    torchs = nn.Conv2d(images.shape[1], outs, 3, **changes)  # type: ignore[arg-type]
    network = group(outs, images.dtype, torchs)
    ours = Conv2d(images.shape[1], outs, 3, **changes)  # type: ignore[arg-type]
    ours.load_state_dict(torchs.state_dict())
    return network, native_stack(nn.Sequential(ours.to(images.dtype), *network[1:]))


CONVOLUTIONS = {
    (DIRECT, (3, 3, 8, 12), 96),
    (DIRECT, (2, 1, 6, 4), 32),
    (DIRECT, (1, 3, 2, 2), 64),
    (WINOGRAD, (11, 64, 4, 4), 160),
    (WINOGRAD, (5, 96, 16, 8), 64),
}


@pytest.mark.parametrize(("kind", "shape", "outs"), sorted(CONVOLUTIONS))
@pytest.mark.parametrize("blocks", [17, 256])
def test_a_convolution_is_done_with_what_follows_it(
    kind: int,
    shape: tuple[int, ...],
    outs: int,
    blocks: int,
    calls: list[ConvolutionKind],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twice, so that running statistics were not fresh; of several blocks of images, too."""
    monkeypatch.setattr(winograd, "BLOCK", blocks)
    torch.manual_seed(0)
    images, gradient = channels_last(*shape), torch.randn(shape[0], outs, shape[2] // 2, shape[3] // 2).double()
    network, one = convolved(images, outs)
    for _ in range(2):
        found, expected = (taken(each, images, gradient) for each in (one, network))
        close(found, expected, 1e-9)

    assert calls == [kind, kind]
    assert list(one.state_dict()) == list(network.state_dict())
    close(taken(one.eval(), images, gradient), taken(network.eval(), images, gradient), 1e-9)
    assert calls == [kind, kind]


def taken(network: nn.Module, images: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """`passed`, of images that need no gradient."""
    network.zero_grad()
    result = network(images)
    result.backward(gradient)
    return {"result": result.detach(), **{n: p.grad for n, p in network.named_parameters()}, **network.state_dict()}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("shape", "outs", "kind"),
    [((3, 3, 8, 8), 64, NONE), ((11, 64, 4, 4), 64, WINOGRAD), ((9, 64, 4, 4), 64, NONE), ((3, 64, 6, 4), 64, NONE)],
)
def test_images_get_their_gradient(shape: tuple[int, ...], outs: int, kind: int, calls: list[ConvolutionKind]) -> None:
    """By the convolution itself where it is the direct one, or Winograd's does not pay."""
    torch.manual_seed(0)
    images = channels_last(*shape)
    network, one = convolved(images, outs)
    close(passed(one, images), passed(network, images), 1e-9)

    assert calls == [kind]


@pytest.mark.parametrize("wanted", ["images", "0.weight", "1.weight", "1.bias"])
def test_a_convolution_s_gradient_that_nobody_asks_for_is_not_needed(wanted: str) -> None:
    torch.manual_seed(0)
    images = channels_last(11, 64, 4, 4)
    gradients = []
    for each in convolved(images, 64):
        leaves = {"images": images.clone(), **dict(each.named_parameters())}
        for name, leaf in leaves.items():
            leaf.requires_grad_(name == wanted)
        gradients.append(torch.autograd.grad(each(leaves["images"]).square().sum(), leaves[wanted])[0])

    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("reason", FALLBACKS)
@pytest.mark.parametrize("shape", [(3, 3, 8, 8), (5, 64, 8, 8)])
def test_elsewhere_it_computes_what_it_did_before(
    reason: str, shape: tuple[int, ...], calls: list[ConvolutionKind], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    images = channels_last(*shape)
    network, one = convolved(images, 64)
    for each in (network, one):
        changed = FALLBACKS[reason](each, images, monkeypatch)
    images = images if changed is None else changed
    gradient = torch.randn(shape[0], 64, images.shape[2] // 2, images.shape[3] // 2).to(images)
    close(taken(one, images, gradient), taken(network, images, gradient), 1e-9)

    assert calls == []


@pytest.mark.parametrize(
    ("ins", "outs", "settings"),
    [
        (3, 48, {}),
        (2, 64, {}),
        (32, 64, {}),
        (3, 64, {"stride": 2}),
        (3, 64, {"dilation": 2}),
        (3, 64, {"padding_mode": "circular"}),
        (64, 64, {"groups": 2}),
        (3, 64, {"bias": True}),
        (64, 64, {"bias": True}),
    ],
)
def test_other_convolutions_are_called(
    ins: int, outs: int, settings: dict[str, object], calls: list[ConvolutionKind]
) -> None:
    """Norm, ReLU and pooling after them are fused, unless torch's result is not channels last: by circular padding."""
    torch.manual_seed(0)
    images = channels_last(2, ins, 16, 16)
    network, one = convolved(images, outs, **settings)
    close(passed(one, images), passed(network, images))

    assert calls == ([] if "padding_mode" in settings else [NONE])


def test_a_copy_of_a_network_has_convolutions_of_its_own() -> None:
    torch.manual_seed(0)
    images = channels_last(3, 3, 8, 8)
    _, one = convolved(images, 64)
    other = copy.deepcopy(one)
    with torch.no_grad():
        other[0].weight.zero_()  # type: ignore[union-attr, operator]
    close({"result": other(images)[0, :, 0, 0]}, {"result": other[1].bias.relu()})  # type: ignore[union-attr, operator]
    assert not torch.equal(one(images), other(images))


def test_single_precision_of_a_convolution_is_as_near_to_double_as_torch_s() -> None:
    torch.manual_seed(0)
    images = channels_last(10, 3, 32, 32).float().double()
    network, _ = convolved(images, 64)
    gradient = torch.randn(10, 64, 16, 16).double()
    exact = taken(network, images, gradient)
    _, one = convolved(images.float(), 64)
    one.load_state_dict(network.float().state_dict())
    for each in (one, network):
        each.load_state_dict({**each.state_dict(), "1.running_mean": torch.zeros(64), "1.running_var": torch.ones(64)})
    found, torch_s = (taken(each, images.float(), gradient.float()) for each in (one, network))
    for name in ("result", "0.weight", "1.weight", "1.bias"):
        errors = [float((each[name] - exact[name]).abs().max()) for each in (found, torch_s)]
        assert errors[0] <= 2 * errors[1] + 1e-6, name
