"""FRePo's step: where it starts, what it learns from, and that it learns."""

import math

import pytest
import torch
from distilling import TINY, Parts

from crossarch.trainables.config.distiller import FRePoConfig, mirrors
from crossarch.trainables.data.subsets import class_balanced_subset
from crossarch.trainables.distillers.frepo import FRePo, cosine_to_floor, starting_labels, with_mirror_images
from crossarch.trainables.distillers.loop import recipe, validation_accuracy


@pytest.fixture
def frepo(digits):
    def make(**changes):
        torch.manual_seed(0)
        return FRePo(TINY.model_copy(update=changes), digits.train[:100], digits.train_labels[:100])

    return make


@pytest.mark.parametrize(
    ("dataset", "images_per_class", "expected"),
    [
        ("cifar10", 1, True),
        ("cifar10", 50, True),
        ("cifar100", 1, True),
        ("cifar100", 10, False),
        ("tiny_imagenet", 1, True),
        ("tiny_imagenet", 10, False),
        ("digits", 1, False),
        ("digits", 10, False),
    ],
)
def test_the_rule_of_mirror_images(dataset, images_per_class, expected):
    assert mirrors(dataset, images_per_class) is expected
    config = FRePoConfig(dataset=dataset, images_per_class=images_per_class, steps=1)
    assert config.resolved().mirror is expected
    assert config.model_copy(update={"mirror": not expected}).resolved().mirror is not expected


def test_mirror_images_are_flipped_from_left_to_right_and_have_the_same_labels():
    images, labels = torch.arange(12.0).view(2, 1, 2, 3), torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    doubled, theirs = with_mirror_images(images, labels)

    assert doubled[2, 0].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert torch.equal(doubled[:2], images)
    assert torch.equal(theirs, torch.cat([labels, labels]))


@pytest.mark.parametrize("classes", [10, 100])
def test_labels_start_centred_and_scaled(classes):
    start = starting_labels(torch.tensor([3]), classes, torch.float64)[0]

    assert float(start[3]) == pytest.approx((1 - 1 / classes) / math.sqrt(classes / 10))
    assert float(start[4]) == pytest.approx(-1 / classes / math.sqrt(classes / 10))
    assert float(start.sum()) == pytest.approx(0, abs=1e-12)


def test_images_start_as_the_seeds_real_ones_class_by_class(digits, frepo):
    images, labels = frepo(images_per_class=2, seed=5).prototypes()

    chosen = class_balanced_subset(digits.train_labels[:100], 2, 5)
    assert torch.equal(images, digits.train[chosen])
    assert labels.argmax(1).tolist() == [label for label in range(10) for _ in range(2)]


def test_the_learning_rate_falls_by_a_cosine_to_a_tenth(frepo):
    assert [cosine_to_floor(step, 10) for step in (0, 5, 10)] == pytest.approx([1, 0.55, 0.1])
    distiller = frepo(steps=4)
    rates = []
    for step in range(4):
        distiller.step(step)
        rates.append(distiller.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([TINY.learning_rate * cosine_to_floor(step, 4) for step in range(4)])


@pytest.mark.parametrize(("learn_labels", "moved"), [(True, True), (False, False)])
def test_labels_are_learned_only_where_they_are_to_be(frepo, learn_labels, moved):
    distiller = frepo(learn_labels=learn_labels)
    images, labels = (tensor.clone() for tensor in distiller.prototypes())

    distiller.step(0)

    assert not torch.equal(images, distiller.prototypes()[0])
    assert torch.equal(labels, distiller.prototypes()[1]) is not moved


def test_a_step_trains_the_network_it_used_and_leaves_the_others(frepo):
    distiller = frepo(pool_size=3, pool_limit=100)
    before = [
        {name: value.clone() for name, value in member.network.state_dict().items()} for member in members(distiller)
    ]

    distiller.step(0)

    changed = [
        any(not torch.equal(value, old[name]) for name, value in member.network.state_dict().items())
        for member, old in zip(members(distiller), before, strict=True)
    ]
    assert sorted(changed) == [False, False, True]


def members(distiller):
    return distiller.pool.members


def test_every_real_image_is_seen_once_a_pass_and_the_order_changes(frepo):
    distiller = frepo(batch_size=25)
    passes = [[distiller._batch(4 * turn + step) for step in range(4)] for turn in range(2)]

    for batches in passes:
        assert torch.cat(batches).sort().values.tolist() == list(range(100))
    assert not torch.equal(passes[0][0], passes[1][0])
    assert torch.equal(distiller._batch(2), passes[0][2])  # whatever was asked for in between


def test_a_batch_is_at_most_all_real_images(frepo):
    assert len(frepo(batch_size=1024)._batch(7)) == 100


def test_a_few_steps_lower_the_loss(digits):
    config = TINY.model_copy(
        update={"steps": 30, "batch_size": 1024, "pool_size": 1, "pool_stagger": 0, "pool_limit": 1000}
    )
    parts = Parts(digits, train=200)
    torch.manual_seed(0)
    distiller = FRePo(config, *parts.part("digits", "channel", "train"))

    losses = [float(distiller.step(index)) for index in range(config.steps)]

    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_a_learned_set_beats_the_real_images_it_started_from(digits):
    config = TINY.model_copy(update={"steps": 30, "batch_size": 100, "width": 1 / 16, "pool_limit": 100})
    torch.manual_seed(0)
    distiller = FRePo(config, digits.train, digits.train_labels)
    start = distiller.prototypes()[0].clone(), distiller.prototypes()[1].argmax(1)
    for index in range(config.steps):
        distiller.step(index)

    validation = digits.validation, digits.validation_labels
    run = recipe(config, 1 / 16).replace({"epochs": 60})
    learned, real = (validation_accuracy(config, each, validation, run=run) for each in (distiller.prototypes(), start))

    assert learned > real + 5
