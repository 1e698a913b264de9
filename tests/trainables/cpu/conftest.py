"""With the native kernels, and without."""

import pytest
from torch import Tensor, nn

from crossarch.trainables.cpu import fused, native
from crossarch.trainables.cpu.fused import ConvolutionKind


@pytest.fixture
def with_library() -> None:
    """Skips where no kernels could be compiled."""
    if native.library() is None:
        pytest.skip("no native kernels on this machine")


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)


@pytest.fixture(params=["with_library", "without_library"])
def library(request: pytest.FixtureRequest) -> bool:
    """Once with the kernels, once without."""
    request.getfixturevalue(request.param)
    return bool(request.param == "with_library")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[ConvolutionKind]:
    """The kinds of convolution of the calls of the fused kernel."""
    seen: list[ConvolutionKind] = []
    by_kernel = fused.conv_norm_relu_pool

    def noted(kind: ConvolutionKind, images: Tensor, conv_weight: Tensor | None, norm: nn.BatchNorm2d) -> Tensor:
        seen.append(kind)
        return by_kernel(kind, images, conv_weight, norm)

    monkeypatch.setattr(fused, "conv_norm_relu_pool", noted)
    return seen
