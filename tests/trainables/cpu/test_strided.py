"""A strided convolution of 1 x 1 is what it was, but never torch's own of few channels."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from crossarch.trainables.cpu.strided import StridedConv2d, use_strided


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("stride", [2, (1, 3)])
def test_values_and_gradients_are_the_convolution_s(stride: int | tuple[int, int], bias: bool) -> None:
    images = torch.randn(3, 4, 7, 8, dtype=torch.float64, requires_grad=True)
    convolution = nn.Conv2d(4, 6, 1, stride=stride, bias=bias).double()
    results = []
    for _ in range(2):
        found = convolution(images)
        results.append((found, *torch.autograd.grad(found.square().sum(), (images, *convolution.parameters()))))
        use_strided(nn.Sequential(convolution))

    assert type(convolution) is StridedConv2d
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "convolution",
    [nn.Conv2d(8, 4, 1, stride=2), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, stride=2), nn.Conv2d(4, 4, 1, 2, padding=1)],
)
def test_any_other_stays_what_it_was(convolution: nn.Conv2d) -> None:
    use_strided(convolution)

    assert type(convolution) is nn.Conv2d


def test_a_narrow_resnet_trains_fast_without_ending_its_process() -> None:
    """Its original shortcut has such convolutions of 4 channels."""
    code = """
import sys
sys.path.insert(0, "tests")
from pathlib import Path
from settings import make
from crossarch.trainables.data.library import Library
from crossarch.trainables.training.engine import train
config = make("resnet18", "batch", "baseline").replace({"engine": "fast"})
print(train(config, Library(Path()).images("digits", "channel")).steps)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
