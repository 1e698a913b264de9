"""A study declares: what it expands to is ordered, pure and complete."""

import dataclasses
import itertools
from pathlib import Path

import pytest

from crossarch.search_spaces import study as study_module
from crossarch.search_spaces.catalog import STUDIES, find
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import BASELINE, FULL, KD_CHANGES, TABLE_1, WITHOUT_DP_KD, Arm
from crossarch.search_spaces.study import Axis, applicable, scale_epochs
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.config.layers import merge_layers
from crossarch.trainables.config.run import NETWORKS as OWN_NETWORKS
from crossarch.trainables.config.run import TORCHVISION, flatten, from_dict

NETWORKS = Axis(
    name="architecture",
    choices={
        "ConvNet": {"model.architecture": "convnet", "model.width": 0.125},
        "ResNet18": {"model.architecture": "resnet18", "model.width": 0.125},
        "Wide": {"model.architecture": "resnet18", "model.width": 0.75},
    },
)
IMAGES = Axis(name="IPC", choices={"1": {"data.images_per_class": 1}, "10": {"data.images_per_class": 10}})


@pytest.fixture
def study():
    """Three arms, over images per class and three networks with widths of their own."""
    base = {name: value for name, value in QUICKSTART.base.items() if name != "model"}
    return dataclasses.replace(QUICKSTART, base=base, arms=(BASELINE, WITHOUT_DP_KD, FULL), axes=(IMAGES, NETWORKS))


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


def test_a_planned_run_has_its_identity_and_its_place_by_name(study):
    for plan in study.expand((0, 3)):
        for each in (plan, plan.teacher) if plan.teacher else (plan,):
            assert each.run_id == run_id(each.config)
            assert list(each.coordinates) == ["arm", "IPC", "architecture"]
            assert (each.arm, *each.cell) == tuple(each.coordinates.values())


def test_seeds_can_be_chosen(study):
    assert {plan.config.seed for plan in study.expand((4,))} == {4}
    assert [plan.config.seed for plan in study.expand((4, 2))][:4] == [4, 2, 4, 2]


def test_an_arm_not_for_the_teacher_is_absent_from_its_column_alone(study):
    # "ConvNet" is also a choice of the other axis, where it is no network.
    confusing = Axis(name="named", choices={"ConvNet": {}})
    study = dataclasses.replace(study, axes=(confusing, NETWORKS))
    cells = {plan.cell for plan in study.expand() if plan.arm == "full"}
    assert cells == {("ConvNet", "ResNet18"), ("ConvNet", "Wide")}


def test_each_choice_makes_its_changes(study):
    for plan in study.expand():
        values = dict(flatten(plan.config))
        assert values["data.images_per_class"] == int(plan.cell[0])
        assert values["model.architecture"] == ("convnet" if plan.cell[1] == "ConvNet" else "resnet18")
        assert values["model.width"] == (0.75 if plan.cell[1] == "Wide" else 0.125)


def test_only_the_full_arm_improves_the_shortcut_drops_paths_and_distils(study):
    for plan in study.expand():
        full, residual = plan.arm == "full", plan.cell[1] != "ConvNet"
        shortcut = dict(flatten(plan.config)).get("model.shortcut")
        assert shortcut == ({True: "improved", False: "original"}[full] if residual else None)
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
    study = dataclasses.replace(study, arms=(FULL,), axes=(rates, NETWORKS))
    for plan in study.expand():
        assert plan.config.learning_rate.maximum == float(plan.cell[0])
        assert plan.config.learning_rate.decay == 0.8
        assert plan.config.kd.teacher.learning_rate == plan.config.learning_rate


HAVE = {
    "phases.period": ("without_dp_kd", "without_dp", "without_kd", "full"),
    "keep_rate.minimum": ("without_kd", "full"),
    "kd.alpha": ("without_dp", "full"),
}
"""Parts of a run that not every arm has, and who has them."""


@pytest.mark.parametrize(
    ("name", "values"), [("phases.period", (250, 500)), ("keep_rate.minimum", (0.3, 0.4)), ("kd.alpha", (0.2, 0.8))]
)
def test_an_axis_over_what_some_arms_lack_leaves_those_as_they_are(study, name, values):
    plain = dataclasses.replace(study, arms=TABLE_1, axes=(NETWORKS,), budget=1.0)
    axis = Axis(name="varied", choices={str(value): {name: value} for value in values})
    study = dataclasses.replace(plain, axes=(axis, NETWORKS))
    unvaried = {(plan.arm, plan.cell, plan.config.seed): plan for plan in plain.expand()}
    for plan in study.expand():
        before = unvaried[plan.arm, plan.cell[1:], plan.config.seed].config
        applies = plan.arm in HAVE[name]
        assert dict(flatten(plan.config)).get(name) == (float(plan.cell[0]) if applies else None)
        if not applies:
            assert run_id(plan.config) == run_id(before)
        if plan.teacher:  # never distils nor drops paths, but has phases
            assert plan.config.kd.teacher == plan.teacher.config
            assert dict(flatten(plan.teacher.config)).get(name) == (
                float(plan.cell[0]) if name == "phases.period" else None
            )


def test_runs_that_an_axis_leaves_as_they_are_coincide(study):
    axis = Axis(name="alpha", choices={"low": {"kd.alpha": 0.2}, "high": {"kd.alpha": 0.8}})
    study = dataclasses.replace(study, arms=TABLE_1, axes=(axis, NETWORKS))
    runs = [(plan.arm, run_id(plan.config)) for plan in study.expand((0,))]
    assert {arm: len({identity for name, identity in runs if name == arm}) for arm, _ in runs} == {
        "baseline": 3,
        "without_dp_kd": 3,
        "without_dp": 4,
        "without_kd": 2,
        "full": 4,
    }


def test_overrides_too_change_only_what_an_arm_has(study):
    study = dataclasses.replace(study, overrides={"keep_rate.final": 0.9})
    rates = {plan.arm: plan.config.keep_rate for plan in study.expand()}
    assert (rates["baseline"], rates["without_dp_kd"]) == (None, None)
    assert rates["full"].final == 0.9


def test_an_axis_reaches_an_arm_that_distils_with_every_default(study):
    plain = dataclasses.replace(FULL, changes={name: v for name, v in FULL.changes.items() if name not in KD_CHANGES})
    axis = Axis(name="alpha", choices={"0.2": {"kd.alpha": 0.2}})
    study = dataclasses.replace(study, arms=(plain,), axes=(axis, NETWORKS))
    assert {plan.config.kd.alpha for plan in study.expand((0,))} == {0.2}


LACKING, HAVING = {"keep_rate": None, "epochs": 5}, {"keep_rate": {"final": 0.9}, "phases": {}, "kd": {}}
WHOLE = {"minimum": 0.4}


@pytest.mark.parametrize(
    ("changes", "values", "left"),
    [
        ({"epochs": 7, "model.width": 0.5, "learning_rate.maximum": 1e-3}, LACKING, None),
        ({"keep_rate.minimum": 0.4, "phases.period": 3, "kd.alpha": 0.2, "epochs": 7}, LACKING, {"epochs": 7}),
        ({"keep_rate.minimum": 0.4, "phases.period": 3, "kd.alpha": 0.2, "epochs": 7}, HAVING, None),
        ({"keep_rate": WHOLE, "phases": {"period": 3}}, LACKING, None),
        ({"keep_rate": None, "phases": None}, HAVING, None),
        ({"keep_rate": None}, LACKING, None),
        ({"keep_rate": WHOLE, "keep_rate.final": 0.7}, LACKING, None),
        ({"keep_rate": None, "keep_rate.final": 0.7}, HAVING, {"keep_rate": None}),
    ],
)
def test_of_changes_those_to_settings_of_optional_parts_that_lack_are_left_out(changes, values, left):
    assert applicable(changes, values) == (changes if left is None else left)


@pytest.mark.parametrize("name", ["kd", "kd.teacher", "kd.teacher.model.width"])
@pytest.mark.parametrize("values", [LACKING, HAVING])
def test_whom_a_run_learns_from_is_no_change_that_applies(name, values):
    with pytest.raises(ValueError, match=rf"^{name} cannot be varied by axis or override: the arm names its teacher$"):
        applicable({"epochs": 7, name: None}, values)


@pytest.fixture
def layered(study):
    """A study in which every kind of layer sets the weight decay, and each a setting of its own beside."""

    def sets(place, **changes):
        return {"optimizer.weight_decay": place / 10, **changes}

    data = {"kind": "distilled", "dataset": "digits", "images_per_class": 1, "distilled_set": "mine"}
    beneath = Axis(
        name="beneath",
        choices={"b": sets(3, batch_size=3, epochs=300)},
        by_architecture={"b": {"resnet18": sets(4, batch_size=4)}},
        beneath_arms=True,
    )
    above = Axis(
        name="above",
        choices={"a": sets(7, batch_size=7, epochs=700) | {"keep_rate.final": 0.7, "phases.period": 7}},
        by_architecture={"a": {"resnet18": sets(8)}},
    )
    arm = Arm(
        name="arm",
        label="Arm",
        changes=sets(5, epochs=500),
        by_architecture={"resnet18": sets(6, epochs=600), "convnet": sets(6)},
    )
    networks = {"R": sets(1) | {"model.architecture": "resnet18"}, "C": {"model.architecture": "convnet"}}
    return dataclasses.replace(
        study,
        base={**study.base, "data": data, "model.width": 0.25, "optimizer": {"name": "sgd", "weight_decay": 0.2}},
        arms=(arm,),
        axes=(above, Axis(name="network", choices=networks), beneath),
        columns="network",
        teacher="C",
        overrides=sets(9),
        budget=1.0,
        claims=(),
        distils={},
        bindings={"mine": {"data.sha256": "a" * 64, "data.whitening": "zca"}, "other": {"data.sha256": "b" * 64}},
    )


def test_layers_come_in_their_order_each_with_its_source(layered):
    layers = layered.layers(layered.arms[0], ("a", "R", "b"))
    assert [layer.source for layer in layers] == [
        "network = R",
        "base",
        "network = R",
        "beneath = b",
        "beneath = b",
        "arm arm",
        "arm arm, resnet18",
        "above = a",
        "above = a",
        "overrides",
        "distilled set mine",
    ]
    decays = [merge_layers(layer.changes).get("optimizer", {}).get("weight_decay") for layer in layers]
    assert decays == [None, 0.2, 0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, None]
    # The arm has neither DropPath nor phases.
    assert layers[7].changes == {"optimizer.weight_decay": 0.7, "batch_size": 7, "epochs": 700}
    assert layers[10].changes == layered.bindings["mine"]


def test_each_layer_lies_over_those_before_it(layered):
    """One after another taken away from above, each that sets the decay is seen."""
    arm, cell = layered.arms[0], ("a", "R", "b")
    layers = layered.layers(arm, cell)
    for count, decay in zip(range(2, 12), (0.2, 0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9), strict=True):
        seen = merge_layers(*(layer.changes for layer in layers[:count]))
        assert seen["optimizer"] == {"name": "sgd", "weight_decay": decay}
    config = layered.config(arm, cell, 3)
    assert (config.optimizer.name, config.optimizer.weight_decay, config.seed) == ("sgd", 0.9, 3)
    assert (config.model.architecture, config.batch_size, config.epochs) == ("resnet18", 7, 700)
    assert (config.data.sha256, config.data.whitening) == ("a" * 64, "zca")
    assert (config.keep_rate, config.phases) == (None, None)


def test_layers_of_another_architecture_are_its_own(layered):
    layers = layered.layers(layered.arms[0], ("a", "C", "b"))
    assert [layer.source for layer in layers if layer.changes] == [
        "network = C",
        "base",
        "network = C",
        "beneath = b",
        "arm arm",
        "arm arm, convnet",
        "above = a",
        "overrides",
        "distilled set mine",
    ]


def test_a_configuration_is_its_layers_and_nothing_else(study):
    for arm, cell in study.places():
        values = merge_layers(*(layer.changes for layer in study.layers(arm, cell)), {"seed": 1})
        distils = values.pop("kd", None)
        config = study.config(arm, cell, 1)
        assert scale_epochs(from_dict(values), study.budget) == config.replace({"kd": None})
        assert (config.kd is not None) == (distils is not None)
        if config.kd:
            assert distils == {"alpha": config.kd.alpha, "temperature": config.kd.temperature}


def test_what_is_known_of_a_distilled_set_is_the_last_layer_and_may_not_be_contradicted(layered):
    arm, cell = layered.arms[0], ("a", "R", "b")
    known = {"mine": {"data.sha256": "a" * 64, "data.label_temperature": 0.3}}
    unknown = dataclasses.replace(layered, bindings={})
    assert unknown.layers(arm, cell)[-1].source == "overrides"
    own = {"data.label_temperature": 0.5}  # a study's own temperature stays
    asked = dataclasses.replace(layered, bindings=known, overrides=own)
    assert asked.layers(arm, cell)[-1].changes == {"data.sha256": "a" * 64}
    assert asked.config(arm, cell, 0).data.label_temperature == 0.5
    plain = dataclasses.replace(asked, overrides={})
    assert plain.config(arm, cell, 0).data.label_temperature == 0.3
    wrong = dataclasses.replace(layered, overrides={"data.whitening": "channel"})
    with pytest.raises(ValueError, match=r"^data\.whitening = 'channel', but mine has 'zca'$"):
        wrong.layers(arm, cell)


def test_expanding_knows_no_architecture_by_name():
    text = Path(study_module.__file__).read_text(encoding="utf-8")
    families = {name.rstrip("0123456789") for name in OWN_NETWORKS} | {TORCHVISION.rstrip(":")}
    assert families == {"convnet", "resnet", "alexnet", "vgg", "torchvision"}
    assert not {family for family in families if family in text}


def test_an_axis_may_switch_drop_path_off_and_on(study):
    on = {"keep_rate": {"minimum": 0.4, "final": 0.7, "decay": 0.2}}
    switch = Axis(name="DropPath", choices={"off": {"keep_rate": None}, "on": on})
    lowest = Axis(name="lowest", choices={"0.3": {"keep_rate.minimum": 0.3}})
    deep = Axis(name="architecture", choices={"ResNet18": {"model.architecture": "resnet18"}})
    study = dataclasses.replace(study, arms=(WITHOUT_DP_KD,), axes=(lowest, switch, deep), teacher="ResNet18")
    off, on = (plan.config.keep_rate for plan in study.expand((0,)))
    assert off is None
    assert (on.minimum, on.final, on.decay) == (0.4, 0.7, 0.2)  # the later axis has the last word on each
    study = dataclasses.replace(study, axes=(switch, lowest, deep))
    off, on = (plan.config.keep_rate for plan in study.expand((0,)))
    assert off is None
    assert (on.minimum, on.final, on.decay) == (0.3, 0.7, 0.2)


@pytest.mark.parametrize("name", ["kd", "kd.teacher", "kd.teacher.epochs"])
def test_an_axis_cannot_change_whom_an_arm_learns_from(study, name):
    axis = Axis(name="odd", choices={"odd": {name: None}})
    with pytest.raises(ValueError, match=rf"^{name} cannot be varied by axis or override: the arm names its teacher$"):
        list(dataclasses.replace(study, axes=(axis, NETWORKS)).expand())


def test_an_axis_may_choose_the_teachers_weights(study):
    axis = Axis(name="teacher", choices={"final": {}, "best": {"kd.teacher_weights": "best", "test_evaluations": 11}})
    study = dataclasses.replace(study, arms=(BASELINE, FULL), axes=(axis, NETWORKS))
    assert {plan.config.kd.teacher_weights for plan in study.expand() if plan.cell[0] == "best" and plan.config.kd} == {
        "best"
    }


def test_what_is_wrong_with_a_teacher_is_said_to_be_the_teachers(study):
    wrong = dataclasses.replace(FULL, teacher=WITHOUT_DP_KD.changed({"epochs": 0}))
    with pytest.raises(ValueError, match=r"^kd\.teacher\.epochs = 0 is outside"):
        list(dataclasses.replace(study, arms=(wrong,)).expand())


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
        assert plan.config.model.width == study.smoke_form.changes["model.width"]
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
    for arm in (odd, dataclasses.replace(odd, teacher=BASELINE)):
        with pytest.raises(ValueError, match=r"^kd\.alfa is unknown"):
            list(dataclasses.replace(study, arms=(arm,)).expand())


def test_studies_are_found_by_their_name():
    assert all(find(name).name == name for name in STUDIES)
    with pytest.raises(ValueError, match=r"^study = 'table9' is unknown; known: quickstart"):
        find("table9")


@pytest.mark.parametrize("name", [name for name in STUDIES if name != "robustness"])
def test_a_smoke_form_has_every_arm_and_network_and_first_choice(name):
    """Not every pair of them; robustness, whose arms are points of a design, is apart."""
    study, smoke = STUDIES[name], STUDIES[name].smoke()
    column = study.column
    whole, small = list(study.expand((0,))), list(smoke.expand((0,)))
    assert {plan.arm for plan in small} == {plan.arm for plan in whole}
    assert {plan.cell[column] for plan in small} == {plan.cell[column] for plan in whole}
    first = {axis.name: next(iter(axis.choices)) for axis in study.axes}
    first[study.columns] = None
    for plan in small:
        others = {axis.name: choice for axis, choice in zip(study.axes, plan.cell, strict=True)}
        assert others | {study.columns: None} == first
    assert {(p.arm, p.cell) for p in small} <= {(p.arm, p.cell) for p in whole}


def test_a_smoke_form_may_spare_a_network_some_arms(study):
    network = study.networks[-1]
    arms = {arm.name for arm, cell in study.places() if cell[study.column] == network}
    kept = sorted(arms)[0]
    form = dataclasses.replace(study.smoke_form, sparing={network: (kept,)})
    spared = dataclasses.replace(study, smoke_form=form).smoke()
    places = {(arm.name, cell) for arm, cell in spared.places()}
    assert {arm for arm, cell in places if cell[study.column] == network} == {kept}
    whole = {(arm.name, cell) for arm, cell in study.smoke().places()}
    assert whole - places == {(arm, cell) for arm, cell in whole if cell[study.column] == network and arm != kept}
    no_arm = dataclasses.replace(form, sparing={network: ("no such arm",)})
    assert {(a.name, c) for a, c in dataclasses.replace(study, smoke_form=no_arm).smoke().places()} == whole
