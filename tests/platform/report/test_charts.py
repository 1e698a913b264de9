"""Figures 1, 3, 4 and 7: every mean at its place on its line."""

import dataclasses

import pytest

from crossarch.platform.report import charts
from crossarch.platform.report.content import make_report
from crossarch.platform.report.figures import style
from crossarch.platform.report.page import render_page
from crossarch.platform.report.tables import build_table
from crossarch.search_spaces.recipes import BASELINE, FULL, WITHOUT_DP_KD
from crossarch.search_spaces.study import Chart
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.result import RunResult


@pytest.fixture
def over_images(wide_study):
    chart = Chart(
        reference="Figure 9",
        quantity="Images",
        axis="IPC",
        points={"1 a class": (("All", 1.0), ("Deep", 1.0)), "10 a class": (("All", 10.0), ("Deep", 10.0))},
        networks={"Deep": ("ResNet0",)},
        arms=("baseline", "full"),
        log=True,
    )
    return dataclasses.replace(wide_study(2), chart=chart)


@pytest.fixture
def over_arms(study):
    swept = FULL.changed({"kd.alpha": 0.7}).named("alpha", "Alpha")
    chart = Chart(
        reference="Figure 8",
        axis="arm",
        points={"full": (("alpha", 0.5),), "alpha": (("alpha", 0.7),)},
        networks={"alpha": ("ResNet18",)},
        levels=("baseline", "without_dp_kd"),
    )
    cnn = ("ConvNet",)
    arms = (
        BASELINE.named("baseline", "Baseline", networks=cnn),
        WITHOUT_DP_KD.named("without_dp_kd", "w/o DP & KD", networks=cnn),
        FULL,
        swept,
    )
    return dataclasses.replace(study, arms=arms, chart=chart)


def told(panels):
    return {
        panel.name: {line.name: [(at, summary.mean) for at, summary in line.points] for line in panel.lines}
        for panel in panels
    }


def accuracies(study):
    """Results by run id; each mean over the seeds tells its arm, images and network."""
    made = {}
    for plan in study.expand():
        base = {"baseline": 10.0, "full": 30.0, "alpha": 40.0, "without_dp_kd": 20.0}[plan.arm]
        mean = base + (5.0 if "10 a class" in plan.cell else 0.0) + (1.0 if "ConvNet" in plan.cell else 0.0)
        made[run_id(plan.config)] = RunResult(
            config=plan.config, outcome="finished", test_accuracy=mean + plan.config.seed - 1
        )
    return made


def test_lines_go_through_every_choice_of_the_axis(over_images):
    table = build_table(over_images, over_images.seeds, accuracies(over_images))
    panels = charts.chart_panels(table)
    deep = {"ResNet0, Baseline": [(1.0, 10.0), (10.0, 15.0)], "ResNet0, Full": [(1.0, 30.0), (10.0, 35.0)]}
    assert told(panels) == {"All": {"ConvNet, Baseline": [(1.0, 11.0), (10.0, 16.0)], **deep}, "Deep": deep}
    assert {line.name: line.place for line in panels[1].lines}.items() <= {
        name: place for place, name in charts.legend_of(panels).items()
    }.items(), "a line looks alike in every panel"


def test_arms_are_points_and_the_teachers_numbers_are_level_lines(over_arms):
    table = build_table(over_arms, over_arms.seeds, accuracies(over_arms))
    (panel,) = charts.chart_panels(table)
    assert [(line.name, line.is_level) for line in panel.lines] == [
        ("ResNet18", False),
        ("ConvNet, Baseline", True),
        ("ConvNet, w/o DP & KD", True),
    ]
    assert told([panel])["alpha"]["ResNet18"] == [(0.5, 30.0), (0.7, 40.0)]
    assert [line.points[0][1].mean for line in panel.lines[1:]] == [11.0, 21.0]
    assert panel.places == (0.5, 0.7)


def test_what_is_drawn_is_what_the_lines_say(over_images, over_arms):
    for study in (over_images, over_arms):
        table = build_table(study, study.seeds, accuracies(study))
        panels = charts.chart_panels(table)
        figures = charts.chart_figures(study.chart, panels).panels
        assert len(figures) == len(panels)
        for panel, drawn in zip(panels, figures, strict=True):
            (axes,) = drawn.axes
            shown = [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in axes.lines]
            wanted = [[(at, one.mean) for at, one in line.points] for line in panel.lines if not line.is_level]
            assert [points for points in shown if points in wanted] == wanted
            assert axes.get_xscale() == ("log" if study.chart.log else "linear")
            assert [text.get_text() for text in axes.get_xticklabels()] == [f"{at:g}" for at in panel.places]
            assert axes.get_xlabel() == (study.chart.quantity or panel.name)
            levels = [line.points[0][1].mean for line in panel.lines if line.is_level]
            ends = [panel.places[0], panel.places[-1]]
            assert [points for points in shown if points not in wanted] == [
                [(end, level) for end in ends] for level in levels
            ]


def test_lines_of_one_panel_differ_in_colour_while_colours_last():
    a, b = ([(f"{panel}{n}", "") for n in range(6)] for panel in "ab")
    shared = ("shared", "")
    places = charts.spread_out([[shared, *a], [shared, *b]])
    assert len(set(places.values())) == 13
    for panel in (a, b):
        assert len({style(places[key]).colour for key in (shared, *panel)}) == 7
    assert sorted(charts.spread_out([[*a, *b]]).values()) == list(range(12))


def test_a_study_without_a_chart_or_without_results_has_no_panels(study, over_images, results):
    assert charts.chart_panels(build_table(study, study.seeds, results)) == ()
    assert charts.chart_panels(build_table(over_images, over_images.seeds, {})) == ()


def test_the_page_has_the_chart_with_its_own_legend_and_data(over_arms):
    report = make_report(over_arms, over_arms.seeds, accuracies(over_arms))
    (picture,) = (each for each in report.pictures if each.name == "chart")
    assert [name for _, name in picture.legend] == ["ResNet18", "ConvNet, Baseline", "ConvNet, w/o DP & KD"]
    assert [[entry.text for entry in row] for row in picture.data.rows] == [
        ["alpha", "ResNet18", "0.5", "30.0", "1.0", "3"],
        ["alpha", "ResNet18", "0.7", "40.0", "1.0", "3"],
        ["alpha", "ConvNet, Baseline", "", "11.0", "1.0", "3"],
        ["alpha", "ConvNet, w/o DP & KD", "", "21.0", "1.0", "3"],
    ]
    page = render_page(report)
    assert "Figure 8, in our numbers" in page
    assert "ConvNet, w/o DP &amp; KD" in page
