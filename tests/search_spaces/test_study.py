"""A study declares: what it expands to is ordered, pure and complete."""

import dataclasses
import itertools

import pytest

from crossarch.search_spaces.arms import BASELINE, FULL, WITHOUT_DP_KD
from crossarch.search_spaces.catalog import STUDIES, find
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.study import Arm, Axis
from crossarch.trainables.config import flatten
from crossarch.trainables.identity import run_id

ARCHITECTURES = Axis(
    name="architecture",
    choices={
        "ConvNet": {"model.architecture": "convnet"},
        "ResNet18": {"model.architecture": "resnet18"},
        "Wide": {"model.architecture": "resnet18", "model.width": 0.75},
    },
)
IMAGES = Axis(name="IPC", choices={"1": {"data.images_per_class": 1}, "10": {"data.images_per_class": 10}})


@pytest.fixture
def study():
    """All three arms, over images per class and three networks."""
    arms = (BASELINE, WITHOUT_DP_KD, FULL)
    return dataclasses.replace(QUICKSTART, arms=arms, axes=(IMAGES, ARCHITECTURES))


def test_runs_go_arm_by_arm_cell_by_cell_seed_by_seed(study):
    cells = list(itertools.product(("1", "10"), ("ConvNet", "ResNet18", "Wide")))
    deep = [cell for cell in cells if cell[1] != "ConvNet"]
    expected = [("baseline", cell) for cell in cells] + [("without_dp_kd", cell) for cell in cells]
    expected += [("full", cell) for cell in deep]
    runs = [(plan.arm, plan.cell, plan.config.seed) for plan in study.expand()]
    assert runs == [(arm, cell, seed) for arm, cell in expected for seed in (0, 1, 2)]


def test_expanding_is_pure(study):
    first, second = list(study.expand()), list(study.expand())
    assert first == second
    assert len({run_id(plan.config) for plan in first}) == len(first)


def test_seeds_can_be_chosen(study):
    assert {plan.config.seed for plan in study.expand((4,))} == {4}
    assert [plan.config.seed for plan in study.expand((4, 2))][:4] == [4, 2, 4, 2]


def test_an_arm_not_for_the_teacher_is_absent_from_its_column_alone(study):
    # "ConvNet" is also a choice of the other axis, where it is no network.
    confusing = Axis(name="named", choices={"ConvNet": {}})
    study = dataclasses.replace(study, axes=(confusing, ARCHITECTURES))
    cells = {plan.cell for plan in study.expand() if plan.arm == "full"}
    assert cells == {("ConvNet", "ResNet18"), ("ConvNet", "Wide")}


def test_each_choice_makes_its_changes(study):
    for plan in study.expand():
        values = dict(flatten(plan.config))
        assert values["data.images_per_class"] == int(plan.cell[0])
        assert values["model.architecture"] == ("convnet" if plan.cell[1] == "ConvNet" else "resnet18")
        assert values["model.width"] == (0.75 if plan.cell[1] == "Wide" else study.base.model.width)


def test_only_the_full_arm_improves_the_shortcut_drops_paths_and_distils(study):
    for plan in study.expand():
        full, residual = plan.arm == "full", plan.cell[1] != "ConvNet"
        assert plan.config.model.shortcut == ({True: "improved", False: "original"}[full] if residual else None)
        assert (plan.config.keep_rate is not None) == full
        assert (plan.config.kd is not None) == full


def test_a_teacher_is_the_run_of_its_arm_on_the_same_data_and_seed(study):
    runs = {(plan.arm, plan.cell, plan.config.seed): plan for plan in study.expand()}
    students = [plan for plan in runs.values() if plan.arm == "full"]
    assert len(students) == 12
    for plan in students:
        teacher = runs["without_dp_kd", (plan.cell[0], "ConvNet"), plan.config.seed]
        assert plan.teacher == teacher
        assert plan.config.kd.teacher == teacher.config
        assert plan.config.kd.teacher.data == plan.config.data
    assert all(plan.teacher is None for plan in runs.values() if plan.arm != "full")


def test_overrides_reach_students_and_teachers_after_arm_and_axes(study):
    study = dataclasses.replace(study, overrides={"model.width": 0.5, "batch_size": 7})
    for plan in study.expand():
        assert (plan.config.model.width, plan.config.batch_size) == (0.5, 7)
        if plan.config.kd:
            assert (plan.config.kd.teacher.model.width, plan.config.kd.teacher.batch_size) == (0.5, 7)


def test_an_axis_may_vary_what_an_arm_sets(study):
    rates = Axis(name="lr", choices={str(rate): {"learning_rate.maximum": rate} for rate in (1e-4, 2e-4)})
    study = dataclasses.replace(study, arms=(FULL,), axes=(rates, ARCHITECTURES))
    for plan in study.expand():
        assert plan.config.learning_rate.maximum == float(plan.cell[0])
        assert plan.config.learning_rate.decay == 0.8
        assert plan.config.kd.teacher.learning_rate == plan.config.learning_rate


def test_the_budget_scales_every_run_and_teacher_once(study):
    for plan in dataclasses.replace(study, budget=0.1).expand((0,)):
        assert plan.config.epochs == (100 if plan.arm == "baseline" else 400)
        if plan.config.kd:
            assert plan.config.kd.teacher.epochs == 400


def test_scaled_studies_multiply_budgets_under_their_own_name(study):
    half = study.scaled(0.5)
    assert (half.name, half.budget) == ("quickstart-budget-0.5", study.budget * 0.5)
    assert study.scaled(1) is study
    assert half.smoke().name == "quickstart-budget-0.5-smoke"


@pytest.mark.parametrize("budget", [0, -0.5, float("inf"), float("nan")])
def test_a_budget_that_is_no_positive_number_is_refused(study, budget):
    with pytest.raises(ValueError, match=rf"^budget = {budget:g} is outside \(0, inf\)$"):
        study.scaled(budget)


def test_smoke_keeps_every_arm_and_network_and_shrinks_the_rest(study):
    smoke = study.smoke()
    assert smoke.name == "quickstart-smoke"
    assert (smoke.arms, smoke.axes, smoke.teacher) == (study.arms, study.axes, study.teacher)
    assert smoke.seeds == study.seeds[:1]
    assert {(plan.arm, plan.cell) for plan in smoke.expand()} == {(plan.arm, plan.cell) for plan in study.expand()}
    for plan in smoke.expand():
        assert plan.config.data.images_per_class == study.smoke_form.changes["data.images_per_class"]
        assert plan.config.epochs < next(study.expand()).config.epochs


def test_smoke_adds_to_overrides_that_are_there(study):
    smoke = dataclasses.replace(study, overrides={"batch_size": 7, "model.width": 0.5}).smoke()
    assert smoke.overrides == {"batch_size": 7, **study.smoke_form.changes}


def test_networks_are_the_choices_of_the_columns_axis(study):
    assert study.networks == ("ConvNet", "ResNet18", "Wide")
    assert study.column == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"arms": (BASELINE, Arm(name="baseline", label="Other", changes={}))},
            "two arms have one name in baseline, baseline",
        ),
        ({"columns": "network"}, "columns = 'network' is no axis"),
        ({"teacher": "VGG11"}, "teacher = 'VGG11' is not among ConvNet, ResNet18, Wide"),
    ],
)
def test_a_study_that_contradicts_itself_is_refused(study, changes, sentence):
    with pytest.raises(ValueError, match=f"^study quickstart: {sentence}$"):
        dataclasses.replace(study, **changes)


def test_a_setting_an_arm_cannot_have_is_refused_where_it_is_used(study):
    odd = Arm(name="odd", label="Odd", changes={"kd.alfa": 0.5})
    with pytest.raises(ValueError, match=r"kd.alfa is unknown"):
        list(dataclasses.replace(study, arms=(odd,)).expand())


def test_studies_are_found_by_their_name():
    assert all(find(name).name == name for name in STUDIES)
    with pytest.raises(ValueError, match=r"^study = 'table9' is unknown; known: quickstart"):
        find("table9")
