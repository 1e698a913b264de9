"""Figure 8: a row and a panel an arm, and every number in the CSV."""

import csv
import dataclasses
import io
import math

import pytest
from rich.console import Console
from small import SMALL

from crossarch.platform.report.landscape import by_place, levels, over_first, render_landscapes, write_landscapes
from crossarch.trainables.analysis.loss_landscape import Landscape

DISTANCES = (-1.0, 0.0, 1.0)


@pytest.fixture
def found():
    """ResNet18's arms with two seeds, eigenvalues 4, 2, 1 times one more than the seed; the second arm's are halved."""
    made = []
    for plan in SMALL.expand((0, 1)):
        if plan.cell == ("ResNet18",):
            scale = (plan.config.seed + 1) * (1.0 if plan.arm == "baseline" else 0.5)
            bowl = tuple(tuple(0.1 + scale * (2 * a * a + b * b) for b in DISTANCES) for a in DISTANCES)
            landscape = Landscape(
                run_id=f"{plan.arm}-s{plan.config.seed}",
                weights_sha256="0" * 64,
                images=100,
                loss=0.1,
                eigenvalues=(4 * scale, 2 * scale, scale),
                distances=DISTANCES,
                losses=bowl,
                seconds=1.0,
                measured_at="2026-01-01T00:00:00+00:00",
                environment={},
            )
            made.append((plan, landscape))
    return made


def test_landscapes_are_gathered_by_arm_and_cell(found):
    own = by_place(found)["baseline", ("ResNet18",)]
    assert [each.eigenvalues[0] for each in own] == [4.0, 8.0]


def test_contours_are_drawn_at_round_numbers_between_the_losses():
    assert levels([0.3, 45.0, 2.0]) == pytest.approx([0.5, 1, 2, 5, 10, 20])
    assert levels([0.0, 4e-6]) == pytest.approx([2e-6])
    assert levels([1.0, 1.0]) == levels([3.0, 3.5]) == []


def test_a_name_with_a_point_is_kept_whole(found, tmp_path):
    paths = write_landscapes(SMALL.scaled(0.1), found, tmp_path)
    assert [path.name for path in paths[:2]] == ["small-budget-0.1-landscape.svg", "small-budget-0.1-landscape.png"]


def test_a_flat_plane_and_a_negative_eigenvalue_are_drawn(found, tmp_path):
    saddle = dataclasses.replace(found[0][1], eigenvalues=(1.0, -1.0, -2.0), losses=((0.5,) * 3,) * 3)
    svg = write_landscapes(SMALL, [(found[0][0], saddle)], tmp_path)[0].read_text()
    assert "−2" in svg, "on a linear scale"


def test_the_table_has_a_row_an_arm(found):
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(render_landscapes(SMALL, found))
    lines = console.file.getvalue().splitlines()
    rows = {arm.label: next(line for line in lines if line.startswith(arm.label)) for arm in SMALL.arms}
    first, second = (rows[name] for name in ("Baseline", "Full"))
    assert "6 ± 2.8" in first
    assert "10.5 ± 4.9" in first, "sum of the top 3"
    assert "0.5 (0.5 to 0.5)" in second
    assert "over the 100 training images" in " ".join(" ".join(lines).split())


def test_eigenvalues_are_compared_seed_by_seed(found):
    """The second arm's are half the first's with seed 0, and a quarter with seed 1."""
    less = [
        (plan, dataclasses.replace(each, eigenvalues=tuple(value / 2 for value in each.eigenvalues)))
        if (plan.arm, plan.config.seed) == ("full", 1)
        else (plan, each)
        for plan, each in found
    ]
    ((place, ratio),) = over_first(less).items()
    assert place == ("full", ("ResNet18",))
    half = 12.706 * (math.log(2) / math.sqrt(2)) / math.sqrt(2)  # t(0.975; 1), and the logarithms' deviation
    centre = -1.5 * math.log(2)
    assert [ratio.mean, ratio.low, ratio.high] == pytest.approx(
        [math.exp(centre), math.exp(centre - half), math.exp(centre + half)], rel=1e-3
    )


def test_one_seed_gives_no_ratio(found):
    assert over_first([each for each in found if each[0].config.seed == 0]) == {("full", ("ResNet18",)): None}


def test_figure_and_data_are_written(found, tmp_path):
    paths = write_landscapes(SMALL, found, tmp_path)
    assert [path.name for path in paths] == [
        "small-landscape.svg",
        "small-landscape.png",
        "small-landscape-eigenvalues.csv",
        "small-landscape-losses.csv",
    ]
    svg = paths[0].read_text()
    assert "Hessian" in svg
    assert svg.count("Along the second") == 2, "a plane an arm"
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    eigenvalues = list(csv.DictReader(paths[2].read_text().splitlines()))
    assert len(eigenvalues) == 2 * 2 * 3
    assert [float(row["eigenvalue"]) for row in eigenvalues[:3]] == [4.0, 2.0, 1.0]
    losses = list(csv.DictReader(paths[3].read_text().splitlines()))
    assert len(losses) == 2 * 2 * 9
    assert {row["arm"] for row in losses} == {"Baseline", "Full"}
