"""`crossarch show` prints one cell's whole recipe with its sources; `crossarch settings` all that a recipe can have."""

import pytest

from crossarch.search_spaces.catalog import STUDIES
from crossarch.trainables.config.run import flatten, setting_fields

CELL = "data=cifar10-frepo-ipc1,architecture=ResNet18,arm=full"


def lines(text):
    """Lines of a table, by their first word."""
    return {line.split()[0]: line for line in text.splitlines() if line.split()}


def test_every_setting_of_the_run_is_shown_with_its_source(crossarch, tmp_path):
    answer = crossarch("show", "table2", "--cell", CELL, "--storage", tmp_path)
    assert (answer.status, answer.err) == (0, "")
    run = next(
        run
        for run in STUDIES["table2"].expand((0,))
        if run.coordinates == {"arm": "full", "data": "cifar10-frepo-ipc1", "architecture": "ResNet18"}
    )
    shown = lines(answer.out)
    assert set(dict(flatten(run.config))) <= set(shown)
    for name, value, source in (
        ("learning_rate.maximum", "5e-05", "arm full"),
        ("model.architecture", "resnet18", "architecture = ResNet18"),
        ("model.shortcut", "improved", "arm full, resnet18"),
        ("data.distilled_set", "cifar10-frepo-ipc1", "data = cifar10-frepo-ipc1"),
        ("model.conv_bias", "false", "default of the schema"),
        ("keep_rate.minimum", "0.5", "arm full"),
    ):
        assert shown[name].split() == [name, value, *source.split()]
    assert "Full, FRePo IPC 1, ResNet18" in shown["Cell"]
    assert run.run_id in shown["Run"]
    assert "until its distilled set is in the store" in shown["Run"]
    assert f"w/o DP & KD, FRePo IPC 1, ConvNet: {run.teacher.run_id}" in shown["Learns"]
    published = STUDIES["table2"].published["full", run.cell]
    assert f"{published.accuracy:g} % (Table 2)" in shown["Paper"]


def test_a_budget_is_told_with_what_it_scales(crossarch, tmp_path):
    answer = crossarch("show", "table2", "--cell", CELL, "--budget", 0.1, "--storage", tmp_path)
    assert "arm full: 4000 at the budget 0.1" in lines(answer.out)["epochs"]
    assert lines(answer.out)["epochs"].split()[1] == "400"


def test_an_axis_with_one_choice_may_be_left_out_and_options_be_repeated(crossarch, tmp_path):
    once = crossarch("show", "quickstart", "--cell", "arm=full,architecture=ResNet18", "--storage", tmp_path)
    twice = crossarch(
        "show", "quickstart", "--cell", "arm=full", "--cell", "architecture=ResNet18", "--storage", tmp_path
    )
    assert once == twice
    assert once.status == 0
    assert "has no number of this cell" in once.out


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("arm=full", "cell: which data? One of cifar10-frepo-ipc1, "),
        ("arm", "cell = 'arm' is not of the form axis=choice"),
        ("arm=full,arm=full", "cell = 'arm=full': arm is given twice"),
        ("colour=red", "cell = colour: table2 has arm, data, architecture"),
        ("arm=fuller", "cell = arm=fuller is not one of baseline, "),
        (
            "arm=full,data=cifar10-frepo-ipc1,architecture=ConvNet",
            "cell: table2 does not train full in cifar10-frepo-ipc1, ConvNet",
        ),
    ],
)
def test_a_cell_that_is_none_is_refused_in_one_line(crossarch, tmp_path, cell, message):
    answer = crossarch("show", "table2", "--cell", cell, "--storage", tmp_path)
    assert (answer.status, answer.out) == (2, "")
    assert message in answer.err
    assert answer.err.count("\n") == 1


def test_every_setting_of_the_schema_is_listed_with_its_meaning(crossarch):
    answer = crossarch("settings")
    assert answer.status == 0
    words = " ".join(answer.out.split())
    for name, field in setting_fields():
        assert f"{name} " in answer.out
        assert " ".join((field.description or "?").split()) in words


def test_settings_show_values_and_defaults(crossarch):
    shown = " ".join(crossarch("settings", "kd").out.split())
    assert "kd.alpha weight of the KL term (Eq. 2, App. C): number in [0, 1]; default 0.5" in shown
    assert "final | best; default final" in shown
    assert "epochs" not in shown


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("data.selection", ": kmeans | herding, or none; default none"),
        ("data.label_temperature", ": number in (0, inf), or none; default none"),
        ("model.conv_bias", ": true | false; default false"),
        ("model.channels", ": list in [1, inf); default 128, 256, 512"),
        ("batch_size", ": whole number in [1, inf)"),
        ("seed", ": whole number in [0, 2147483647]; default 0"),
    ],
)
def test_the_values_of_each_kind_of_setting_are_told(crossarch, setting, values):
    assert values in " ".join(crossarch("settings", setting).out.split())


def test_a_prefix_of_no_setting_is_refused(crossarch):
    answer = crossarch("settings", "beta")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == "crossarch: prefix = 'beta': no setting begins so\n"
