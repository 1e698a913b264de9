"""Runs for timing: the overhead of the paper's method (negligible by Sec. 1 and 3.2) and the speed of the engines.

The study is not in the catalog, as its runs are timed rather than trained, by `crossarch overhead` and
`crossarch bench`.
"""

import dataclasses
from collections.abc import Sequence

from crossarch.search_spaces.paper.published import LABELS
from crossarch.search_spaces.paper.tables import BATCH_SIZES, FOLDS
from crossarch.search_spaces.quickstart import BASE, QUICKSTART
from crossarch.search_spaces.recipes import FULL, PAPER, WITHOUT_DP_KD
from crossarch.search_spaces.study import Axis, Smoke, Study
from crossarch.trainables.config.layers import merge_layers
from crossarch.trainables.config.run import NETWORKS, RunConfig


def overhead_study(architectures: Sequence[str], width: float, batch_size: int) -> Study:
    """Study of all arms of Table 1 at the paper's epochs on digits, with one seed; the ConvNet (teacher) comes first.

    Args:
        architectures: Networks to be timed in addition to the ConvNet.
        width: Factor on the channel counts.
        batch_size: Images per step.

    Raises:
        ValueError: An architecture is unknown.
    """
    for name in architectures:
        if name not in NETWORKS:
            raise ValueError(f"architectures = {name!r} is not one of {', '.join(NETWORKS)}")
    networks = dict.fromkeys(("convnet", *architectures))
    return dataclasses.replace(
        QUICKSTART,
        name="overhead",
        question="What does a training step of each arm cost, over a baseline's step of the same network?",
        reference="Sec. 1, Sec. 3.2",
        base=merge_layers(BASE, {"model.width": width, "batch_size": batch_size}),
        arms=PAPER.arms,
        axes=(Axis(name="architecture", choices={LABELS[name]: {"model.architecture": name} for name in networks}),),
        teacher="ConvNet",
        seeds=(0,),
        budget=1.0,
        distils={},
        claims=(),
        smoke_form=Smoke(budget=0.04, changes={"model.width": 1 / 32}),
    )


def bench_runs(
    architectures: Sequence[str], images_per_class: Sequence[int], width: float
) -> list[tuple[str, str, RunConfig]]:
    """Runs for timing the engines on CIFAR-10's shapes: w/o DP & KD for the ConvNet, the full method for the others.

    Returns (network label, arm label, run) triples. Raises ValueError for an unknown architecture, or images per class
    for which the paper has no distilled set.
    """
    runs, batches = [], BATCH_SIZES["cifar10"]
    for name in architectures:
        study = overhead_study([name], width, 10)
        arm = WITHOUT_DP_KD if name == "convnet" else FULL
        for count in images_per_class:
            if count not in batches:
                raise ValueError(f"ipc = {count} is not one of {', '.join(map(str, batches))}")
            data = {"data.dataset": "cifar10", "data.images_per_class": count}
            changes = data | {"batch_size": batches[count], "augmentation.folds": FOLDS[count]}
            teacher = {f"kd.teacher.{key}": value for key, value in changes.items()} if name != "convnet" else {}
            config = study.config(arm, (LABELS[name],), 0).replace(changes | teacher)
            runs.append((LABELS[name], arm.label, config))
    return runs
