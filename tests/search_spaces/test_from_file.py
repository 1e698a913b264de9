"""A study by the path of its file: the same object each time, nothing left behind, and what is wrong in a sentence."""

import dataclasses
import sys

import pytest

from crossarch.search_spaces.catalog import STUDIES, find
from crossarch.search_spaces.from_file import load
from crossarch.search_spaces.quickstart import QUICKSTART

KNOWN = STUDIES.values()
HEAD = "import dataclasses\nfrom crossarch.search_spaces.quickstart import ARMS, QUICKSTART\n"
MINE = f'{HEAD}MINE = dataclasses.replace(QUICKSTART, name="mine")\n'


@pytest.fixture
def file(tmp_path):
    def write(text, name="my_study.py"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_the_one_study_of_a_file_is_found_though_it_imports_another(file):
    assert find(str(file(MINE))) == dataclasses.replace(QUICKSTART, name="mine")


def test_it_is_the_same_object_by_whatever_path_until_the_file_changes(file, monkeypatch):
    path = file(MINE)
    first = find(str(path))
    monkeypatch.chdir(path.parent)
    assert find("./my_study.py") is find("my_study.py") is first
    file(MINE.replace("mine", "thine"))
    assert find("my_study.py").name == "thine"


def test_loading_leaves_the_search_path_and_the_folder_as_they_are(file):
    path = file(MINE)
    before = list(sys.path)
    load(path, KNOWN)
    assert sys.path == before
    assert "my_study" not in sys.modules
    assert list(path.parent.iterdir()) == [path]


def test_of_several_studies_the_one_called_study_counts(file):
    both = f'{MINE}STUDY = dataclasses.replace(MINE, name="chosen")\n'
    assert load(file(both), KNOWN).name == "chosen"
    with pytest.raises(ValueError, match=r"defines 2 studies, MINE, OTHER: call the one to run STUDY$"):
        load(file(both.replace("STUDY", "OTHER")), KNOWN)


def test_a_file_may_define_dataclasses_of_its_own(file):
    own = "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 3\n"
    assert load(file(own + MINE), KNOWN).name == "mine"


REFUSED = {
    "STUDY = (": r"does not parse at line 1: '\(' was never closed",
    "x = 1\x00": "does not parse",
    b"\xff\xfe": "does not parse",
    "1 / 0": "raises ZeroDivisionError at line 1: division by zero",
    "import no_such_package": "raises ModuleNotFoundError at line 1: No module named 'no_such_package'",
    "import sys\nsys.exit(3)": "raises SystemExit at line 2: 3",
    "": "defines no Study at its top level",
    HEAD: "defines no Study at its top level",
    "from crossarch import Study\nStudy(name='a')": r"raises TypeError at line 2: .*missing \d+ required .*'base'",
    f"{MINE}dataclasses.replace(MINE, arms=(ARMS['full'], ARMS['full']))": "two arms have one name in full, full",
    f"{MINE}dataclasses.replace(MINE, arms=())": r"arms = \(\) has none",
    f"{MINE}dataclasses.replace(MINE, seeds=(1, 1))": r"seeds = \(1, 1\) are not one or more different numbers",
    f"{MINE}dataclasses.replace(MINE, teacher='ViT')": "teacher = 'ViT' is not among ConvNet",
    MINE.replace('"mine"', '"../up"'): "has name = '../up', which is not of letters",
    MINE.replace('"mine"', '"table2"'): "has name = 'table2', which is table2's or a form of it",
    MINE.replace('"mine"', '"quickstart-smoke"'): "which is quickstart's or a form of it",
}


@pytest.mark.parametrize(("text", "told"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_wrong_with_a_file_is_one_sentence_that_names_it(file, text, told):
    path = file(text)
    with pytest.raises(ValueError, match=rf"(?s)^study = '{path}' .*{told}") as refusal:
        load(path, KNOWN)
    assert "\n" not in str(refusal.value)


def test_a_file_that_failed_is_read_anew_once_it_is_mended(file):
    with pytest.raises(ValueError, match="no Study"):
        load(file(""), KNOWN)
    assert load(file(MINE), KNOWN).name == "mine"


@pytest.mark.parametrize("path", ["nowhere.py", "./nowhere.py", "folder/"])
def test_a_path_that_is_no_file_is_named(tmp_path, monkeypatch, path):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^study = '{path}' cannot be read: "):
        find(path)


def test_a_study_expands_up_to_its_limit_and_not_past_it():
    runs = len(list(QUICKSTART.expand()))
    dataclasses.replace(QUICKSTART, most_runs=runs).check_size()
    small = dataclasses.replace(QUICKSTART, most_runs=runs - 1)
    with pytest.raises(ValueError, match=f"^study quickstart with 3 seeds expands past its most_runs = {runs - 1}: "):
        small.check_size()
    small.check_size(seeds=(0, 1))


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_every_study_of_ours_is_within_its_limit(study):
    study.check_size()


def test_the_limit_is_found_without_making_the_runs():
    """10^18 cells: counting or expanding them would not end."""
    digits = {str(number): {} for number in range(10)}
    more = (dataclasses.replace(QUICKSTART.axes[0], name=f"a{number}", choices=digits) for number in range(18))
    axes = (*QUICKSTART.axes, *more)
    with pytest.raises(ValueError, match="expands past its most_runs = 10,000"):
        dataclasses.replace(QUICKSTART, axes=axes, claims=()).check_size()
