"""A small distillation of digits, and real parts for it that no library has to make."""

import torch

from crossarch.trainables.config.distiller import FRePoConfig

TINY = FRePoConfig(
    dataset="digits",
    images_per_class=1,
    steps=8,
    learning_rate=0.02,
    batch_size=24,
    pool_size=2,
    pool_stagger=2,
    pool_limit=2,
    width=1 / 32,
)
"""So small a pool that networks are made anew within eight steps."""


class Parts:
    """The first training and validation images of the digits, in place of a library."""

    def __init__(self, digits, train=60, validation=20):
        self.parts = {
            "train": (digits.train[:train], digits.train_labels[:train]),
            "validation": (digits.validation[:validation], digits.validation_labels[:validation]),
        }
        self.asked = set()

    def part(self, dataset, whitening, part):
        self.asked.add((dataset, whitening, part))
        return self.parts[part]


def leaves(value, where=""):
    """Every tensor and plain value of nested dictionaries and lists, by where it is."""
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from leaves(item, f"{where}[{index}]")
    else:
        yield where, value


def differing(one, other):
    """Where two nested values differ in a bit, or in what they have."""
    left, right = dict(leaves(one)), dict(leaves(other))
    same = {
        where
        for where in left.keys() & right.keys()
        if (
            torch.equal(left[where], right[where])
            if isinstance(left[where], torch.Tensor)
            else left[where] == right[where]
        )
    }
    return sorted((left.keys() | right.keys()) - same)
