"""With the native kernels, and without."""

from collections.abc import Callable

import pytest
from torch import Tensor

from crossarch.trainables.cpu import block, native
from crossarch.trainables.cpu.winograd import NONE


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
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The kinds of convolution of what goes by the kernel."""
    seen: list[int] = []
    by_kernel: Callable[..., Tensor] = block.block

    def noted(kind: int, images: Tensor, weight: Tensor | None, *values: object) -> Tensor:
        seen.append(NONE if weight is None else kind)
        return by_kernel(kind, images, weight, *values)

    monkeypatch.setattr(block, "block", noted)
    return seen
