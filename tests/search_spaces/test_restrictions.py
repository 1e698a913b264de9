"""What a study does with axes beneath its arms, restrictions to some cells, and sets that a store knows."""

import dataclasses
import os
import subprocess
import sys

import pytest

from crossarch.search_spaces.quickstart import DISTILS, QUICKSTART, SET
from crossarch.search_spaces.recipes import BASELINE, FULL, WITHOUT_DP_KD
from crossarch.search_spaces.single import single_run
from crossarch.search_spaces.study import Axis
from crossarch.trainables.config.run import flatten

NETWORKS = Axis(
    name="architecture",
    choices={"ConvNet": {"model.architecture": "convnet"}, "ResNet18": {"model.architecture": "resnet18"}},
)
FOLDS = {"three": {"augmentation.folds": 3}, "five": {"augmentation.folds": 5}}


def study_with(axis):
    return dataclasses.replace(QUICKSTART, arms=(BASELINE, WITHOUT_DP_KD, FULL), axes=(axis, NETWORKS))


def folds(study, arm, cell):
    (config,) = (plan.config for plan in study.expand((0,)) if (plan.arm, plan.cell) == (arm, cell))
    return config.augmentation.folds


def test_an_axis_wins_over_arms_unless_it_lies_beneath_them():
    beneath = Axis(name="folds", choices=FOLDS, beneath_arms=True)
    above = Axis(name="folds", choices=FOLDS)
    assert folds(study_with(above), "baseline", ("five", "ResNet18")) == 5
    study = study_with(beneath)
    assert folds(study, "baseline", ("five", "ResNet18")) == BASELINE.changes["augmentation.folds"] == 1
    assert folds(study, "full", ("five", "ResNet18")) == 5


@pytest.mark.parametrize("beneath", [True, False])
def test_an_axis_changes_further_what_networks_of_an_architecture_alone_have(beneath):
    own = {"three": {"convnet": {"model.channels": (8, 8)}}}
    study = study_with(Axis(name="folds", choices=FOLDS, by_architecture=own, beneath_arms=beneath))
    channels = {plan.cell: dict(flatten(plan.config)).get("model.channels") for plan in study.expand((0,))}
    assert channels == {
        ("three", "ConvNet"): (8, 8),
        ("three", "ResNet18"): None,
        ("five", "ConvNet"): (128, 256, 512),
        ("five", "ResNet18"): None,
    }
    taught = [plan.config.kd.teacher for plan in study.expand((0,)) if plan.config.kd and plan.cell[0] == "three"]
    assert [teacher.model.channels for teacher in taught] == [(8, 8)]


def test_a_restriction_leaves_the_cells_it_names_and_changes_no_run():
    study = dataclasses.replace(QUICKSTART, arms=(BASELINE, WITHOUT_DP_KD, FULL), axes=(NETWORKS,))
    some = dataclasses.replace(study, only={"arm": ("baseline", "full"), "architecture": ("ResNet18",)})
    kept = [plan for plan in study.expand() if plan.arm != "without_dp_kd" and plan.cell == ("ResNet18",)]
    assert list(some.expand()) == kept
    assert len(kept) == 6


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ({"color": ("red",)}, "color is no axis of quickstart: it has arm, architecture"),
        ({"arm": ("Full",)}, "arm = 'Full' is not one of baseline, full"),
        ({"architecture": ("VGG19",)}, "architecture = 'VGG19' is not one of ConvNet, ResNet18"),
    ],
)
def test_a_restriction_to_what_is_not_there_is_refused(only, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(QUICKSTART, arms=(BASELINE, FULL), axes=(NETWORKS,), only=only)


def test_a_study_can_be_limited_to_some_cells_of_some_arms():
    study = dataclasses.replace(QUICKSTART, arms=(BASELINE, FULL), axes=(NETWORKS,))
    cells = (("baseline", ("ConvNet",)), ("full", ("ResNet18",)))
    found = list(dataclasses.replace(study, cells=cells).expand())
    assert found == [plan for plan in study.expand() if (plan.arm, plan.cell) in cells]
    assert {plan.teacher.cell for plan in found if plan.teacher} == {("ConvNet",)}


def test_an_arm_can_be_for_some_networks_alone_and_have_a_teacher_of_its_own():
    shallow = BASELINE.named("shallow", "Shallow", networks=("ConvNet",))
    taught = FULL.named("taught", "Taught", networks=("ConvNet",), teacher_network="ResNet18", for_teacher=True)
    other = dataclasses.replace(taught, changes={name: v for name, v in FULL.changes.items() if name != "keep_rate"})
    study = dataclasses.replace(QUICKSTART, arms=(shallow, FULL, other), axes=(NETWORKS,))
    found = {(plan.arm, plan.cell[0]): plan for plan in study.expand((0,))}
    assert set(found) == {("shallow", "ConvNet"), ("full", "ResNet18"), ("taught", "ConvNet")}
    for (_, network), plan in found.items():
        if plan.teacher:
            (teacher,) = {"ConvNet", "ResNet18"} - {network}
            assert (plan.teacher.arm, plan.teacher.cell) == ("without_dp_kd", (teacher,))
            assert plan.config.kd.teacher == plan.teacher.config
            assert plan.teacher.config.model.architecture == teacher.lower()


@pytest.mark.parametrize("changes", [{"networks": ("VGG11",)}, {"teacher_network": "VGG11"}])
def test_an_arm_for_a_network_that_is_not_there_is_refused(changes):
    with pytest.raises(ValueError, match="study quickstart: 'VGG11' of an arm is not among ConvNet, ResNet18"):
        dataclasses.replace(QUICKSTART, arms=(BASELINE, FULL.named("x", "X", **changes)), axes=(NETWORKS,))


def test_a_named_set_is_unavailable_until_a_store_knows_it():
    named = dataclasses.replace(
        QUICKSTART, arms=(BASELINE, FULL), axes=(NETWORKS,), overrides={"data.distilled_set": "mine"}
    )
    made = dataclasses.replace(named, distils={"mine": DISTILS[SET]})
    assert all(made.is_available(plan) and not plan.is_bound for plan in made.expand())
    assert not any(named.is_available(plan) for plan in named.expand())
    digest = {"data.sha256": "a" * 64, "data.whitening": "zca"}
    bound = dataclasses.replace(named, bindings={"mine": digest, "other": {"data.sha256": "b" * 64}})
    for plan in bound.expand():
        assert plan.is_bound
        assert bound.is_available(plan)
        assert (plan.config.data.sha256, plan.config.data.whitening) == ("a" * 64, "zca")
        assert plan.teacher is None or plan.teacher.config.data == plan.config.data


def test_real_images_are_always_available():
    study = single_run("full", {})
    assert all(plan.is_bound and study.is_available(plan) for plan in study.expand())


def test_what_a_study_is_reads_the_same_in_every_process():
    """A page's digest is made of it: where it held a set, its order was of the process."""
    code = "from crossarch.search_spaces.catalog import *; print([(each, each.smoke()) for each in STUDIES.values()])"
    told = {
        subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    }
    assert len(told) == 1
