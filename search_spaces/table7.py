"""Table 7: spread over seeds, for the cells of Table 2 of which the paper gives it. Its runs are Table 2's."""

from crossarch.search_spaces.paper_tables import FOLDS, paper_table, published_cells, sets_axis
from crossarch.search_spaces.profiles import PAPER

TABLE7 = paper_table(
    7,
    "How far do accuracies on FRePo's sets of CIFAR-10 spread over seeds, by size, arm and network?",
    sets_axis("cifar10", ("frepo",), FOLDS),
    cells=tuple(published_cells(7, PAPER.arms)),
)
