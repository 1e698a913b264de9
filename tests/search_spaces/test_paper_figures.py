"""Figures 3, 4 and 7 as studies: what is varied, who teaches, and what is drawn where."""

import pytest

from crossarch.search_spaces.catalog import PAPER_FIGURES, PAPER_TABLES, find
from crossarch.search_spaces.paper.figures import images_per_class
from crossarch.search_spaces.recipes import three_phase
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.run import BatchNorm, RealData
from crossarch.trainables.methods.schedules import keep_rate

RUNS = {study.name: list(study.expand((0,))) for study in PAPER_FIGURES}


@pytest.mark.parametrize(("fraction", "images"), [(0.002, 10), (0.005, 25), (0.02, 100), (0.05, 250), (1, 5000)])
def test_fractions_are_of_all_50_000_images(fraction, images):
    assert images_per_class(fraction) == images


@pytest.mark.parametrize("fraction", [0.0001, 0.00021, 0, -0.002])
def test_a_fraction_that_is_no_number_of_images_is_refused(fraction):
    with pytest.raises(ValueError, match=f"^fraction = {fraction:g} is .* images a class"):
        images_per_class(fraction)


@pytest.mark.parametrize(
    ("study", "cells", "teachers_beside"),
    [
        ("figure3", 6 * (3 + 3 + 2), 0),  # fractions x (baseline, w/o DP & KD, full)
        ("figure4", 2 + 1 + 5 + 3 + 6 + 5, 0),  # the CNN, the defaults, and the values of each panel
        ("figure7", 6 * (4 + 4 + 3 + 1), 0),
    ],
)
def test_runs_are_as_many_as_counted_by_hand_and_no_two_alike(study, cells, teachers_beside):
    runs = {run_id(plan.config) for plan in RUNS[study]}
    assert len(runs) == len(RUNS[study]) == cells
    assert len({run_id(plan.teacher.config) for plan in RUNS[study] if plan.teacher} - runs) == teachers_beside


def test_limited_data_are_real_in_one_batch_or_in_batches_of_128():
    for name in ("figure3", "figure7"):
        for plan in RUNS[name]:
            config = plan.config
            assert isinstance(config.data, RealData)
            assert config.data.images_per_class == 5000 * float(plan.cell[0])
            assert config.batch_size == (100 if plan.cell[0] == "0.002" else 128)
            assert config.augmentation.folds == (1 if plan.arm == "baseline" else 2)
            assert config.model.norm == BatchNorm()
            assert config.kd is None or config.kd.teacher.data == config.data


def test_resnet50_alone_learns_from_resnet18_and_all_others_from_the_cnn():
    for plan in (plan for name in RUNS for plan in RUNS[name] if plan.teacher):
        wanted = "ResNet18" if plan.arm == "full_resnet18" else "ConvNet"
        assert (plan.teacher.arm, plan.teacher.cell) == ("without_dp_kd", (plan.cell[0], wanted))
        assert plan.config.kd.teacher.model.architecture == wanted.lower()
    assert {plan.cell[1] for plan in RUNS["figure7"] if plan.arm == "full_resnet18"} == {"ResNet50"}


def test_figures_3_and_7_share_what_the_cnn_teaches_resnet50():
    def runs(study, arm):
        return {run_id(plan.config) for plan in RUNS[study] if (plan.arm, plan.cell[1]) == (arm, "ResNet50")}

    assert len(runs("figure3", "full")) == 6
    assert runs("figure3", "full") == runs("figure7", "full")
    assert not runs("figure7", "full") & runs("figure7", "full_resnet18")


@pytest.mark.parametrize(
    ("minimum", "decay", "period", "stabilization"),
    [  # S = W + T (1 - p_min) / gamma, W = T
        (0.5, 0.1, 500, 3000),  # the paper's
        (0.3, 0.1, 500, 4000),
        (0.8, 0.1, 500, 1500),
        (0.5, 0.25, 500, 1500),
        (0.5, 0.1, 1000, 6000),
        (0.35, 0.13, 500, 3000),  # the released code's ResNet50
        (0.45, 0.1, 500, 3500),  # a minimum between two steps is reached by the later one
    ],
)
def test_the_length_follows_from_the_keep_rate(minimum, decay, period, stabilization):
    changes = three_phase(minimum, decay, period)
    assert changes["phases.stabilization"] == stabilization
    assert changes["epochs"] == stabilization + 1000
    base = next(plan.config for plan in RUNS["figure4"] if plan.arm == "full")
    config = base.replace(changes)
    rates = [keep_rate(epoch, config.keep_rate, config.phases) for epoch in range(config.epochs)]
    assert rates[period - 1] == 1
    assert rates[stabilization - 1] == pytest.approx(minimum)
    assert rates[stabilization - period - 1] > minimum + 1e-9
    assert rates[stabilization] == 0.8


def test_the_papers_own_rates_make_the_papers_own_run():
    full = next(plan.config for plan in RUNS["figure4"] if plan.arm == "full")
    assert full.replace(three_phase(0.5)) == full
    assert (full.kd.alpha, full.kd.temperature, full.keep_rate.minimum) == (0.5, 1.5, 0.5)


@pytest.mark.parametrize("changes", [{"minimum": 0}, {"minimum": 1}, {"minimum": 0.5, "decay": 1.5}])
def test_a_rate_that_cannot_fall_is_refused(changes):
    with pytest.raises(ValueError, match=r"is outside \(0, 1\)"):
        three_phase(**changes)


def test_with_the_length_left_alone_a_lower_minimum_would_be_the_same_schedule():
    full = next(plan.config for plan in RUNS["figure4"] if plan.arm == "full")
    lower = full.replace({"keep_rate.minimum": 0.3})
    same = [keep_rate(epoch, each.keep_rate, each.phases) for each in (full, lower) for epoch in range(4000)]
    assert same[:4000] == same[4000:]


def test_figure_4_varies_one_thing_at_a_time():
    full = next(plan.config for plan in RUNS["figure4"] if plan.arm == "full")
    for plan in RUNS["figure4"]:
        if plan.arm.startswith(("alpha", "tau")):
            back = {"kd.alpha": 0.5, "kd.temperature": 1.5}
            assert plan.config.replace(back) == full
        if plan.arm.startswith("same"):
            assert plan.config.replace({"keep_rate.minimum": 0.5}) == full
        if plan.arm.startswith("minimum"):
            assert plan.config.replace(three_phase(0.5)) == full
            assert plan.config.epochs != 4000


def test_the_cnn_is_there_in_figure_4_for_its_two_lines_alone():
    found = {(plan.arm, plan.cell[1]) for plan in RUNS["figure4"] if plan.cell[1] == "ConvNet"}
    assert found == {("baseline", "ConvNet"), ("without_dp_kd", "ConvNet")}
    assert {plan.cell[1] for plan in RUNS["figure4"] if plan.arm not in ("baseline", "without_dp_kd")} == {"ResNet18"}


def test_points_of_every_chart_are_choices_of_its_study_and_lie_where_their_values_are():
    charted = [study for study in (*PAPER_TABLES, *PAPER_FIGURES) if study.chart]
    assert [study.chart.reference for study in charted] == ["Figure 1", "Figure 3", "Figure 4", "Figure 7"]
    for study in charted:
        chart = study.chart
        arms = {arm.name for arm in study.arms}
        known = arms if chart.axis == "arm" else set(next(a.choices for a in study.axes if a.name == chart.axis))
        assert set(chart.points) <= known
        assert {*chart.arms, *chart.levels} <= arms
        assert {network for shown in chart.networks.values() for network in shown} <= set(study.networks)
    for plan in RUNS["figure4"]:
        for panel, at in find("figure4").chart.points.get(plan.arm, ()):
            kd, rates = plan.config.kd, plan.config.keep_rate
            own = {"Min": rates.minimum, "Wei": kd.alpha, "Tem": kd.temperature}
            assert at == own[panel[:3]]


def test_every_smoke_form_is_of_digits_and_has_every_arm():
    for study in (*PAPER_TABLES, *PAPER_FIGURES):
        form = study.smoke()
        smoke = list(form.expand())
        whole = {plan.arm for plan in study.expand((0,))}
        assert {plan.config.data.dataset for plan in smoke} == {"digits"}
        assert {plan.arm for plan in smoke} == whole
        assert all(form.is_available(plan) for plan in smoke)
        assert max(plan.config.epochs for plan in smoke) <= 20
        assert form.published == {}
        assert form.reference == f"{study.reference}; smoke form, its data replaced by digits"
