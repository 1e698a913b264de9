"""Table 2 as a study: every published accuracy is one cell of it, with the paper's batches, folds and labels."""

import dataclasses

import pytest

from crossarch.search_spaces.paper.published import published
from crossarch.search_spaces.paper.tables import TABLE2
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import BatchNorm, InstanceNorm

PLANNED = list(TABLE2.expand())


def config(arm, data, network):
    (found,) = (plan.config for plan in PLANNED if (plan.arm, plan.cell, plan.config.seed) == (arm, (data, network), 0))
    return found


def test_every_published_accuracy_is_one_cell():
    cells = {(plan.arm, plan.cell) for plan in PLANNED}
    assert cells == set(TABLE2.published)
    assert sorted(map(repr, TABLE2.published.values())) == sorted(map(repr, published(2)))


def test_runs_are_as_many_as_the_notes_count():
    assert len({run_id(plan.config) for plan in PLANNED}) == 396
    small = [plan for plan in PLANNED if plan.config.data.images_per_class < 50]
    assert len(small) == 264


def test_teachers_are_cells_of_the_table():
    runs = {run_id(plan.config) for plan in PLANNED}
    teachers = [plan.teacher for plan in PLANNED if plan.teacher]
    assert len(teachers) == 2 * 4 * 6 * 3
    assert {run_id(teacher.config) for teacher in teachers} <= runs
    assert {(teacher.arm, teacher.cell[1]) for teacher in teachers} == {("without_dp_kd", "ConvNet")}


@pytest.mark.parametrize(("images_per_class", "batch", "folds"), [(1, 10, 4), (10, 100, 2), (50, 128, 2)])
@pytest.mark.parametrize("distiller", ["FRePo", "MTT"])
def test_batches_and_folds_follow_the_size(distiller, images_per_class, batch, folds):
    data = f"cifar10-{distiller.lower()}-ipc{images_per_class}"
    full, baseline = config("full", data, "VGG11"), config("baseline", data, "VGG11")
    assert (full.batch_size, full.augmentation.folds) == (batch, folds)
    assert (baseline.batch_size, baseline.augmentation.folds) == (batch, 1)
    assert full.kd is not None
    assert full.kd.teacher.augmentation.folds == folds


def test_norms_channels_and_labels_follow_the_distiller():
    for network in TABLE2.networks:
        frepo, mtt = (config("baseline", f"cifar10-{name.lower()}-ipc10", network) for name in ("FRePo", "MTT"))
        assert (frepo.model.norm, mtt.model.norm) == (BatchNorm(), InstanceNorm())
        assert (frepo.data.label_temperature, mtt.data.label_temperature) == (0.3, None)
    frepo, mtt = (config("baseline", f"cifar10-{name.lower()}-ipc10", "ConvNet") for name in ("FRePo", "MTT"))
    assert (frepo.model.channels, mtt.model.channels) == ((128, 256, 512), (128, 128, 128))


def test_without_a_store_nothing_is_available():
    assert not any(TABLE2.is_available(plan) for plan in PLANNED)


def test_a_set_in_the_store_makes_its_cells_available():
    known = {"data.sha256": "0" * 64, "data.whitening": "frepo", "data.label_temperature": 9.0}
    bound = dataclasses.replace(TABLE2, bindings={"cifar10-frepo-ipc1": known})
    found = [plan for plan in bound.expand() if bound.is_available(plan)]
    assert {plan.cell[0] for plan in found} == {"cifar10-frepo-ipc1"}
    assert len(found) == 22 * 3
    for plan in found:
        data = plan.config.data
        assert (data.sha256, data.whitening, data.label_temperature) == ("0" * 64, "frepo", 0.3)
        assert plan.config.kd is None or plan.config.kd.teacher.data == data


def test_the_smoke_form_has_every_arm_and_network():
    smoke = list(TABLE2.smoke().expand())
    assert {plan.config.data.dataset for plan in smoke} == {"digits"}
    assert {plan.arm for plan in smoke} == {arm.name for arm in TABLE2.arms}
    assert {plan.cell for plan in smoke} == {("cifar10-frepo-ipc1", network) for network in TABLE2.networks}


def test_figure_1_is_over_every_set_of_the_table_and_over_its_first_and_last_arm():
    assert set(TABLE2.chart.points) == set(TABLE2.axes[0].choices)
    assert TABLE2.chart.points["cifar10-mtt-ipc50"] == (("MTT", 50),)
    assert TABLE2.chart.arms == (TABLE2.arms[0].name, TABLE2.arms[-1].name)
