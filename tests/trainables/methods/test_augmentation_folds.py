"""k-fold augmentation: k different operations, in any order, and none of them fused."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from crossarch.trainables.config.run import AUGMENTATIONS
from crossarch.trainables.methods.augmentation import POOL, augment


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the operations that were applied, in order."""
    names: list[str] = []

    def recorder(name: str) -> Callable[[Tensor], Tensor]:
        return lambda images: names.append(name) or images  # type: ignore[func-returns-value]

    for name in AUGMENTATIONS:
        monkeypatch.setitem(POOL, name, recorder(name))
    return names


def test_the_pool_of_the_configuration_is_all_there_is() -> None:
    assert set(POOL) == set(AUGMENTATIONS)


@pytest.mark.parametrize("folds", range(7))
def test_as_many_operations_as_folds_and_none_twice(folds: int, drawn: list[str]) -> None:
    torch.manual_seed(0)
    for _ in range(100):
        drawn.clear()
        augment(torch.zeros(2, 3, 4, 4), folds, AUGMENTATIONS)
        assert len(drawn) == len(set(drawn)) == folds


def test_every_ordered_pair_is_drawn_equally_often(drawn: list[str]) -> None:
    torch.manual_seed(0)
    for _ in range(3000):
        augment(torch.zeros(1), 2, AUGMENTATIONS)
    pairs = list(zip(drawn[::2], drawn[1::2], strict=True))
    counts = {pair: pairs.count(pair) for pair in itertools.permutations(AUGMENTATIONS, 2)}

    assert sum(counts.values()) == 3000
    assert all(abs(count - 100) < 4.5 * math.sqrt(100 * 29 / 30) for count in counts.values())


def test_only_the_pool_is_drawn_from(drawn: list[str]) -> None:
    for _ in range(50):
        augment(torch.zeros(1), 1, ("crop", "scale"))

    assert set(drawn) == {"crop", "scale"}


def test_no_folds_leave_the_images_alone() -> None:
    images = torch.randn(2, 3, 32, 32)

    assert augment(images, 0, AUGMENTATIONS) is images


def test_operations_follow_one_another_as_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not fused, not sorted: adding before doubling is another result than after."""
    monkeypatch.setitem(POOL, "crop", lambda images: images + 1)
    monkeypatch.setitem(POOL, "flip", lambda images: images * 2)
    torch.manual_seed(0)

    results = {float(augment(torch.ones(1), 2, ("crop", "flip"))) for _ in range(50)}

    assert results == {(1 + 1) * 2, 1 * 2 + 1}


@pytest.mark.parametrize("folds", [1, 2, 4])
def test_augmentation_repeats_under_a_seed(folds: int) -> None:
    images = torch.randn(4, 3, 32, 32)
    torch.manual_seed(5)
    first = augment(images, folds, AUGMENTATIONS)
    torch.manual_seed(5)

    assert torch.equal(augment(images, folds, AUGMENTATIONS), first)
    assert not torch.equal(first, images)
