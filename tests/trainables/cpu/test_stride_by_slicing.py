"""A strided 1x1 convolution of few channels that takes its stride by slicing gives what torch's gives."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from crossarch.trainables.cpu.layers import Conv2d, use_stride_by_slicing


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("stride", [2, (1, 3)])
def test_values_and_gradients_are_the_convolution_s(stride: int | tuple[int, int], bias: bool) -> None:
    images = torch.randn(3, 4, 7, 8, dtype=torch.float64, requires_grad=True)
    convolution = Conv2d(4, 6, 1, stride=stride, bias=bias).double()
    results = []
    for _ in range(2):
        found = convolution(images)
        results.append((found, *torch.autograd.grad(found.square().sum(), (images, *convolution.parameters()))))
        use_stride_by_slicing(nn.Sequential(convolution))

    assert convolution.stride_by_slicing
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_torch_s_strided_convolution_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor its gradient, which is what crashes."""
    convolution, images = Conv2d(4, 6, 1, stride=2), torch.randn(3, 4, 8, 8)
    use_stride_by_slicing(convolution)
    monkeypatch.setattr(nn.Conv2d, "forward", lambda *arguments: pytest.fail("torch's convolution was called"))

    assert convolution(images).shape == (3, 6, 4, 4)


@pytest.mark.parametrize(
    "convolution",
    [
        Conv2d(8, 4, 1, stride=2),
        Conv2d(4, 4, 1),
        Conv2d(4, 4, 3, stride=2),
        Conv2d(4, 4, 1, 2, padding=1),
        Conv2d(4, 4, 1, 2, groups=2),
    ],
)
def test_any_other_is_left_as_it_is(convolution: Conv2d) -> None:
    use_stride_by_slicing(convolution)

    assert not convolution.stride_by_slicing


@pytest.mark.parametrize("engine", ["fast", "fast_bfloat16"])
def test_a_narrow_resnet_trains_fast_without_ending_its_process(engine: str) -> None:
    """Its original shortcut has such convolutions of 4 channels."""
    code = f"""
import sys
sys.path.insert(0, "tests")
from pathlib import Path
from settings import make
from crossarch.trainables.cpu.layers import Conv2d
from crossarch.trainables.data.library import Library
from crossarch.trainables.training.engine import train
config = make("resnet18", "batch", "baseline").replace({{"engine": "{engine}"}})
progress = train(config, Library(Path()).images("digits", "channel"))
print([module.in_channels for module in progress.model.modules() if getattr(module, "stride_by_slicing", False)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[4]"
