"""Figure 8: does Lion end in flatter minima than AdamW? The weights of all runs are kept for `crossarch landscape`."""

from crossarch.search_spaces.arms import FULL, NO_LION
from crossarch.search_spaces.paper_tables import networks_axis, paper_study, sets_axis

FIGURE8 = paper_study(
    "Figure 8",
    "Does ResNet18, trained with DropPath and distillation, end in a flatter minimum with Lion than with AdamW?",
    (sets_axis("cifar10", ("frepo",), (10,)), networks_axis(("ConvNet", "ResNet18"))),
    (FULL.named("lion", "Lion"), FULL.changed(NO_LION).named("adamw", "AdamW")),
    keeps_weights=True,
)
