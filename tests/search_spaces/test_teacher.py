"""The study of table2's teacher: its first two arms are table2's own runs, each other arm is another recipe."""

import pytest

from crossarch.search_spaces.paper.tables import TABLE2, TEACHER, TEACHER_SET
from crossarch.trainables.config.identity import config_hash, run_id

PLANNED = list(TEACHER.expand())


def config(arm):
    return next(plan.config for plan in PLANNED if plan.arm == arm)


def test_every_arm_is_a_run_of_its_own():
    assert len({config_hash(plan.config) for plan in PLANNED}) == len(TEACHER.arms) == 9
    assert len({run_id(plan.config) for plan in PLANNED}) == 27


def test_the_first_two_arms_are_those_of_table2():
    theirs = {run_id(plan.config) for plan in TABLE2.expand() if plan.cell == (TEACHER_SET, "ConvNet")}
    shared = {plan.arm for plan in PLANNED if run_id(plan.config) in theirs}
    assert shared == {"baseline", "without_dp_kd"}
    assert {row.accuracy for row in TEACHER.published.values()} == {44.3, 44.8}


UNDONE = {
    "two_folds": {"augmentation.folds": 2},
    "one_fold": {"augmentation.folds": 1},
    "adamw": {"optimizer.name": "adamw", "learning_rate.maximum": 5e-4},
    "one_cosine": {"learning_rate.schedule": "cosine", "epochs": 4000},
    "short": {"learning_rate.schedule": "cosine", "epochs": 1000},
    "released_baseline": {"learning_rate.schedule": "step", "optimizer.name": "adamw"},
    "released_without_dp_kd": {"learning_rate.granularity": "step", "optimizer.name": "lion"},
}


@pytest.mark.parametrize("arm", UNDONE)
def test_each_other_arm_undoes_what_it_says(arm):
    flat = config(arm).to_dict()
    for name, value in UNDONE[arm].items():
        part, _, key = name.rpartition(".")
        assert (flat[part] if part else flat)[key] == value
    assert flat["batch_size"] == 10
    assert flat["model"]["norm"] == {"kind": "batch"}
