"""ReLU and pooling in one give what the two give, to the bit, and stand only where the two stood."""

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn

from crossarch.trainables.cpu.rectified_pool import RectifiedPool, rectified_pool, use_rectified_pool


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (3, 5, 4, 6), (2, 16, 8, 8), (2, 3, 7, 4), (2, 3, 4, 7)])
def test_values_and_gradient_are_those_of_the_two(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    images = torch.randn(shape).contiguous(memory_format=layout).requires_grad_()
    expected, found = F.avg_pool2d((2 * images).relu_(), 2), rectified_pool(2 * images)
    slope = torch.randn_like(expected)

    assert torch.equal(found, expected)
    assert torch.equal(*(torch.autograd.grad(each, images, slope)[0] for each in (found, expected)))


def test_units_at_0_get_no_gradient() -> None:
    images = torch.tensor([[[[-1.0, 0.0], [2.0, -0.0]]]], requires_grad=True)
    (slope,) = torch.autograd.grad(rectified_pool(1 * images).sum(), images)

    assert slope.tolist() == [[[[0, 0], [0.25, 0]]]]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AvgPool2d(2))
    return nn.Sequential(block, nn.Conv2d(4, 2, 1), nn.ReLU(inplace=True), nn.AvgPool2d(2))


@pytest.mark.parametrize("training", [True, False])
def test_a_network_computes_as_before_by_the_same_names(training: bool) -> None:
    plain = network().train(training)
    joined = copy.deepcopy(plain)
    use_rectified_pool(joined)
    images = torch.randn(2, 3, 8, 8)
    losses = [each(images).square().sum() for each in (plain, joined)]
    slopes: list[dict[str, Tensor]] = []
    for each, loss in zip((plain, joined), losses, strict=True):
        loss.backward()
        slopes.append({name: value.grad for name, value in each.named_parameters() if value.grad is not None})

    assert sum(isinstance(module, RectifiedPool) for module in joined.modules()) == 2
    assert torch.equal(*losses)
    assert list(plain.state_dict()) == list(joined.state_dict())
    assert slopes[0].keys() == slopes[1].keys() == dict(plain.named_parameters()).keys()
    assert all(torch.equal(value, slopes[1][name]) for name, value in slopes[0].items())


@pytest.mark.parametrize(
    "layers",
    [
        (nn.ReLU(), nn.AvgPool2d(2)),
        (nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        (nn.ReLU(inplace=True), nn.AvgPool2d(3)),
        (nn.ReLU(inplace=True), nn.AvgPool2d(2, stride=1)),
        (nn.ReLU(inplace=True), nn.AvgPool2d(2, padding=1)),
        (nn.ReLU(inplace=True), nn.AvgPool2d(2, divisor_override=3)),
        (nn.AvgPool2d(2), nn.ReLU(inplace=True)),
        (nn.ReLU(inplace=True), nn.Identity(), nn.AvgPool2d(2)),
    ],
    ids=str,
)
def test_other_layers_stay_what_they_were(layers: tuple[nn.Module, ...]) -> None:
    before = [type(each) for each in layers]
    use_rectified_pool(nn.Sequential(*layers))

    assert [type(each) for each in layers] == before
