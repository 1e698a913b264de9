"""With the native kernels, and without."""

import pytest

from crossarch.trainables.cpu import native


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
