"""The report's tables as data: which numbers stand where."""

import dataclasses

import pytest

from crossarch.platform.report import sheets
from crossarch.platform.report.tables import build_table
from crossarch.search_spaces.study import Published


@pytest.fixture
def table(study, results):
    return build_table(study, study.seeds, results)


def published(accuracy, std=None):
    return Published(
        table=2,
        dataset="cifar10",
        distiller="frepo",
        images_per_class=1,
        method="Full",
        network="ResNet18",
        accuracy=accuracy,
        std=std,
    )


def texts(sheet):
    return [[entry.text for entry in row] for row in sheet.rows]


def test_the_verdict_has_number_gap_and_n_in_every_cell(table):
    sheet = sheets.verdict(table)
    assert sheet.columns == ("Arm", "ConvNet", "ResNet18")
    assert texts(sheet) == [
        ["Baseline", "82.0 ± 2.0, n = 3", "72.0 ± 2.8, gap -10.0, n = 2, 1 diverged"],
        ["Full", "–", "85.5, gap +3.5, n = 1, 1 failed, 1 missing"],
    ]
    assert [[entry.value for entry in row] for row in sheet.rows] == [[None, 82.0, 72.0], [None, None, 85.5]]


def test_the_papers_number_stands_beside_ours_with_the_difference(study, results):
    cells = {("baseline", ("ResNet18",)): published(70.5, 0.4), ("full", ("ResNet18",)): published(90.0)}
    study = dataclasses.replace(study, published=cells)
    sheet = sheets.verdict(build_table(study, study.seeds, results))
    assert "paper 70.5 ± 0.4 (+1.5)" in sheet.rows[0][2].lines
    assert "paper 90.0 (-4.5)" in sheet.rows[1][2].lines
    (_, deep, _, *_) = sheets.numbers(build_table(study, study.seeds, results)).rows
    assert [entry.value for entry in deep[2:-1]] == [72.0, pytest.approx(8**0.5), 2, 3, -10.0, 70.5, 0.4, 1.5]


def test_a_difference_has_no_rounding_noise(study, results):
    study = dataclasses.replace(study, published={("full", ("ResNet18",)): published(85.4)})
    entry = sheets.numbers(build_table(study, study.seeds, results)).rows[2][-2]
    assert 85.5 - 85.4 != 0.1
    assert entry.value == 0.1


def test_the_papers_number_is_told_before_ours_without_a_difference(study):
    study = dataclasses.replace(study, published={("full", ("ResNet18",)): published(90.0)})
    sheet = sheets.verdict(build_table(study, study.seeds, {}))
    assert sheet.rows[1][2] == sheets.Entry(("paper 90.0", "not yet run"), None)


def test_numbers_have_a_row_a_cell_and_teachers_last(table):
    sheet = sheets.numbers(table)
    assert [row[:2] for row in texts(sheet)] == [
        ["Baseline", "ConvNet"],
        ["Baseline", "ResNet18"],
        ["Full", "ResNet18"],
        ["w/o DP & KD (teacher)", "ConvNet"],
    ]
    assert sheet.rows[-1][sheet.columns.index("Gap")].value == 8.5


def test_time_is_summed_by_machine_and_commit(study, results):
    first = next(iter(results))
    results = dict(results)
    results[first] = dataclasses.replace(results[first], environment={"device": "H100", "commit": "fff"})
    sheet = sheets.machines(build_table(study, study.seeds, results), results)
    assert sorted(row[0] + " " + row[2] + " " + row[3] for row in texts(sheet)) == [
        "H100 fff 1",
        "Z80, 2 cores abc123 10",
    ]
    assert sum(row[4].value for row in sheet.rows) == 110


def test_every_run_is_listed_with_its_state_and_failures_with_their_reason(table, results):
    listed = sheets.runs(table, results)
    assert len(listed.rows) == 12
    assert ["Full", "ResNet18", "2", "missing"] in [row[:4] for row in texts(listed)]
    failed = texts(sheets.failures(table))
    assert [row[3:5] for row in failed] == [
        ["blocked", "it was blocked"],
        ["diverged", "it was diverged"],
        ["failed", "it was failed"],
    ]


def test_a_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match="sheet x: a row is not of 2 columns"):
        sheets.sheet("x", "X", ("a", "b"), [[sheets.words("1")]])
