"""Pictures of a distilled set: what is drawn is what the set has."""

import pytest
import torch
from distilled_sets import manifest
from matplotlib.image import imread

from crossarch.platform.report.pictures import (
    CELL_INCHES,
    GAP,
    image_grid,
    label_histogram,
    side_by_side,
    write_pictures,
)

PNG = b"\x89PNG\r\n\x1a\n"
DPI = 150


def ramp(count, channels=3, side=4):
    """Images from 0 to 1 by their number, so that each can be told from the others."""
    return torch.linspace(0, 1, count).view(-1, 1, 1, 1).expand(count, channels, side, side).contiguous()


def named(images, labels=None, images_per_class=1, **changes):
    labels = torch.arange(len(images)) if labels is None else labels
    return manifest(images, labels, images_per_class=images_per_class, **changes)


def drawn(figure):
    """The pixels of the grid, as they were handed to matplotlib."""
    (axes,) = figure.axes
    (image,) = axes.images
    return torch.as_tensor(image.get_array().filled())


def title_of(figure):
    return figure.get_suptitle()


@pytest.mark.parametrize(("channels", "trailing"), [(1, ()), (3, (3,))], ids=["grey", "colour"])
def test_the_grid_has_every_image_in_its_place(channels, trailing):
    images = ramp(12, channels)
    sheet = drawn(image_grid(named(images, images_per_class=3), images))
    assert sheet.shape == (4 * 4 + 3 * GAP, 3 * 4 + 2 * GAP, *trailing)
    for index, image in enumerate(images):
        top, left = index // 3 * (4 + GAP), index % 3 * (4 + GAP)
        cell = sheet[top : top + 4, left : left + 4]
        assert torch.equal(cell, image.movedim(0, -1).squeeze(-1))


def test_pixels_keep_their_places_and_colours():
    image = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(side_by_side(image, 1), image[0].permute(1, 2, 0))


def test_a_row_that_is_not_full_ends_in_white():
    sheet = side_by_side(torch.zeros(3, 1, 4, 4), 2).squeeze(-1)
    assert float(sheet[-4:, -4:].min()) == 1
    assert float(sheet[:, 4 : 4 + GAP].min()) == 1
    assert int((sheet == 0).sum()) == 3 * 16


def test_values_outside_0_and_1_are_clipped():
    images = torch.tensor([-3.0, 0.25, 7.0]).view(3, 1, 1, 1).expand(3, 1, 4, 4)
    sheet = drawn(image_grid(named(images), images))
    assert [float(sheet[0, index * (4 + GAP)]) for index in range(3)] == [0, 0.25, 1]
    (image,) = image_grid(named(images), images).axes[0].images
    assert image.get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("count", "images_per_class", "grid"), [(10, 1, (1, 10)), (100, 10, (10, 10)), (40, 4, (10, 4))]
)
def test_a_class_is_a_row_and_one_image_a_class_is_one_row_of_ten(count, images_per_class, grid):
    images = ramp(count)
    sheet = drawn(image_grid(named(images, images_per_class=images_per_class), images))
    assert tuple(sheet.shape[:2]) == tuple(cells * (4 + GAP) - GAP for cells in grid)


def test_more_than_400_images_are_cut_and_the_title_says_so():
    images = ramp(500)
    figure = image_grid(named(images, images_per_class=50), images)
    assert tuple(drawn(figure).shape[:2]) == (20 * (4 + GAP) - GAP,) * 2
    assert torch.equal(drawn(figure)[-4:, -4:], images[399].movedim(0, -1))
    assert title_of(figure) == "small, whitening zca undone, the first 400 of 500"


def test_the_title_says_no_more_where_all_are_shown():
    images = ramp(400)
    assert title_of(image_grid(named(images, images_per_class=40), images)) == "small, whitening zca undone"


def heights(figure):
    (axes,) = figure.axes
    (bars,) = axes.containers
    return [int(bar.get_height()) for bar in bars]


def test_hard_labels_are_counted():
    labels = torch.tensor([0, 2, 2, 3, 3, 3])
    figure = label_histogram(named(ramp(6), labels), labels)
    assert heights(figure) == [1, 0, 2, 3]
    assert figure.axes[0].get_title() == "small: hard labels"
    assert figure.axes[0].get_ylabel() == "images"


def test_soft_labels_are_counted_by_their_largest_entry_over_all_classes():
    labels = torch.tensor([[0.5, 0.2, 0.3], [0.6, 0.4, 0.0], [0.1, 0.9, 0.0]])
    figure = label_histogram(named(ramp(3), labels), labels)
    assert heights(figure) == [2, 1, 0]
    assert "largest" in figure.axes[0].get_ylabel()


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_the_files_are_pictures_of_the_grids_size(tmp_path, channels):
    images = ramp(20, channels)
    paths = write_pictures(named(images, images_per_class=2), images, torch.arange(20), tmp_path / "new")
    assert [path.name for path in paths] == ["small-images.png", "small-labels.png"]
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())
    assert all(path.read_bytes().startswith(PNG) for path in paths)
    high, wide = imread(paths[0]).shape[:2]
    assert abs(wide - 2 * CELL_INCHES * DPI) <= 1
    assert abs(high - (10 * CELL_INCHES + 0.5) * DPI) <= 1


def test_what_is_drawn_is_seen_in_the_file(tmp_path):
    """Black, grey and white images are black, grey and white in the PNG, in their order from left to right."""
    images = ramp(3, 1)
    pixels = imread(write_pictures(named(images, images_per_class=3), images, torch.arange(3), tmp_path)[0])[..., :3]
    row = pixels[int(0.65 * len(pixels))]
    thirds = [row[int((index + 0.5) / 3 * len(row))] for index in range(3)]
    for seen, wanted in zip(thirds, (0.0, 0.5, 1.0), strict=True):
        assert abs(seen - wanted).max() < 0.02
