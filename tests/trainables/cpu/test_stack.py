"""ConvNormReluPoolStack: torch's layers under torch's names, whose groups are fused only where it gives the same."""

import copy
from collections.abc import Callable

import pytest
import torch
from groups import channels_last, close, group, native_stack, passed
from torch import Tensor, nn

from crossarch.trainables.cpu.fused import ConvolutionKind
from crossarch.trainables.cpu.layers import Conv2d, ConvNormReluPoolStack, use_native, use_stride_by_slicing
from crossarch.trainables.methods.drop_path import VirtualShortcut, add_virtual_shortcuts

NONE, DIRECT, WINOGRAD = ConvolutionKind.NONE, ConvolutionKind.DIRECT, ConvolutionKind.WINOGRAD


def two_groups(dtype: torch.dtype = torch.float64) -> ConvNormReluPoolStack:
    """For images of 3 channels: a direct convolution, and one of Winograd's."""
    torch.manual_seed(0)
    first = group(64, dtype, Conv2d(3, 64, 3, padding=1, bias=False))
    second = group(64, dtype, Conv2d(64, 64, 3, padding=1, bias=False))
    return ConvNormReluPoolStack(*first, *second)


def test_names_order_and_values_are_those_of_a_plain_sequence(calls: list[ConvolutionKind]) -> None:
    stack = two_groups()
    plain = nn.Sequential(*copy.deepcopy(stack))
    images = channels_last(4, 3, 16, 16)

    assert list(stack.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in stack.named_modules()] == [name for name, _ in plain.named_modules()]
    found, expected = passed(stack, images), passed(plain, images)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert calls == []


@pytest.mark.usefixtures("with_library")
def test_switched_on_it_fuses_every_group_and_keeps_names(calls: list[ConvolutionKind]) -> None:
    stack = two_groups()
    one = copy.deepcopy(stack)
    use_native(nn.ModuleList([one]))
    images = channels_last(4, 3, 16, 16)

    close({"result": one(images)}, {"result": stack(images)}, 1e-10)
    assert calls == [DIRECT, WINOGRAD]
    images.requires_grad_()
    one(images)
    assert calls[2:] == [NONE, WINOGRAD]
    assert list(one.state_dict()) == list(stack.state_dict())
    again = copy.deepcopy(one)
    again.load_state_dict(stack.state_dict())
    assert torch.equal(again.eval()(images), stack.eval()(images))
    assert len(calls) == 4


def test_layers_that_are_not_groups_of_four_are_refused() -> None:
    with pytest.raises(ValueError, match="5 layers are not groups of convolution, norm, ReLU and pooling"):
        ConvNormReluPoolStack(*group(4), nn.ReLU())


class OtherNorm(nn.BatchNorm2d):
    """Its forward pass is another than BatchNorm's."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        return 2 * super().forward(input)


UNSUITED: dict[str, Callable[[nn.Sequential], None]] = {
    "norm without scale and shift": lambda layers: layers.__setitem__(1, nn.BatchNorm2d(4, affine=False)),
    "norm without running statistics": lambda layers: layers.__setitem__(
        1, nn.BatchNorm2d(4, track_running_stats=False)
    ),
    "norm of cumulative average": lambda layers: layers.__setitem__(1, nn.BatchNorm2d(4, momentum=None)),
    "another norm": lambda layers: layers.__setitem__(1, nn.GroupNorm(4, 4)),
    "a norm's subclass": lambda layers: layers.__setitem__(1, OtherNorm(4)),
    "ReLU out of place": lambda layers: layers.__setitem__(2, nn.ReLU()),
    "another activation": lambda layers: layers.__setitem__(2, nn.LeakyReLU(inplace=True)),
    "pooling of 3 x 3": lambda layers: layers.__setitem__(3, nn.AvgPool2d(3)),
    "overlapping pooling": lambda layers: layers.__setitem__(3, nn.AvgPool2d(2, stride=1)),
    "padded pooling": lambda layers: layers.__setitem__(3, nn.AvgPool2d(2, padding=1)),
    "pooling with a divisor": lambda layers: layers.__setitem__(3, nn.AvgPool2d(2, divisor_override=3)),
    "another pooling": lambda layers: layers.__setitem__(3, nn.MaxPool2d(2)),
}


@pytest.mark.parametrize("change", UNSUITED)
def test_a_group_with_other_layers_is_called_layer_by_layer(change: str, calls: list[ConvolutionKind]) -> None:
    torch.manual_seed(0)
    network = group(4, conv=Conv2d(3, 4, 3, padding=1, bias=False))
    UNSUITED[change](network)
    network.double()
    images = channels_last(3, 3, 8, 8)

    close(passed(native_stack(network), images), passed(network, images))
    assert calls == []


@pytest.mark.usefixtures("with_library")
@pytest.mark.parametrize(
    ("replaced", "fused"),
    [("4", [DIRECT, NONE]), ("5", [DIRECT]), ("6", [DIRECT]), ("7", [DIRECT]), ("0", [NONE, WINOGRAD])],
)
def test_a_replaced_layer_is_called(replaced: str, fused: list[ConvolutionKind], calls: list[ConvolutionKind]) -> None:
    """By a virtual shortcut, as `add_virtual_shortcuts` replaces it."""
    stack = two_groups()
    if replaced == "6":  # in place, which `add_virtual_shortcuts` refuses
        setattr(stack, replaced, VirtualShortcut(nn.ReLU(), nn.Identity()))
    else:
        add_virtual_shortcuts(stack, [replaced], torch.randn(2, 3, 16, 16).double())
    one = copy.deepcopy(stack)
    use_native(one)
    images = channels_last(4, 3, 16, 16)

    assert isinstance(getattr(one, replaced), VirtualShortcut)
    close({"result": one(images)}, {"result": stack(images)}, 1e-10)
    assert calls == fused


def test_a_whole_stack_can_be_bridged() -> None:
    network = nn.Module()
    network.features = two_groups().float()
    network.forward = lambda images: network.features(images)  # type: ignore[method-assign]
    add_virtual_shortcuts(network, ["features"], torch.randn(2, 3, 16, 16))

    assert isinstance(network.features, VirtualShortcut)
    assert network(torch.randn(2, 3, 16, 16)).shape == (2, 64, 4, 4)


def test_hooks_of_the_layers_are_called_until_native_kernels_are_switched_on() -> None:
    stack, seen = two_groups(torch.float32), list[str]()
    for name, layer in stack.named_children():
        layer.register_forward_hook(lambda layer, given, result, name=name: seen.append(name))
    stack(torch.randn(2, 3, 16, 16))

    assert seen == [str(index) for index in range(8)]


def test_use_native_switches_on_what_computes_on_its_own() -> None:
    """The convolutions that a stack fuses are left to it; those that it cannot fuse are switched on."""
    biased = group(64, torch.float32, Conv2d(64, 64, 3, padding=1))
    network = nn.ModuleList([two_groups(), ConvNormReluPoolStack(*biased), Conv2d(64, 64, 3), nn.Conv2d(64, 64, 3)])
    layers = [module for module in network.modules() if isinstance(module, Conv2d | ConvNormReluPoolStack)]
    assert not any(layer.native for layer in layers)
    use_stride_by_slicing(network)
    assert not any(layer.native for layer in layers)
    use_native(network)

    on = [name for name, module in network.named_modules() if getattr(module, "native", False)]
    assert on == ["0", "1", "1.0", "2"]
