import math

import pytest
from settings import SETTINGS, STUDENT

from crossarch.platform.commands.settings import parse_changes
from crossarch.platform.errors import BadInputError, refusing
from crossarch.platform.store.storage import require_writable
from crossarch.platform.validation import validate


def altered(name, value):
    """STUDENT's nested values with one of them changed, unchecked."""
    values = STUDENT.to_dict()
    *parents, last = name.split(".")
    here = values
    for parent in parents:
        here = here[parent]
    here[last] = value
    return values


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_allowed_comes_back_as_it_was(name):
    assert validate(SETTINGS[name].to_dict()) == SETTINGS[name]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("epochs", 0, "epochs = 0 is outside [1, inf)"),
        ("epochs", -3, "epochs = -3 is outside [1, inf)"),
        ("epochs", "many", "epochs = 'many' is not a whole number in [1, inf)"),
        ("kd.alpha", 1.5, "kd.alpha = 1.5 is outside [0, 1]"),
        ("kd.alpha", math.nan, "kd.alpha = nan is outside [0, 1]"),
        ("kd.temperature", 0, "kd.temperature = 0 is outside (0, inf)"),
        ("keep_rate.minimum", 0, "keep_rate.minimum = 0 is outside (0, 1]"),
        ("augmentation.folds", 7, "augmentation.folds = 7 is outside [0, 6]"),
        ("model.architecture", "vgg", "model.architecture = 'vgg' is not one of convnet, resnet18"),
        ("data.dataset", "cifar", "data.dataset = 'cifar' is not one of digits"),
        ("kd.teacher.epochs", 0, "kd.teacher.epochs = 0 is outside [1, inf)"),
        ("kd.teacher.optimizer.beta1", 2, "kd.teacher.optimizer.beta1 = 2 is outside [0, 0.9999999]"),
    ],
)
def test_what_is_not_allowed_is_named_with_its_value_and_what_is(name, value, sentence):
    with pytest.raises(BadInputError) as refusal:
        validate(altered(name, value))
    assert str(refusal.value).startswith(sentence)
    assert "\n" not in str(refusal.value)


def test_unknown_and_missing_names_are_named():
    with pytest.raises(
        BadInputError, match=r"^kd\.tau is unknown; known here: alpha, teacher, teacher_weights, temperature$"
    ):
        validate(altered("kd.tau", 1.5))
    values = STUDENT.to_dict()
    del values["kd"]["teacher"]["epochs"]
    with pytest.raises(BadInputError, match=r"^kd\.teacher\.epochs is missing, but a run needs it$"):
        validate(values)


@pytest.mark.parametrize("values", [{}, {"run": STUDENT.to_dict()}, [], None, "convnet"])
def test_what_is_no_configuration_at_all_is_refused(values):
    with pytest.raises(BadInputError):
        validate(values)


def test_changes_are_json_values_or_words():
    assert parse_changes(
        ["epochs=10", "kd.alpha=.5e0", "x=+5.", "y=1.2.3", "z=.", "kd.temperature=1.5", "model.architecture=resnet18"]
    ) == {
        "epochs": 10,
        "kd.alpha": 0.5,
        "x": 5.0,
        "y": "1.2.3",
        "z": ".",
        "kd.temperature": 1.5,
        "model.architecture": "resnet18",
    }
    assert parse_changes(['augmentation.pool=["crop"]', "kd=null", "a=b=c", "d="]) == {
        "augmentation.pool": ["crop"],
        "kd": None,
        "a": "b=c",
        "d": "",
    }


@pytest.mark.parametrize("assignment", ["epochs", "=10", ""])
def test_a_change_is_key_and_value(assignment):
    with pytest.raises(BadInputError, match=r"is not of the form key=value$"):
        parse_changes([assignment])


def test_a_name_is_given_once():
    with pytest.raises(BadInputError, match=r"^epochs is given twice$"):
        parse_changes(["epochs=10", "epochs=10"])


def test_complaints_about_values_are_refusals_and_others_are_not():
    with pytest.raises(BadInputError, match=r"^no$"), refusing():
        raise ValueError("no")
    with pytest.raises(KeyError), refusing():
        raise KeyError("a mistake of ours")


def test_a_folder_that_can_be_made_is_not_made(tmp_path, monkeypatch, listing):
    monkeypatch.chdir(tmp_path)
    before = listing(tmp_path.parent)
    assert require_writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert require_writable(type(tmp_path)("a/../b")) == tmp_path / "b"
    assert listing(tmp_path) == {}
    assert list(before) == list(listing(tmp_path.parent))


def test_a_file_is_no_storage_and_neither_is_what_would_lie_below_it(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(BadInputError, match=rf"^storage = '{place}' is not a folder: '{tmp_path}/file' is a file$"):
            require_writable(place)


@pytest.mark.parametrize("place", ["/proc/storage", "/proc/self/x/y", "~nobody-of-that-name/x", "x" * 300])
def test_where_nothing_can_be_written_there_is_no_storage(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match=rf"^storage = '{place}' cannot be written to: \w"):
        require_writable(type(tmp_path)(place))


def test_a_link_to_itself_is_no_storage(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadInputError, match=r"loop' cannot be written to"):
        require_writable(tmp_path / "loop")
