"""What a distillation is told, and how it is known."""

import pytest
from distilling import TINY

from crossarch.search_spaces.distillations import distillation
from crossarch.trainables.config.distiller import (
    CONFIGS,
    METHOD_VERSIONS,
    FRePoConfig,
    distill_digest,
    distill_id,
    from_dict,
)
from crossarch.trainables.distillers.loop import MAKERS


def test_the_authors_settings_are_the_defaults():
    config = distillation("frepo", "cifar10", {"images_per_class": 10}).resolved()

    assert (config.steps, config.learning_rate, config.online_learning_rate) == (500_000, 3e-4, 3e-4)
    assert (config.batch_size, config.online_batch_size, config.ridge) == (1024, 1000, 1e-6)
    assert (config.pool_size, config.pool_stagger, config.pool_limit, config.width) == (10, 10, 100, 1.0)
    assert (config.whitening, config.mirror, config.label_temperature, config.margin_weight) == ("frepo", True, 0.3, 1)


def test_grey_images_are_only_standardised():
    assert TINY.resolved().whitening == "channel"


@pytest.mark.parametrize(("dataset", "temperature"), [("cifar10", 0.3), ("cifar100", 0.04), ("tiny_imagenet", 0.02)])
def test_labels_have_the_papers_temperatures(dataset, temperature):
    assert distillation("frepo", dataset, {"images_per_class": 1}).resolved().label_temperature == temperature


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distiller": "mtt"}, "distiller = 'mtt' is not one of frepo"),
        ({"stepz": 1}, "stepz is unknown; known here: batch_size"),
        ({"steps": None}, "steps = None, but"),
        ({"steps": 0}, "steps = 0 is outside"),
        ({"whitening": "channel_mtt"}, "whitening = 'channel_mtt' is none of digits: channel, zca, frepo"),
        ({"images_per_class": 90}, "images_per_class = 90 is more than the 89 that every class of digits has"),
        ({"ridge": 0}, "ridge = 0 is outside"),
        ({"mirror": "yes"}, "mirror = 'yes' is not true or false"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_sentence(changes, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_dict({**TINY.to_dict(), **changes})


def test_plain_values_and_back():
    assert from_dict(TINY.to_dict()) == TINY


def test_a_rule_written_out_is_the_same_distillation():
    assert distill_id(TINY) == distill_id(TINY.resolved())
    assert distill_id(TINY).startswith("frepo-")
    assert distill_id(TINY).endswith("-s0")


def test_what_a_distillation_needs_is_missed_by_name():
    for needed in ("distiller", "dataset", "images_per_class", "steps"):
        values = {name: value for name, value in TINY.to_dict().items() if name != needed}
        with pytest.raises(ValueError, match=f"^{needed} (is missing|= None)"):
            from_dict(values)


@pytest.mark.parametrize("field", [name for name in FRePoConfig.model_fields if name != "distiller"])
def test_every_setting_is_part_of_the_identity(field):
    others = {
        "dataset": "cifar10",
        "whitening": "zca",
        "precision": "float64",
        "mirror": True,
        "learn_labels": False,
        "label_temperature": 0.7,
    }
    other = others[field] if field in others else getattr(TINY, field) + 1

    assert distill_digest(TINY.model_copy(update={field: other})) != distill_digest(TINY)


def test_every_distiller_has_all_it_needs():
    assert set(CONFIGS) == set(METHOD_VERSIONS) == {config.model_fields["distiller"].default for config in MAKERS}
