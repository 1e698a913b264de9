"""The paper's numbers stand beside ours, and cells without data say so."""

import dataclasses
import io
import re

import pytest
from rich.console import Console

from crossarch.platform.report.markdown import render_markdown
from crossarch.platform.report.tables import build_table
from crossarch.platform.report.terminal import render_report, render_status
from crossarch.search_spaces.study import Published

NOWHERE = {"kind": "distilled", "dataset": "digits", "images_per_class": 1, "distilled_set": "nowhere"}


def printed(accuracy, std=None):
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


@pytest.fixture
def with_paper(study):
    cells = {("baseline", ("ConvNet",)): printed(44.3), ("full", ("ResNet18",)): printed(49.3, 0.6)}
    return dataclasses.replace(study, published=cells)


def shown(view):
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(view)
    return console.file.getvalue()


def test_the_paper_s_number_is_beside_ours_where_it_has_one(with_paper, results):
    table = build_table(with_paper, with_paper.seeds, results)
    text = shown(render_report(table, 80))
    assert re.search(r"Baseline +82\.0 ± 2\.0 .*\n +paper 44\.3 +n = 2", text)
    assert "paper 49.3 ± 0.6" in text
    assert len(re.findall(r"paper \d", text)) == 2
    assert "82.0 ± 2.0, paper 44.3" in render_markdown(table)


def test_the_paper_s_number_is_there_before_ours(with_paper):
    table = build_table(with_paper, with_paper.seeds, {})
    assert re.search(r"Baseline +not yet run +not yet run *\n +paper 44\.3", shown(render_report(table, 80)))


def test_a_cell_without_its_distilled_set_says_so_and_is_not_missing(study):
    named = dataclasses.replace(study, overrides={"data": NOWHERE})
    table = build_table(named, named.seeds, {})
    assert not table.counts["missing"]
    assert table.counts["unavailable"] == len(table.runs)
    assert "not run: data unavailable" in shown(render_report(table, 80))
    status = shown(render_status(table))
    assert "Unavailable" in status
    assert "Unavailable" not in shown(render_status(build_table(study, study.seeds, {})))


def test_a_restricted_study_shows_its_own_rows_and_columns_alone(study, results):
    some = dataclasses.replace(study, only={"arm": ("full",), "architecture": ("ResNet18",)})
    table = build_table(some, some.seeds, results)
    assert table.networks == ("ResNet18",)
    assert [row.arm for row in table.rows] == ["Full"]
    assert [teacher.network for teacher in table.teachers] == ["ConvNet"]
