"""Distilled sets as pictures: the right pixels in the right places, or a sentence that says why not."""

import dataclasses

import distilled_sets
import torch

from crossarch.platform.report.content import make_report
from crossarch.platform.report.page import files
from crossarch.platform.report.pictures import mosaic, mosaics, real_data, tile
from crossarch.platform.scheduling.prepare import library, store
from crossarch.trainables.data.library import Library

NOWHERE = {"kind": "distilled", "dataset": "digits", "images_per_class": 1, "distilled_set": "nowhere"}


def test_images_stand_row_by_row_with_white_between_them():
    images = torch.stack([torch.full((3, 2, 2), value) for value in (0.0, 0.2, 0.4, 2.0, -1.0)])
    picture = tile(images, columns=2)
    assert picture.shape == (3 * 3 - 1, 2 * 3 - 1, 3)
    assert [picture[row, column, 0] for row, column in ((0, 0), (0, 3), (3, 0), (3, 3), (6, 0))] == [0, 51, 102, 255, 0]
    assert (picture[2] == 255).all()
    assert (picture[:, 2] == 255).all()
    assert (picture[6:, 3:] == 255).all(), "the place of no image is empty"


def test_grey_images_are_grey():
    assert (tile(torch.full((1, 1, 2, 2), 0.2), columns=1) == 51).all()


def look(name, root):
    """What there is to see of a set below the storage `root`."""
    return mosaic(name, store(root), library(root, None, print))


def digits_set(root):
    """Ten real digits, whitened, as if they had been distilled."""
    library = Library(root / "data")
    images, labels = (part[:10].clone() for part in library.part("digits", "channel", "train"))
    facts = {"name": "digits-x", "dataset": "digits", "whitening": "channel", "images_per_class": 1}
    store(root).add(distilled_sets.manifest(images, labels, **facts), images, labels)
    return library.fitted("digits", "channel").invert(images)


def test_a_set_is_shown_without_its_whitening(tmp_path, monkeypatch):
    wanted = tile(digits_set(tmp_path), columns=10)
    drawn = []
    monkeypatch.setattr("crossarch.platform.report.pictures.to_png", lambda picture: drawn.append(picture) or b"png")
    shown = look("digits-x", tmp_path)
    assert (drawn[0] == wanted).all()
    assert shown.png == b"png"
    assert "whitening channel undone" in shown.told


def test_a_picture_is_a_png_file(tmp_path):
    digits_set(tmp_path)
    assert look("digits-x", tmp_path).png.startswith(b"\x89PNG")


def test_a_set_that_is_not_here_is_told_and_not_shown(tmp_path):
    shown = look("nowhere", tmp_path)
    assert shown.png is None
    assert shown.told.startswith("Not shown: name = 'nowhere' is no set of the store")


def test_a_whitening_that_was_never_fitted_here_is_told_and_nothing_is_fetched(tmp_path):
    images, labels = distilled_sets.images(side=32), distilled_sets.hard()
    store(tmp_path).add(distilled_sets.manifest(images, labels), images, labels)
    shown = look("small", tmp_path)
    assert shown.png is None
    assert "the fit of its whitening zca is not here" in shown.told
    assert not (tmp_path / "data" / "raw").exists()


def test_a_study_names_each_of_its_sets_once(study, tmp_path):
    sets = store(tmp_path), library(tmp_path, None, print)
    named = dataclasses.replace(study, overrides={"data": NOWHERE})
    assert [each.name for each in mosaics(named, named.seeds, *sets)] == ["nowhere"]
    assert real_data(named, named.seeds) == []
    assert mosaics(study, study.seeds, *sets) == []
    assert real_data(study, study.seeds) == ["10 real images a class of digits, drawn by each run's seed"]


def test_each_set_that_is_shown_is_a_file_of_the_report(study, results, tmp_path):
    digits_set(tmp_path)
    shown = (look("digits-x", tmp_path), look("nowhere", tmp_path))
    report = make_report(study, study.seeds, results, mosaics=shown)
    assert [name for name, _ in files(report) if name.startswith("set-")] == ["set-digits-x.png"]
