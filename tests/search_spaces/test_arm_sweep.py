"""A sweep of any arm of any study: its points change what they say in every cell, and nothing else."""

import dataclasses

import pytest

from crossarch.search_spaces.arm_sweep import SEARCHES, arm_sweep, domains_of
from crossarch.search_spaces.catalog import STUDIES, command, find, find_form
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import lengths
from crossarch.search_spaces.study import Axis
from crossarch.search_spaces.sweep import TIED
from crossarch.trainables.config.run import flatten

TABLE2 = STUDIES["table2"]
SETTINGS = {
    "minimum": "keep_rate.minimum",
    "final": "keep_rate.final",
    "decay": "keep_rate.decay",
    "period": "phases.period",
    "alpha": "kd.alpha",
    "temperature": "kd.temperature",
    "folds": "augmentation.folds",
}


@pytest.mark.parametrize("search", ["slices", "lhs", "sobol"])
@pytest.mark.parametrize(
    ("study", "arm"),
    [("quickstart", "full"), ("quickstart", "without_dp"), ("table2", "without_kd"), ("table8", "full")],
)
def test_each_point_has_its_values_in_every_cell_and_changes_nothing_else(study, arm, search):
    plain = dataclasses.replace(find(study), budget=1.0)  # else a period is not that of the point
    sweep = arm_sweep(plain, arm, search, None if search == "slices" else 6)
    default = {run.cell: dict(flatten(run.config)) for run in sweep.expand((0,)) if run.arm == arm}
    tied = set(lengths(0.5, 0.1, 500)) if {SETTINGS[name] for name in sweep.space.default} >= set(TIED) else set()
    seen = 0
    for run in sweep.expand((0,)):
        if run.arm not in sweep.points or run.arm == arm:
            continue
        point, settings = dict(sweep.points[run.arm]), dict(flatten(run.config))
        if point.get("alpha") == 0:
            point["temperature"] = sweep.space.default["temperature"]
        assert {name: settings[SETTINGS[name]] for name in point} == point
        changed = {name for name, value in settings.items() if value != default[run.cell][name]}
        assert changed <= {SETTINGS[name] for name in point} | tied
        seen += 1
    assert seen == (len(sweep.points) - 1) * len(default) > 0


def test_the_default_point_and_the_first_arm_are_the_runs_of_the_study_itself():
    ids = {(run.arm, run.cell): run.run_id for run in TABLE2.expand((0,))}
    sweep = arm_sweep(TABLE2, "full", vary=["alpha"])
    own = {(run.arm, run.cell): run.run_id for run in sweep.expand((0,)) if run.arm in ("baseline", "full")}
    assert own == {place: name for place, name in ids.items() if place[0] in ("baseline", "full")}


def test_an_arm_is_varied_only_in_what_it_has():
    found = {arm.name: [domain.name for domain in domains_of(QUICKSTART, arm)] for arm in QUICKSTART.arms}
    assert found == {
        "baseline": ["folds"],
        "without_dp_kd": ["folds"],
        "without_dp": ["alpha", "temperature", "folds"],
        "without_kd": ["minimum", "final", "decay", "period", "folds"],
        "full": ["minimum", "final", "decay", "period", "alpha", "temperature", "folds"],
    }


def test_defaults_are_the_arm_s_own():
    study = dataclasses.replace(QUICKSTART, overrides={"kd.alpha": 0.7, "augmentation.folds": 3})
    defaults = {domain.name: domain.default for domain in domains_of(study, study.arms[-1])}
    assert (defaults["alpha"], defaults["folds"], defaults["temperature"]) == (0.7, 3, 1.5)


def test_a_setting_that_differs_from_cell_to_cell_is_left_out_unless_it_is_asked_for():
    folds = Axis(name="data", choices={"few": {"augmentation.folds": 1}, "many": {"augmentation.folds": 4}})
    study = dataclasses.replace(QUICKSTART, axes=(dataclasses.replace(folds, beneath_arms=True), *QUICKSTART.axes))
    assert "folds" not in arm_sweep(study, "full").space.default
    with pytest.raises(ValueError, match=r"vary = 'folds': augmentation.folds of the arm full is 1 or 4, by the cell"):
        arm_sweep(study, "full", vary=["folds"])
    few = dataclasses.replace(study, only={"data": ("few",)})
    assert arm_sweep(few, "full", vary=["folds"]).space.default["folds"] == 1


def test_an_axis_that_sets_the_same_after_the_arm_is_refused():
    axis = Axis(name="alpha", choices={"half": {"kd.alpha": 0.5}})
    study = dataclasses.replace(QUICKSTART, axes=(axis, *QUICKSTART.axes))
    with pytest.raises(ValueError, match=r"kd.alpha cannot be varied: quickstart-full-sweep sets it by an axis"):
        arm_sweep(study, "full")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fuller",), "arm = 'fuller' of quickstart is not one of baseline, without_dp_kd"),
        (("full", "random"), f"search = 'random' is not one of {', '.join(SEARCHES)}"),
        (("full", "grid", 9), "samples = 9, but the levels of the domains decide how many grid has"),
        (("full", "lhs", 0), r"samples = 0 is outside \[1, 10000\]"),
        (("full", "slices", None, ["beta"]), "vary = 'beta' is not one of minimum, final"),
        (("without_kd", "slices", None, ["alpha"]), "vary = 'alpha': the arm without_kd of quickstart has no kd.alpha"),
    ],
)
def test_what_is_not_allowed_is_named(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        arm_sweep(QUICKSTART, *arguments)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("full",), "quickstart-full-sweep"),
        (("full", "lhs"), "quickstart-full-sweep-lhs-40"),
        (("without_dp", "sobol", 8, ["alpha"]), "quickstart-without_dp-sweep-sobol-8-alpha"),
        (("full", "tpe", 12), "quickstart-full-sweep-tpe-12"),
    ],
)
def test_a_sweep_is_found_by_its_name_as_are_its_forms(arguments, name):
    sweep = arm_sweep(QUICKSTART, *arguments)
    assert sweep.name == name
    assert find(name) == sweep
    assert find_form(f"{name}-budget-0.5-smoke") == sweep.scaled(0.5).smoke()
    assert command(sweep, sweep.seeds) == f"crossarch run {name}"


def test_the_smoke_form_is_of_few_points():
    runs = list(arm_sweep(TABLE2, "full", vary=["alpha"]).smoke().expand())
    assert {run.arm for run in runs} == {"baseline", "full", "alpha=0", "alpha=0.65"}
    assert {run.cell[-1] for run in runs if run.arm != "baseline"} == {TABLE2.networks[-1]}
