"""Studies by name."""

from crossarch.search_spaces.from_file import is_path, load
from crossarch.search_spaces.paper.figures import FIGURE3, FIGURE4, FIGURE7, FIGURE8
from crossarch.search_spaces.paper.tables import TABLE2, TABLE3, TABLE4, TABLE5, TABLE6, TABLE7, TABLE8, TEACHER
from crossarch.search_spaces.quickstart import QUICKSTART
from crossarch.search_spaces.robustness import ROBUSTNESS, from_name
from crossarch.search_spaces.study import Study

PAPER_TABLES = (TABLE2, TABLE3, TABLE4, TABLE5, TABLE6, TABLE7, TABLE8)
PAPER_FIGURES = (FIGURE3, FIGURE4, FIGURE7, FIGURE8)
OWN = (QUICKSTART, ROBUSTNESS, TEACHER)

STUDIES: dict[str, Study] = {study.name: study for study in (*OWN, *PAPER_TABLES, *PAPER_FIGURES)}


def find(name: str) -> Study:
    """The study of that name, `robustness-lhs-40` and its like included, or that of a file: `./my_study.py`.

    Raises ValueError, naming those there are, where there is none, and for a file as `from_file.load`.
    """
    if name not in STUDIES and is_path(name):
        return load(name, STUDIES.values())
    if name not in STUDIES and name.startswith(f"{ROBUSTNESS.name}-"):
        return from_name(name)
    if name not in STUDIES:
        raise ValueError(f"study = {name!r} is unknown; known: {', '.join(STUDIES)}")
    return STUDIES[name]
