"""Where each value of a resolved recipe comes from: the last layer that names it, or the schema."""

import dataclasses

import pytest

from crossarch.search_spaces.catalog import STUDIES
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipe_sources import DEFAULT, resolved_recipe
from crossarch.trainables.config.layers import merge_layers
from crossarch.trainables.config.run import flatten


def of(study, name, cell):
    """Value and source of each setting, by its name."""
    arm = next(arm for arm in study.arms if arm.name == name)
    return {each.name: (each.value, each.source) for each in resolved_recipe(study, arm, cell, 0)}


@pytest.mark.parametrize("name", list(STUDIES))
def test_the_recipe_is_the_run_s_configuration(name):
    study = STUDIES[name]
    for arm, cell in list(study.places())[:: max(1, len(list(study.places())) // 12)]:
        recipe = resolved_recipe(study, arm, cell, 3)
        assert [(each.name, each.value) for each in recipe] == list(flatten(study.config(arm, cell, 3)))


def leaves(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@pytest.mark.parametrize("name", ["quickstart", "table2", "table4", "table8", "figure4"])
def test_a_value_s_source_is_the_last_layer_that_names_it(name):
    study = dataclasses.replace(STUDIES[name], budget=1.0)
    for arm, cell in list(study.places())[::7]:
        for each in resolved_recipe(study, arm, cell, 0):
            if each.source in (DEFAULT, "seed") or each.source.endswith(", exactly"):
                continue
            setters = [
                layer.source
                for layer in study.layers(arm, cell)
                if each.name in dict(leaves(merge_layers(layer.changes)))
            ]
            assert each.source == setters[-1]


def test_what_no_layer_names_is_the_schema_s_default():
    recipe = of(QUICKSTART, "full", ("ResNet18",))
    assert recipe["kd.teacher_weights"] == ("final", DEFAULT)
    assert recipe["precision"] == ("float32", DEFAULT)


def test_overrides_axes_arms_and_networks_are_told_apart():
    study = dataclasses.replace(QUICKSTART, overrides={"kd.alpha": 0.7})
    recipe = of(study, "full", ("ResNet18",))
    assert recipe["kd.alpha"] == (0.7, "overrides")
    assert recipe["kd.temperature"] == (1.5, "arm full")
    assert recipe["model.shortcut"] == ("improved", "arm full, resnet18")
    assert recipe["model.architecture"] == ("resnet18", "architecture = ResNet18")
    assert recipe["data.dataset"][1] == "base"
    assert recipe["seed"] == (0, "seed")


def test_the_budget_s_factor_stands_beside_the_value_that_it_scaled():
    recipe = of(QUICKSTART, "full", ("ResNet18",))
    assert recipe["epochs"] == (400, "arm full: 4000 at the budget 0.1")
