"""The paper's table on data that are at hand: every network, over any arms."""

import dataclasses

import pytest

from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.recipes import TABLE_1
from crossarch.search_spaces.study import Axis
from crossarch.trainables.config.layers import merge_layers

NETWORKS = {
    "ConvNet": "convnet",
    "ResNet18": "resnet18",
    "AlexNet": "alexnet",
    "VGG11": "vgg11",
    "ResNet50": "resnet50",
}


@pytest.fixture(scope="session")
def table():
    """Arms over the paper's five networks at full width and length, with that norm; more axes come before."""

    def make(arms=TABLE_1, norm="batch", axes=(), **changes):
        own = {"kind": "group", "groups": 4} if norm == "group" else {"kind": norm}
        base = merge_layers(QUICKSTART.base, {"model.width": 1.0, "model.norm": own})
        networks = Axis(
            name="architecture",
            choices={label: {"model.architecture": name} for label, name in NETWORKS.items()},
        )
        return dataclasses.replace(
            QUICKSTART, name="table", base=base, arms=tuple(arms), axes=(*axes, networks), budget=1.0, **changes
        )

    return make
