"""The study of robustness: a method at many points of its space, with schedules as long as each needs."""

import dataclasses
import math

import pytest

from crossarch.search_spaces.arm_sweep import DOMAINS, SEARCHES
from crossarch.search_spaces.catalog import find
from crossarch.search_spaces.paper.tables import TABLE2, TABLE6
from crossarch.search_spaces.quickstart import ARMS, QUICKSTART
from crossarch.search_spaces.recipes import lengths
from crossarch.search_spaces.robustness import ROBUSTNESS, SETS, robustness
from crossarch.search_spaces.study import scale_epochs
from crossarch.search_spaces.sweep import changes_at
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.methods.schedules import keep_rate

VGG11 = ("VGG11",)


def configs(sweep, seed=0):
    """The configuration of VGG11 by arm."""
    return {plan.arm: plan.config for plan in sweep.expand((seed,)) if plan.cell == VGG11}


@pytest.fixture(scope="module")
def at():
    """The configurations of the default study."""
    return configs(ROBUSTNESS)


def test_the_declared_defaults_are_the_methods_own():
    moved = ARMS["full"].changed(changes_at(ROBUSTNESS.space, ROBUSTNESS.space.default))
    same = dataclasses.replace(ROBUSTNESS, arms=(ROBUSTNESS.arms[0], moved))
    assert configs(same)["full"] == configs(QUICKSTART)["full"]


def test_it_shares_its_default_and_its_teachers_with_quickstart(at):
    theirs = configs(QUICKSTART)
    assert run_id(at["full"]) == run_id(theirs["full"])
    assert {run_id(each.kd.teacher) for each in at.values() if each.kd} == {run_id(theirs["full"].kd.teacher)}


def test_no_two_points_of_the_slices_are_one_run(at):
    assert len({run_id(each) for each in at.values()}) == len(at) == 2 + sum(len(each.levels) - 1 for each in DOMAINS)


def test_a_point_changes_what_its_name_says(at):
    assert at["alpha=0.65"].kd.alpha == 0.65
    assert at["temperature=20"].kd.temperature == 20
    assert at["folds=2"].augmentation.folds == 2
    assert (at["final=1"].keep_rate.final, at["decay=0.25"].keep_rate.decay) == (1.0, 0.25)
    assert at["period=1000"].phases.period == 2 * at["full"].phases.period


def test_a_smaller_minimum_makes_the_training_longer(at):
    length = {rate: at[f"minimum={rate}"].epochs for rate in (0.3, 0.4, 0.6, 0.7, 0.8)}
    assert list(length.values()) == sorted(length.values(), reverse=True)
    assert length[0.4] > at["full"].epochs > length[0.6]


@pytest.mark.parametrize("minimum", [0.3, 0.35, 0.5, 0.55, 0.8])
@pytest.mark.parametrize("decay", [0.05, 0.07, 0.1, 0.15, 0.5])
@pytest.mark.parametrize("period", [250, 400, 500, 1000])
def test_the_keep_rate_reaches_its_minimum_and_stays_there_for_one_period(minimum, decay, period):
    point = ROBUSTNESS.space.moved({"minimum": minimum, "decay": decay, "period": period})
    arm = ARMS["full"].changed(changes_at(ROBUSTNESS.space, point))
    config = dataclasses.replace(ROBUSTNESS, budget=1.0).config(arm, VGG11, 0)
    end = config.phases.stabilization
    reached = [epoch for epoch in range(end) if keep_rate(epoch, config.keep_rate, config.phases) == minimum]
    assert reached == list(range(end - period, end))
    assert keep_rate(end, config.keep_rate, config.phases) == config.keep_rate.final
    assert config.epochs == min(end + 1000, 2 * end)


def test_lengths_are_the_papers_at_its_constants():
    assert lengths(0.5, 0.1, 500) == {"phases.period": 500, "phases.stabilization": 3000, "epochs": 4000}


def test_a_budget_keeps_the_shape_of_every_point():
    whole = configs(dataclasses.replace(ROBUSTNESS, budget=1.0))
    for arm, config in configs(ROBUSTNESS).items():
        if arm not in ("full", "baseline"):
            assert scale_epochs(whole[arm], ROBUSTNESS.budget).phases == config.phases
            assert config.phases.stabilization >= config.phases.warmup + config.phases.period


def test_where_distillation_has_no_weight_its_temperature_makes_no_other_run():
    grid = configs(robustness("grid"))
    weightless = [run_id(each) for arm, each in grid.items() if arm != "baseline" and each.kd.alpha == 0]
    assert len(weightless) == 7
    assert len(set(weightless)) == 1


@pytest.mark.parametrize("design", ["slices", "grid", "lhs", "sobol"])
def test_every_design_is_of_runs_that_are_allowed_with_the_default_first(design):
    sweep = robustness(design, 12 if design in ("lhs", "sobol") else None)
    made = configs(sweep)
    assert list(made)[:2] == ["baseline", "full"]
    assert list(sweep.points) == list(made)[1:]
    assert all(math.isfinite(each.epochs) for each in made.values())


def test_a_sampler_begins_with_the_default_alone():
    sweep = robustness("tpe", 12)
    assert list(configs(sweep)) == ["baseline", "full"]
    assert sweep.sampler.count == 12


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((), "robustness"),
        (("slices", None, ["alpha"]), "robustness-slices-alpha"),
        (("grid",), "robustness-grid"),
        (("grid", None, ["temperature", "alpha"]), "robustness-grid"),
        (("grid", None, ["folds", "minimum"]), "robustness-grid-minimum-folds"),
        (("lhs", 12), "robustness-lhs-12"),
        (("tpe", 7, ["alpha"]), "robustness-tpe-7-alpha"),
        (("slices", None, None, "cifar10-mtt-ipc1"), "robustness-on-cifar10-mtt-ipc1"),
        (("lhs", 9, ["alpha"], "tiny_imagenet-frepo-ipc10"), "robustness-lhs-9-alpha-on-tiny_imagenet-frepo-ipc10"),
    ],
)
def test_a_study_is_found_again_by_its_name(arguments, name):
    assert robustness(*arguments).name == name
    assert find(name) == robustness(*arguments)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("robustness-random", f"search = 'random' is not one of {', '.join(SEARCHES)}"),
        ("robustness-grid-9", "samples = 9, but the levels of the domains decide how many grid has"),
        ("robustness-lhs-0", r"samples = 0 is outside \[1, 10000\]"),
        ("robustness-lhs-9-beta", "vary = 'beta' is not one of minimum, final"),
        ("robustness-lhs", "study = 'robustness-lhs' is unknown; is 'robustness-lhs-40' meant?"),
        ("robustness-on-cifar10-dm-ipc1", "distilled = 'cifar10-dm-ipc1' is not one of cifar10-frepo-ipc1, "),
        ("robustness-slices-on-cifar10-mtt-ipc1", "is 'robustness-on-cifar10-mtt-ipc1' meant?"),
        ("robustnes", "study = 'robustnes' is unknown; known: quickstart"),
    ],
)
def test_a_name_of_none_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        find(name)


def test_a_restriction_to_one_network_keeps_the_baseline_that_all_is_measured_from():
    only = dataclasses.replace(ROBUSTNESS, only={"architecture": VGG11, "arm": ("alpha=1",)})
    assert [(plan.arm, plan.cell) for plan in only.expand((0,))] == [("baseline", ("ConvNet",)), ("alpha=1", VGG11)]


@pytest.mark.parametrize(
    ("table", "label", "name"),
    [
        (TABLE2, "cifar10-frepo-ipc10", "cifar10-frepo-ipc10"),
        (TABLE2, "cifar10-mtt-ipc1", "cifar10-mtt-ipc1"),
        (TABLE6, "tiny_imagenet-frepo-ipc1", "tiny_imagenet-frepo-ipc1"),
    ],
)
def test_on_a_set_of_the_papers_the_default_is_the_tables_own_run_on_every_network(table, label, name):
    theirs = {(plan.arm, *plan.cell): run_id(plan.config) for plan in table.expand((0,)) if plan.cell[0] == label}
    ours = {(plan.arm, *plan.cell): run_id(plan.config) for plan in robustness(distilled=name).expand((0,))}
    shared = {(arm, network): theirs[arm, label, network] for arm, network in ours if arm in ("baseline", "full")}
    assert {place: ours[place] for place in shared} == shared
    assert len(shared) == 1 + 2 * 4  # the CNN has its baseline alone


@pytest.mark.parametrize("name", SETS)
def test_on_every_set_of_the_papers_no_two_points_are_one_run(name):
    sweep = robustness("slices", vary=["folds", "alpha"], distilled=name)
    assert len({run_id(config) for config in configs(sweep).values()}) == len(sweep.arms) == 2 + 4 + 5
    assert f"folds={sweep.base['augmentation']['folds']}" not in sweep.points


def test_its_smoke_form_is_of_five_runs_and_their_teacher():
    for design in ("slices", "grid", "lhs"):
        assert len(list(robustness(design).smoke().expand())) == 5
    assert robustness("tpe").smoke().sampler.count == 2
