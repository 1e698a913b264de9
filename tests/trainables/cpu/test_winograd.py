"""Winograd's convolution is the convolution, with its gradients, and is taken only where it is of use."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn

from crossarch.trainables.cpu import native, winograd
from crossarch.trainables.cpu.layers import Conv2d, use_native
from crossarch.trainables.cpu.winograd import convolve

SHAPES = [(1, 32, 32, 4, 4), (2, 32, 96, 8, 8), (3, 288, 64, 4, 12), (5, 64, 160, 16, 8), (11, 32, 352, 4, 4)]
"""Images, channels in and out, height and width."""

pytestmark = pytest.mark.usefixtures("with_library")


def case(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    count, ins, outs, height, width = shape
    torch.manual_seed(0)
    images, weight = torch.randn(count, ins, height, width, dtype=dtype), torch.randn(outs, ins, 3, 3, dtype=dtype)
    return images.requires_grad_(), weight.requires_grad_()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("block", [1, 17, 256])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_the_convolution_s(
    shape: tuple[int, ...], block: int, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether all images are one block, or each its own, or blocks are of unequal size: of 2, 2 and 1."""
    monkeypatch.setattr(winograd, "BLOCK", block)
    images, weight = case(shape)
    assert block != 17 or shape != SHAPES[3] or winograd.images_per_block(images.permute(0, 2, 3, 1)) == 2
    laid = images.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)
    expected, found = F.conv2d(*laid, padding=1), convolve(*laid)
    slope = torch.randn_like(expected)

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    for one, other in zip(
        torch.autograd.grad(found, (images, weight), slope),
        torch.autograd.grad(expected, (images, weight), slope),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("wanted", [0, 1])
def test_a_gradient_that_nobody_asks_for_is_not_needed_for_the_other(wanted: int) -> None:
    tensors = case(SHAPES[1])
    tensors[1 - wanted].requires_grad_(False)
    expected, found = (of(*tensors).square().sum() for of in (lambda *two: F.conv2d(*two, padding=1), convolve))

    torch.testing.assert_close(
        *(torch.autograd.grad(each, tensors[wanted])[0] for each in (found, expected)), rtol=1e-12, atol=1e-10
    )


def test_rounding_in_single_precision_is_small() -> None:
    """Root of mean square, over the standard deviation of the result."""
    images, weight = case((10, 128, 256, 16, 16), torch.float32)
    with torch.no_grad():
        exact = F.conv2d(images.double(), weight.double(), padding=1)
        errors = [
            float((found.double() - exact).square().mean().sqrt() / exact.std())
            for found in (convolve(images, weight), F.conv2d(images, weight, padding=1))
        ]

    assert errors[0] < 2e-5
    assert errors[1] < errors[0]


def network(**changes: object) -> Conv2d:
    settings = {"in_channels": 64, "out_channels": 64, "kernel_size": 3, "padding": 1, **changes}
    return Conv2d(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("bias", [False, True])
def test_a_suited_convolution_computes_as_before_and_keeps_its_weights(
    bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    convolution = network(bias=bias, out_channels=96).double()
    images = torch.randn(2, 64, 16, 16, dtype=torch.float64)
    expected, weights = convolution(images), dict(convolution.state_dict())
    use_native(nn.Sequential(convolution))
    monkeypatch.setattr(nn.Conv2d, "forward", lambda *_: pytest.fail("torch's convolution was called"))

    torch.testing.assert_close(convolution(images), expected, rtol=0, atol=1e-12)
    assert all(torch.equal(value, weights[name]) for name, value in convolution.state_dict().items())


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel_size": 1, "padding": 0},
        {"kernel_size": 5},
        {"stride": 2},
        {"padding": 0},
        {"dilation": 2},
        {"groups": 2},
        {"padding_mode": "circular"},
        {"in_channels": 32},
        {"out_channels": 32},
        {"in_channels": 80},
        {"out_channels": 80},
    ],
    ids=str,
)
def test_any_other_convolution_is_torch_s(changes: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "convolve", lambda *_: pytest.fail("convolve was called"))
    convolution = network(**changes)
    images = torch.randn(2, convolution.in_channels, 16, 16)
    expected = convolution(images)
    use_native(convolution)

    assert torch.equal(convolution(images), expected)


@pytest.mark.parametrize(
    ("shape", "taken"),
    [((2, 64, 16, 16), True), ((10, 64, 4, 4), True), ((9, 64, 4, 4), False), ((20, 64, 6, 16), False)],
)
def test_it_is_taken_for_whole_tiles_and_enough_of_them(
    shape: tuple[int, ...], taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def noted(images: Tensor, weight: Tensor) -> Tensor:
        calls.append(images.shape)
        return convolve(images, weight)

    monkeypatch.setattr(winograd, "convolve", noted)
    convolution = network()
    images = torch.randn(*shape)
    expected = convolution(images)
    use_native(convolution)

    torch.testing.assert_close(convolution(images), expected, rtol=1e-3, atol=1e-3)
    assert calls == [images.shape] * taken


@pytest.mark.parametrize("reason", ["library", "threads", "type", "subclass"])
def test_without_a_kernel_it_is_direct(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    convolve = winograd.convolve
    monkeypatch.setattr(winograd, "convolve", lambda *_: pytest.fail("convolve was called"))
    convolution, images = network(), torch.randn(2, 64, 16, 16)
    match reason:
        case "library":
            monkeypatch.setattr(native, "library", lambda: None)
        case "threads":
            monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
        case "type":
            convolution, images = convolution.bfloat16(), images.bfloat16()
        case "subclass":
            images = nn.Buffer(images).as_subclass(Unknown)

    expected = convolution(images)
    use_native(convolution)

    torch.testing.assert_close(convolution(images), expected)
    if reason != "subclass":  # autograd hands a plain tensor on
        with pytest.raises(RuntimeError, match="no native kernel winograd_forward"):
            convolve(images, convolution.weight)


class Unknown(Tensor):
    """One whose memory may not be where a plain tensor's is."""


def test_a_result_is_kept_when_scratch_is_used_again() -> None:
    """Forward and backward of two in a row, of unequal sizes, whose results are looked at only at the end."""
    torch.manual_seed(0)
    images = torch.randn(2, 32, 8, 8, dtype=torch.float64, requires_grad=True)
    weights = [torch.randn(*shape, 3, 3, dtype=torch.float64, requires_grad=True) for shape in ((64, 32), (32, 64))]
    results = []
    for each in (lambda *two: F.conv2d(*two, padding=1), convolve):
        first = each(images, weights[0])
        second = each(first, weights[1])
        results.append((first, second, *torch.autograd.grad(second.square().sum(), (images, *weights))))

    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-7)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_number_that_is_none_is_seen(value: float) -> None:
    images, weight = case(SHAPES[1])
    images.data[0, 0, 3, 3] = value

    assert not convolve(images, weight)[0, :, 3, 3].isfinite().any()


def test_what_memory_held_before_changes_no_bit() -> None:
    """Of another convolution, all of whose numbers are none."""
    images, weight = case(SHAPES[1])
    results = []
    for _ in range(2):
        found = convolve(images, weight)
        results.append((found, *torch.autograd.grad(found.square().sum(), (images, weight))))
        lost = convolve(images * torch.nan, weight)
        torch.autograd.grad(lost.sum(), (images, weight))

    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
