"""The runs by which engines are timed: each network's costliest arm at each number of images a class."""

from collections.abc import Sequence

from crossarch.search_spaces.arms import FULL, WITHOUT_DP_KD
from crossarch.search_spaces.networks import LABELS
from crossarch.search_spaces.overhead import overhead_study
from crossarch.search_spaces.paper_tables import BATCH_SIZES, FOLDS
from crossarch.trainables.config import RunConfig


def bench_runs(
    architectures: Sequence[str], images_per_class: Sequence[int], width: float
) -> list[tuple[str, str, RunConfig]]:
    """Network, arm and run: w/o DP & KD of the ConvNet, the full method of all others, on CIFAR-10's shapes.

    Raises ValueError for an unknown architecture or a number of images per class that the paper has not.
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
