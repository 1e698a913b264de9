"""The published accuracies are the paper's, each once."""

from collections import Counter

import pytest

from crossarch.search_spaces.paper.published import LABELS, published
from crossarch.search_spaces.recipes import TABLE_1

COUNTS = {2: 132, 3: 4, 4: 4, 5: 132, 6: 88, 7: 24, 8: 22}


def test_every_accuracy_is_there_once():
    rows = [row for table in range(1, 10) for row in published(table)]
    assert len(rows) == 406
    assert Counter(row.table for row in rows) == COUNTS
    keys = [(row.table, row.distiller, row.images_per_class, row.method, row.network) for row in rows]
    assert len(set(keys)) == len(keys)


def test_values_are_in_range_and_named_as_the_studies_name_them():
    for table in COUNTS:
        for row in published(table):
            assert 0 < row.accuracy < 100
            assert row.std is None or 0 <= row.std < 5
            assert row.network in LABELS.values()
            if table not in (3, 4):
                assert row.method in {arm.label for arm in TABLE_1}


@pytest.mark.parametrize(
    ("table", "distiller", "images_per_class", "method", "network", "accuracy", "std"),
    [  # as printed in the paper
        (2, "frepo", 1, "Baseline", "ConvNet", 44.3, None),
        (2, "frepo", 1, "Full", "AlexNet", 50.7, None),
        (2, "frepo", 10, "w/o DP & KD", "ConvNet", 64.7, None),
        (2, "frepo", 10, "Full", "ResNet18", 66.2, None),
        (7, "frepo", 1, "Full", "AlexNet", 50.7, 0.1),
        (7, "frepo", 10, "Full", "ResNet18", 66.2, 0.5),
    ],
)
def test_values_are_the_paper_s(table, distiller, images_per_class, method, network, accuracy, std):
    wanted = (distiller, images_per_class, method, network)
    (row,) = (
        row for row in published(table) if (row.distiller, row.images_per_class, row.method, row.network) == wanted
    )
    assert (row.accuracy, row.std) == (accuracy, std)


def test_table_7_s_means_are_those_of_table_2():
    means = {
        (row.images_per_class, row.method, row.network): row.accuracy
        for row in published(2)
        if row.distiller == "frepo"
    }
    assert all(means[row.images_per_class, row.method, row.network] == row.accuracy for row in published(7))


def test_a_table_without_accuracies_has_none():
    assert published(1) == ()
