"""Tables 3 to 8 as studies: one run for each of the paper's cells and seeds, set up as the appendix says."""

from collections import Counter

import pytest

from crossarch.search_spaces.catalog import PAPER_TABLES, find
from crossarch.search_spaces.paper.published import published
from crossarch.search_spaces.paper.tables import convnet_changes, set_changes
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.data.manifest import NAME

RUNS = {name: list(find(name).expand((0,))) for name in ("table3", "table4", "table5", "table6", "table7", "table8")}


def run(study, arm, data, network):
    (found,) = (plan for plan in RUNS[study] if (plan.arm, plan.cell) == (arm, (data, network)))
    return found.config


@pytest.mark.parametrize(
    ("study", "cells"),
    [
        ("table3", 2 * 2),
        ("table4", 4),
        ("table5", 2 * 3 * (2 * 5 + 3 * 4)),  # distillers x sizes x (arms of every network, and of deep ones)
        ("table6", 2 * 2 * (2 * 5 + 3 * 4)),
        ("table7", 4 * 4 + 4 + 4),
        ("table8", 2 * 5 + 3 * 4),
    ],
)
def test_cells_are_those_of_the_paper_and_no_two_are_one_run(study, cells):
    assert len(RUNS[study]) == cells
    assert len({run_id(plan.config) for plan in RUNS[study]}) == cells
    assert find(study).seeds == (0, 1, 2)


def test_every_published_number_is_one_cell_of_one_study():
    placed = [number for study in PAPER_TABLES for number in study.published.values()]
    printed = [row for table in range(1, 10) for row in published(table)]
    assert len(placed) == 406
    assert Counter(map(repr, placed)) == Counter(map(repr, printed))
    for study in PAPER_TABLES:
        cells = {(plan.arm, plan.cell) for plan in study.expand((0,))}
        assert cells == set(study.published), study.name
        labels = {arm.name: arm.label for arm in study.arms}
        for (arm, cell), number in study.published.items():
            assert (number.method, number.network) == (labels[arm], cell[study.column])
            assert f"table{number.table}" == study.name


def test_numbers_belong_to_runs_on_the_set_that_the_paper_used():
    for study in PAPER_TABLES:
        for plan in study.expand((0,)):
            number = study.published[plan.arm, plan.cell]
            data = plan.config.data
            assert (data.dataset, data.images_per_class) == (number.dataset, number.images_per_class)
            assert data.distilled_set == f"{number.dataset}-{number.distiller}-ipc{number.images_per_class}"


@pytest.mark.parametrize(
    ("dataset", "distiller", "size", "batch", "folds", "temperature", "norm", "channels"),
    [  # App. C, Training and Models; Sec. 3.3; notes
        ("cifar10", "frepo", 1, 10, 4, 0.3, "batch", None),
        ("cifar100", "frepo", 1, 100, 4, 0.04, "batch", None),
        ("cifar100", "mtt", 10, 256, 2, None, "instance", (128, 128, 128)),
        ("cifar100", "frepo", 50, 256, 2, 0.04, "batch", None),
        ("tiny_imagenet", "frepo", 1, 100, 4, 0.02, "batch", (128, 256, 512, 1024)),
        ("tiny_imagenet", "mtt", 10, 256, 2, None, "instance", (128, 128, 128, 128)),
    ],
)
def test_what_goes_with_a_set(dataset, distiller, size, batch, folds, temperature, norm, channels):
    changes = set_changes(dataset, distiller, size)
    assert (changes["batch_size"], changes["augmentation.folds"]) == (batch, folds)
    assert changes["data"].get("label_temperature") == temperature
    assert changes["model.norm"] == norm
    assert convnet_changes(dataset, distiller) == ({"convnet": {"model.channels": channels}} if channels else {})
    assert NAME.fullmatch(changes["data"]["distilled_set"])


@pytest.mark.parametrize(
    ("study", "data", "channels"),
    [
        ("table5", "cifar100-frepo-ipc10", (128, 256, 512)),
        ("table5", "cifar100-mtt-ipc10", (128, 128, 128)),
        ("table6", "tiny_imagenet-frepo-ipc10", (128, 256, 512, 1024)),
        ("table6", "tiny_imagenet-mtt-ipc10", (128, 128, 128, 128)),
    ],
)
def test_channels_are_those_of_the_cnn_that_distils_and_the_teachers_too(study, data, channels):
    assert run(study, "baseline", data, "ConvNet").model.channels == channels
    assert run(study, "full", data, "ResNet18").kd.teacher.model.channels == channels


def test_a_set_that_the_paper_has_not_has_no_changes():
    with pytest.raises(KeyError):
        set_changes("cifar10", "frepo", 7)
    with pytest.raises(KeyError):
        set_changes("tiny_imagenet", "mtt", 50)


def test_teachers_are_the_cnn_that_distils_on_the_same_set():
    for name in ("table5", "table6"):
        for plan in RUNS[name]:
            if plan.teacher:
                cell = (plan.cell[0], "ConvNet")
                assert (plan.teacher.arm, plan.teacher.cell) == ("without_dp_kd", cell)
                assert plan.teacher.config == run(name, "without_dp_kd", *cell)


def test_table_3_crosses_final_keep_rate_and_shortcut_and_changes_no_schedule_of_the_rate():
    found = {arm.name: run("table3", arm.name, "cifar10-frepo-ipc10", "ResNet18") for arm in find("table3").arms}
    assert {arm: (each.keep_rate.final, each.model.shortcut) for arm, each in found.items()} == {
        "neither": (0.5, "original"),
        "high_keep_rate": (0.8, "original"),
        "improved_shortcut": (0.5, "improved"),
        "both": (0.8, "improved"),
    }
    assert len({(each.learning_rate, each.phases, each.kd) for each in found.values()}) == 1


def test_table_4_adds_one_thing_a_row_and_keeps_one_teacher():
    found = [
        run("table4", arm, "cifar10-frepo-ipc10", "ResNet18")
        for arm in ("none", "periodical_rate", "lion", "augmentation")
    ]
    told = [(each.learning_rate.schedule, each.optimizer.name, each.augmentation.folds) for each in found]
    assert told == [("cosine", "adamw", 1), ("periodic", "adamw", 1), ("periodic", "lion", 1), ("periodic", "lion", 2)]
    assert len({each.kd for each in found}) == 1
    assert {each.epochs for each in found} == {4000}


def test_the_whole_method_is_one_run_in_tables_2_3_4_and_7():
    (full,) = (
        plan.config
        for plan in find("table2").expand((0,))
        if (plan.arm, plan.cell) == ("full", ("cifar10-frepo-ipc10", "ResNet18"))
    )
    assert run("table3", "both", "cifar10-frepo-ipc10", "ResNet18") == full
    assert run("table4", "augmentation", "cifar10-frepo-ipc10", "ResNet18") == full
    assert run("table7", "full", "cifar10-frepo-ipc10", "ResNet18") == full


def test_table_7_trains_nothing_that_table_2_does_not():
    table2 = {run_id(plan.config) for plan in find("table2").expand((0,))}
    assert {run_id(plan.config) for plan in RUNS["table7"]} <= table2
    assert {run_id(plan.teacher.config) for plan in RUNS["table7"] if plan.teacher} <= table2


def test_table_8_differs_from_table_2_in_the_folds_alone():
    table2 = {(plan.arm, plan.cell): plan.config for plan in find("table2").expand((0,))}
    for plan in RUNS["table8"]:
        other = table2[plan.arm, plan.cell]
        if plan.arm == "baseline":
            assert plan.config == other
        else:
            assert (plan.config.augmentation.folds, other.augmentation.folds) == (2, 4)
            four = {"augmentation.folds": 4} | ({"kd.teacher.augmentation.folds": 4} if plan.config.kd else {})
            assert plan.config.replace(four) == other
