"""Each operation against a slow reference of its own, sample by sample, and what all of them promise."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from crossarch.trainables.config.run import AUGMENTATIONS
from crossarch.trainables.methods import augmentation
from crossarch.trainables.methods.augmentation import POOL, uniform

each_shape = pytest.mark.parametrize(("channels", "side"), [(1, 32), (3, 32), (3, 64)])
each_operation = pytest.mark.parametrize("name", AUGMENTATIONS)

Strengths = Callable[..., None]


def batch(samples: int, channels: int, side: int) -> Tensor:
    generator = torch.Generator().manual_seed(samples)
    return torch.randn(samples, channels, side, side, dtype=torch.float64, generator=generator)


@pytest.fixture
def strengths(monkeypatch: pytest.MonkeyPatch) -> Strengths:
    """Lets the operations draw the given strengths, each (N, ...), in place of random ones."""

    def give(*values: Tensor) -> None:
        left = list(values)

        def drawn(images: Tensor, low: float, high: float, *shape: int) -> Tensor:
            value = left.pop(0).to(images).reshape(len(images), *shape)
            assert low <= float(value.min()) <= float(value.max()) <= high
            return value

        monkeypatch.setattr(augmentation, "uniform", drawn)

    return give


# The operations, one by one


@each_shape
def test_crop_is_a_shift_by_whole_pixels(channels: int, side: int) -> None:
    images = batch(12, channels, side)
    limit = side // 8
    shifts = list(itertools.product(range(-limit, limit + 1), repeat=2))
    torch.manual_seed(0)

    for before, after in zip(images, augmentation.crop(images), strict=True):
        padded = torch.zeros(channels, side + 2 * limit, side + 2 * limit, dtype=images.dtype)
        padded[:, limit : limit + side, limit : limit + side] = before
        views = [padded[:, limit + y : limit + y + side, limit + x : limit + x + side] for y, x in shifts]
        assert sum(torch.equal(after, view) for view in views) == 1


def test_crop_shifts_by_each_distance_and_no_further() -> None:
    """Read off an image whose pixels number its rows and columns."""
    index = torch.arange(32.0)
    images = torch.stack([index[:, None].expand(32, 32), index.expand(32, 32)]).expand(4000, 2, 32, 32)
    torch.manual_seed(0)
    centres = augmentation.crop(images)[:, :, 16, 16] - 16

    counts = [torch.bincount((shift + 4).long(), minlength=9) for shift in centres.unbind(1)]
    for count in counts:
        assert len(count) == 9
        expected, sigma = 4000 / 9, math.sqrt(4000 * 8 / 81)
        assert (count - expected).abs().max() < 4.5 * sigma
    assert len({(y, x) for y, x in centres.long().tolist()}) == 81


@each_shape
def test_cutout_is_a_square_of_zeros(channels: int, side: int) -> None:
    images = batch(12, channels, side)
    torch.manual_seed(0)

    for before, after in zip(images, augmentation.cutout(images), strict=True):
        hole = (after == 0).all(0)
        rows, columns = hole.any(1).nonzero().flatten().tolist(), hole.any(0).nonzero().flatten().tolist()
        expected = before.clone()
        for row, column in itertools.product(rows, columns):
            expected[:, row, column] = 0
        assert torch.equal(after, expected)
        for found in (rows, columns):
            assert found == list(range(found[0], found[-1] + 1))
            cut_off = found[0] == 0 or found[-1] == side - 1
            assert len(found) == side // 2 or (cut_off and side // 4 <= len(found) < side // 2)


def test_cutout_has_its_centre_anywhere_in_the_image() -> None:
    torch.manual_seed(0)
    holes = augmentation.cutout(torch.ones(4000, 1, 32, 32))[:, 0] == 0
    heights = holes.any(2).sum(1)
    assert int(heights.min()) == 8
    tops = holes.any(2).float().argmax(1)
    whole = heights == 16

    assert {int(top) for top in tops[whole]} == set(range(17))
    assert int(heights.max()) == 16
    # The centre is one of 33 rows; 17 of them keep the whole square inside.
    assert float(whole.float().mean()) == pytest.approx(17 / 33, abs=4.5 * math.sqrt(0.25 / 4000))


@each_shape
def test_flip_mirrors_about_half_of_the_samples(channels: int, side: int) -> None:
    images = batch(200, channels, side)
    torch.manual_seed(0)
    flipped = 0
    for before, after in zip(images, augmentation.flip(images), strict=True):
        mirrored = torch.stack([before[:, :, side - 1 - column] for column in range(side)], 2)
        flipped += torch.equal(after, mirrored)
        assert torch.equal(after, mirrored) != torch.equal(after, before)

    assert flipped == pytest.approx(100, abs=4.5 * math.sqrt(50))


@each_shape
def test_color_is_brightness_then_saturation_then_contrast(channels: int, side: int, strengths: Strengths) -> None:
    images = batch(3, channels, side)
    brightness = torch.tensor([-0.5, 0.1, 0.5], dtype=torch.float64)
    saturation = torch.tensor([0.0, 1.3, 2.0], dtype=torch.float64)
    contrast = torch.tensor([0.5, 1.1, 1.5], dtype=torch.float64)
    strengths(brightness, saturation, contrast)

    result = augmentation.color(images)

    for sample in range(3):
        expected = images[sample] + brightness[sample]
        grey = sum(expected) / channels
        expected = torch.stack([grey + saturation[sample] * (channel - grey) for channel in expected])
        mean = expected.sum() / expected.numel()
        expected = mean + contrast[sample] * (expected - mean)
        torch.testing.assert_close(result[sample], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_scale_is_bilinear_reading_with_a_factor_for_each_axis(channels: int, strengths: Strengths) -> None:
    images = batch(3, channels, 32)
    factors = torch.tensor([[1 / 1.2, 1.2], [1.1, 0.9], [1.0, 1.0]], dtype=torch.float64)
    strengths(factors)

    result = augmentation.scale(images)

    for sample, (across, down) in enumerate(factors.tolist()):
        expected = read_bilinearly(images[sample], [[across, 0.0], [0.0, down]])
        torch.testing.assert_close(result[sample], expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(result[2], images[2])


@pytest.mark.parametrize("channels", [1, 3])
def test_rotate_is_bilinear_reading_about_the_centre(channels: int, strengths: Strengths) -> None:
    images = batch(3, channels, 32)
    degrees = torch.tensor([-15.0, 7.0, 0.0], dtype=torch.float64)
    strengths(degrees)

    result = augmentation.rotate(images)

    for sample, angle in enumerate(math.radians(value) for value in degrees.tolist()):
        turn = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        torch.testing.assert_close(result[sample], read_bilinearly(images[sample], turn), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(result[2], images[2])


def read_bilinearly(image: Tensor, linear: list[list[float]]) -> Tensor:
    """Each pixel of the result from where `linear` times its coordinates, from -1 to 1 (x, y), points to."""
    side = image.shape[-1]
    result = torch.zeros_like(image)
    for row, column in itertools.product(range(side), range(side)):
        x, y = (2 * column + 1) / side - 1, (2 * row + 1) / side - 1
        from_x = ((linear[0][0] * x + linear[0][1] * y + 1) * side - 1) / 2
        from_y = ((linear[1][0] * x + linear[1][1] * y + 1) * side - 1) / 2
        left, top = math.floor(from_x), math.floor(from_y)
        for near_y, near_x in itertools.product((top, top + 1), (left, left + 1)):
            if 0 <= near_y < side and 0 <= near_x < side:
                weight = (1 - abs(from_x - near_x)) * (1 - abs(from_y - near_y))
                result[:, row, column] += weight * image[:, near_y, near_x]
    return result


# What all operations promise


def test_strengths_fill_their_range() -> None:
    torch.manual_seed(0)
    drawn = uniform(torch.zeros(10_000, 1), -2.0, 3.0)

    assert -2 <= float(drawn.min()) < -1.99
    assert 2.99 < float(drawn.max()) < 3
    assert float(drawn.mean()) == pytest.approx(0.5, abs=4.5 * 5 / math.sqrt(12 * 10_000))


@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("color", [(-0.5, 0.5), (0.0, 2.0), (0.5, 1.5)]),
        ("scale", [(1 / 1.2, 1.2)]),
        ("rotate", [(-15.0, 15.0)]),
    ],
)
def test_ranges_are_those_of_the_notes(
    name: str, ranges: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def spy(images: Tensor, low: float, high: float, *shape: int) -> Tensor:
        asked.append((low, high))
        return uniform(images, low, high, *shape)

    monkeypatch.setattr(augmentation, "uniform", spy)
    POOL[name](batch(2, 3, 32))

    assert asked == ranges


@each_operation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each_shape
def test_shape_and_type_are_kept_and_the_input_is_not_written_to(
    name: str, dtype: torch.dtype, channels: int, side: int
) -> None:
    images = batch(2, channels, side).to(dtype)
    before = images.clone()

    result = POOL[name](images)

    assert (result.shape, result.dtype) == (images.shape, dtype)
    assert torch.equal(images, before)


@each_operation
def test_strengths_differ_between_samples(name: str) -> None:
    torch.manual_seed(0)
    same = batch(1, 3, 32).expand(12, 3, 32, 32)
    variants = {tuple(sample.flatten().tolist()) for sample in POOL[name](same)}

    assert len(variants) == 2 if name == "flip" else len(variants) >= 10


@each_operation
def test_a_seed_repeats_it(name: str) -> None:
    images = batch(6, 3, 32)
    torch.manual_seed(3)
    first = POOL[name](images)
    torch.manual_seed(3)

    assert torch.equal(POOL[name](images), first)
    assert not torch.equal(POOL[name](images), first)


def test_the_order_of_two_warps_matters_with_the_same_strengths(strengths: Strengths) -> None:
    images = batch(2, 1, 32)
    factors = torch.tensor([[1.2, 0.9], [0.9, 1.2]], dtype=torch.float64)
    degrees = torch.tensor([15.0, -15.0], dtype=torch.float64)
    strengths(factors, degrees)
    scaled_first = augmentation.rotate(augmentation.scale(images))
    strengths(degrees, factors)
    rotated_first = augmentation.scale(augmentation.rotate(images))

    assert float((scaled_first - rotated_first).abs().mean()) > 0.1
