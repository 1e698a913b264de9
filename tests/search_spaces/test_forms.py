"""The command that makes a study again, and the forms of a study by name."""

import dataclasses

import pytest

from crossarch.search_spaces.catalog import command, find, find_form, without_places

QUICKSTART = find("quickstart")


@pytest.mark.parametrize(
    ("study", "seeds", "line"),
    [
        (QUICKSTART, (0, 1, 2), "crossarch run quickstart"),
        (QUICKSTART, (0, 1, 2, 3, 4), "crossarch run quickstart --seeds 5"),
        (QUICKSTART.smoke(), (0,), "crossarch run quickstart --smoke"),
        (QUICKSTART.scaled(0.5), (0, 1, 2), "crossarch run quickstart --budget 0.5"),
        (QUICKSTART.scaled(0.5).smoke(), (0, 1), "crossarch run quickstart --budget 0.5 --smoke --seeds 2"),
        (
            QUICKSTART.trained_by("fast_bfloat16").scaled(0.5).smoke(),
            (0,),
            "crossarch run quickstart --engine fast_bfloat16 --budget 0.5 --smoke",
        ),
        (find("table2").smoke(), (0,), "crossarch run table2 --smoke"),
        (
            dataclasses.replace(find("table2"), only={"data": ("cifar10-frepo-ipc1",)}),
            (0, 1, 2),
            "crossarch run table2 --only data=cifar10-frepo-ipc1",
        ),
        (dataclasses.replace(QUICKSTART, name="train"), (0, 1, 2), None),
    ],
)
def test_the_command_names_all_that_sets_the_study_apart(study, seeds, line):
    assert command(study, seeds) == line


def test_a_form_is_found_by_its_name():
    for whole in (QUICKSTART, QUICKSTART.trained_by("fast")):
        for study in (whole, whole.smoke(), whole.scaled(0.25), whole.scaled(0.25).smoke()):
            assert find_form(study.name) == study


@pytest.mark.parametrize(
    "name", ["", "nonsense", "-smoke", "quickstart-budget-x", "quickstart-engine-x", "quickstart-smoke-smoke", "train"]
)
def test_a_name_of_nothing_is_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=f"^study = {name!r} is unknown; known: quickstart, "):
        find_form(name)


def test_paths_and_addresses_of_a_machine_are_left_out():
    line = "crossarch run x --storage /home/me/a --smoke --tracking=http://me:pw@host --address ray://h --data-root /d"
    assert without_places(line) == "crossarch run x --smoke"
