"""Figure 8 as a study: Lion is Table 4's last row, AdamW differs in the optimizer alone, and all weights are kept."""

from crossarch.search_spaces.paper.figures import FIGURE8
from crossarch.search_spaces.paper.tables import TABLE4
from crossarch.trainables.config.identity import run_id

PLANNED = list(FIGURE8.expand((0,)))


def test_resnet18_is_trained_twice_on_one_set():
    assert [(plan.arm, plan.cell) for plan in PLANNED] == [
        ("lion", ("cifar10-frepo-ipc10", "ResNet18")),
        ("adamw", ("cifar10-frepo-ipc10", "ResNet18")),
    ]
    assert FIGURE8.keeps_weights


def test_lion_is_the_full_method_of_table_4():
    theirs = {run_id(plan.config) for plan in TABLE4.expand((0,)) if plan.arm == "augmentation"}
    assert run_id(PLANNED[0].config) in theirs


def test_adamw_differs_in_the_optimizer_and_its_rate_alone():
    lion, adamw = (plan.config for plan in PLANNED)
    assert adamw.optimizer.name == "adamw"
    assert adamw.replace({"optimizer": lion.to_dict()["optimizer"], "learning_rate.maximum": 5e-5}) == lion
