"""A real cross-architecture study that two CPU cores finish in minutes and that downloads nothing."""

from crossarch.search_spaces.arms import BASELINE, FULL
from crossarch.search_spaces.study import Axis, Smoke, Study
from crossarch.trainables.config import from_dict

BASE = from_dict(
    {
        "data": {"dataset": "digits", "images_per_class": 10},
        "model": {"architecture": "convnet", "width": 0.125},
        "learning_rate": {"schedule": "cosine", "maximum": 5e-4},
        "optimizer": {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 5e-4},
        # Without "flip": a mirrored digit is another sign or none.
        "augmentation": {"folds": 2, "pool": ["color", "crop", "cutout", "scale", "rotate"]},
        "epochs": 1000,
        "batch_size": 100,
    }
)

QUICKSTART = Study(
    name="quickstart",
    question=(
        "On 10 real digits a class, does a deep network lose to the 3-layer CNN, "
        "and does the full method close the gap?"
    ),
    reference="Sec. 4.2 (training on limited real data), in miniature: digits, narrow networks, 1/20 of the epochs",
    base=BASE,
    arms=(BASELINE, FULL),
    axes=(
        Axis(
            name="architecture",
            choices={
                "ConvNet": {"model.architecture": "convnet"},
                "ResNet18": {"model.architecture": "resnet18"},
            },
        ),
    ),
    columns="architecture",
    teacher="ConvNet",
    seeds=(0, 1, 2),
    budget=0.05,
    smoke_form=Smoke(budget=0.04, changes={"model.width": 0.0625, "data.images_per_class": 2}),
)
