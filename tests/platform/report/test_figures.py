"""Figures: reproducible, told apart without colour, and fit for a page."""

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest
from made_up import HOSTILE, hostile, with_curves

from crossarch.platform.report import figures, svg
from crossarch.platform.report.curves import panels
from crossarch.platform.report.tables import build_table
from crossarch.search_spaces.study import Published


@pytest.fixture
def drawn(study, results):
    return panels(study, study.seeds, with_curves(results), "train_loss")


def text_of(markup):
    return ["".join(node.itertext()) for node in ET.fromstring(markup).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


def test_the_same_results_make_the_same_file(drawn):
    first, second = (svg.to_svg(figures.curve_figures(drawn, "Loss").whole) for _ in range(2))
    assert first == second
    assert svg.to_png(figures.curve_figures(drawn, "Loss").whole) == svg.to_png(
        figures.curve_figures(drawn, "Loss").whole
    )


def test_text_stays_text(drawn):
    found = text_of(svg.to_svg(figures.curve_figures(drawn, "Loss").whole))
    assert {"ConvNet", "ResNet18", "Epoch", "Loss", "Baseline", "Full"} <= set(found)


def test_arms_differ_in_colour_dashes_and_marker():
    looks = [figures.style(place) for place in range(5)]
    for one in ("colour", "dashes", "marker"):
        assert len({str(getattr(look, one)) for look in looks}) == 5
    assert {look.marker for look in map(figures.style, range(20))} == set(svg.SHAPES)


def test_figure_1s_nine_lines_share_no_dashes_and_no_marker():
    """Seven colours have to do for them."""
    looks = [figures.style(place) for place in range(9)]
    assert len({look.colour for look in looks}) == 7
    for one in ("dashes", "marker"):
        assert len({str(getattr(look, one)) for look in looks}) == 9


def test_an_inline_figure_takes_the_pages_colours_and_has_no_ground_of_its_own(drawn):
    markup = svg.inline(figures.curve_figures(drawn, "Loss").panels[1], "loss-1", "Loss", "What it shows")
    root = ET.fromstring(markup)  # noqa: S314
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Loss"
    assert [root[0].text, root[1].text] == ["Loss", "What it shows"]
    colours = set(re.findall(r"(?:fill|stroke): (#\w+)", markup))
    assert not colours, "a colour that the page cannot change"
    assert {"var(--ink)", "var(--lines)", "var(--arm-0)", "var(--arm-1)"} <= set(re.findall(r"var\(--[\w-]+\)", markup))
    assert "metadata" not in markup


def test_ids_of_two_figures_never_meet_and_their_references_hold(drawn):
    first, second = (
        svg.inline(each, f"f-{i}", "t", "d") for i, each in enumerate(figures.curve_figures(drawn, "Loss").panels)
    )
    ids = [set(re.findall(r'\bid="([^"]+)"', markup)) for markup in (first, second)]
    assert not ids[0] & ids[1]
    for markup, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([\w-]+)', markup)) <= own
        assert len(re.findall(r'\bid="', markup)) == len(own)


def test_a_name_that_is_no_id_is_refused(drawn):
    with pytest.raises(ValueError, match="is not of letters"):
        svg.inline(figures.curve_figures(drawn, "Loss").panels[0], 'x"y', "t", "d")


def test_hostile_labels_are_drawn_as_they_are(study, make_results):
    study = hostile(study)
    names = study.networks
    results = make_results(study, {("baseline", names[0]): [1.0, 2.0, 3.0], ("full", names[1]): [1.0, 2.0, 3.0]})
    drawn = panels(study, study.seeds, with_curves(results), "train_loss")
    markup = svg.inline(figures.curve_figures(drawn, HOSTILE).whole, "x", HOSTILE, HOSTILE)
    assert "<script" not in markup
    assert "<img" not in markup
    assert any("</script><script>" in text for text in text_of(markup))
    table = build_table(study, study.seeds, results)
    whole = figures.accuracy_figures(table, [arm.label for arm in study.arms]).whole
    assert "<script" not in svg.to_svg(whole)
    assert svg.to_png(whole).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("_x", "\u200b_x"),
        ("a\nb", "a b"),
        ("x" * 99, "x" * 39 + "…"),
        ("", ""),
    ],
)
def test_a_label_is_one_short_line_that_matplotlib_does_not_hide(text, shown):
    assert figures.label(text) == shown


def test_the_papers_number_is_hollow_and_beside_ours(study, results):
    row = {"table": 2, "dataset": "d", "distiller": "f", "images_per_class": 1, "method": "m", "network": "n"}
    paper = Published(**row, accuracy=99.0, std=None)
    study = dataclasses.replace(study, published={("full", ("ResNet18",)): paper})
    table = build_table(study, study.seeds, results)
    (figure,) = figures.accuracy_figures(table, [arm.label for arm in study.arms]).panels
    (axes,) = figure.axes
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "none" and line.get_marker() == "s"]
    assert [list(line.get_ydata()) for line in hollow] == [[99.0]]
    assert axes.get_ylim()[1] > 99


def test_the_legend_is_as_broad_as_its_labels_allow():
    assert figures.legend_columns(["Baseline", "Full"], 5.2) == 3
    assert figures.legend_columns(["x" * 500, "y"], 5.2) == 1
    assert figures.legend_columns([], 5.2) >= 1


def test_arms_that_are_not_shown_take_no_room(study, results):
    arms = [arm.label for arm in study.arms]
    one, padded = (
        figures.accuracy_figures(build_table(study, study.seeds, results), names).panels[0].axes[0]
        for names in (arms, ["Nobody", *arms, "No one"])
    )
    assert [list(line.get_xdata()) for line in one.lines] == [list(line.get_xdata()) for line in padded.lines]


def test_a_users_settings_of_matplotlib_change_nothing(drawn):
    from matplotlib import rc_context

    plain = svg.to_svg(figures.curve_figures(drawn, "Loss").whole)
    with rc_context({"axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path", "text.usetex": True}):
        assert svg.to_svg(figures.curve_figures(drawn, "Loss").whole) == plain
