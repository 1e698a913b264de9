"""The runs whose steps are timed: what the method costs (Sec. 1 and 3.2 call it negligible), what engines gain.

No run is trained, so this study is in no catalog: `crossarch overhead` and `crossarch bench` measure it.
"""

import dataclasses
from collections.abc import Sequence

from crossarch.search_spaces.paper.published import LABELS
from crossarch.search_spaces.paper.tables import BATCH_SIZES, FOLDS
from crossarch.search_spaces.quickstart import BASE, QUICKSTART
from crossarch.search_spaces.recipes import FULL, PAPER, WITHOUT_DP_KD
from crossarch.search_spaces.study import Axis, Study
from crossarch.trainables.config.run import ARCHITECTURES, RunConfig


def overhead_study(architectures: Sequence[str], width: float, batch_size: int) -> Study:
    """All arms of Table 1 at the paper's epochs, one seed, on the digits; the ConvNet, the teacher, comes first.

    Raises ValueError for an unknown architecture.
    """
    for name in architectures:
        if name not in ARCHITECTURES:
            raise ValueError(f"architectures = {name!r} is not one of {', '.join(ARCHITECTURES)}")
    networks = dict.fromkeys(("convnet", *architectures))
    return dataclasses.replace(
        QUICKSTART,
        name="overhead",
        question="What does a training step of each arm cost, over a baseline's step of the same network?",
        reference="Sec. 1, Sec. 3.2",
        base=BASE.replace({"model.width": width, "batch_size": batch_size}),
        arms=PAPER.arms,
        axes=(Axis(name="architecture", choices={LABELS[name]: {"model.architecture": name} for name in networks}),),
        teacher="ConvNet",
        seeds=(0,),
        budget=1.0,
        distils={},
        claims=(),
    )


def bench_runs(
    architectures: Sequence[str], images_per_class: Sequence[int], width: float
) -> list[tuple[str, str, RunConfig]]:
    """Network, arm and run by which engines are timed: w/o DP & KD of the ConvNet, the full method of all others.

    On CIFAR-10's shapes. Raises ValueError for an unknown architecture, or images per class that the paper has not.
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
