"""A small study of its own, for tests that need a teacher which is no cell of the table, or few runs."""

import dataclasses
from pathlib import Path

from crossarch.search_spaces.quickstart import ARMS, BASE, QUICKSTART
from crossarch.search_spaces.study import Axis, Smoke

NETWORKS = Axis(
    name="architecture",
    choices={"ConvNet": {"model.architecture": "convnet"}, "ResNet18": {"model.architecture": "resnet18"}},
)

REAL = dataclasses.replace(
    QUICKSTART,
    question="On 10 real digits a class, do deeper networks lose to the 3-layer CNN?",
    reference="Sec. 4.2, in miniature",
    base=BASE,
    budget=0.02,
    smoke_form=Smoke(budget=0.2, changes={"model.width": 0.0625, "data.images_per_class": 2}),
    distils={},
    claims=(),
)
"""quickstart's arms and networks on real images: data that are always there."""

SMALL = dataclasses.replace(REAL, name="small", arms=(ARMS["baseline"], ARMS["full"]), axes=(NETWORKS,))
"""Nine cells over three seeds, and three teachers; its smoke form has three cells and one teacher."""

IMAGES = Axis(
    name="images",
    choices={"ipc1": {"data.images_per_class": 1}, "ipc10": {"data.images_per_class": 10}},
    labels={"ipc1": "1 image", "ipc10": "10 images"},
)

LABELLED = dataclasses.replace(
    SMALL,
    name="labelled",
    axes=(IMAGES, dataclasses.replace(NETWORKS, labels={"ConvNet": "3-layer CNN", "ResNet18": "ResNet-18"})),
)
"""No id of it is what people read: neither of an arm nor of a choice nor of a teacher's recipe."""

MAIN = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})
from small import SMALL
from crossarch.platform.cli.main import main
from crossarch.search_spaces.catalog import STUDIES
STUDIES[SMALL.name] = SMALL
main()
"""
"""`crossarch` in a process of its own, whose catalog has the small study, too."""
