"""`crossarch data ...`: sets are added, listed, shown and verified."""

import functools
import json

import pytest
import torch
import typer
from digits_sets import TEMPERATURE, damage, digits_set, publish, refusal, stored

from crossarch.platform.scheduling import verification
from crossarch.trainables.analysis.verification import Probe
from crossarch.trainables.data.distilled_sets import Store
from crossarch.trainables.data.manifest import SUFFIX

NAME = "digits-dc-ipc1"
SAID = ("--dataset=digits", "--distiller=dc")


@pytest.fixture
def published(tmp_path):
    """A set of digits with hard labels, as it was published, in a folder."""
    return publish(tmp_path / "published", *digits_set()[1:])


@pytest.fixture
def storage(tmp_path):
    return tmp_path / "storage"


@pytest.fixture
def refused(crossarch, listing, tmp_path):
    return functools.partial(refusal, crossarch, listing, tmp_path)


@pytest.fixture
def probes(monkeypatch):
    """Lets probes end at once in these accuracies; the whitenings that were asked for."""
    asked = []

    def known(accuracies):
        def probe(manifest, images, labels, whitening, library, device):
            asked.append(whitening)
            return Probe(whitening=whitening, accuracy=accuracies[whitening], images=95)

        monkeypatch.setattr(verification, "probe", probe)
        return asked

    return known


def test_a_set_is_checked_described_and_put_into_the_store(crossarch, published, storage):
    answer = crossarch("data", "add", published, *SAID, "--whitening=channel", "--storage", storage)
    manifest, images, labels = Store(storage / "data" / "distilled").read(NAME)
    line = f"{NAME}: 10 images, hard labels, whitening channel, sha256 {manifest.sha256[:12]}\n"
    assert answer == (0, line, "")
    _, wanted, classes = digits_set()
    assert torch.equal(images, wanted)
    assert torch.equal(labels, classes)
    assert (manifest.source, manifest.verified, manifest.licence) == ("published", "", "unknown")


def test_adding_it_again_changes_nothing(crossarch, published, storage):
    arguments = ("data", "add", published, *SAID, "--whitening=channel", "--storage", storage)
    first = crossarch(*arguments)
    file = storage / "data" / "distilled" / f"{NAME}{SUFFIX}"
    before = file.stat()
    assert crossarch(*arguments) == first
    assert file.stat() == before


def test_what_is_said_of_a_set_is_kept(crossarch, tmp_path, storage):
    folder = publish(tmp_path / "soft", *digits_set(form="centred")[1:])
    said = ("--name=mine", "--licence=MIT", "--source=a letter", f"--label-temperature={TEMPERATURE}")
    answer = crossarch("data", "add", folder, *SAID, "--whitening=zca", *said, "--storage", storage)
    assert (answer.status, answer.err) == (0, "")
    manifest = Store(storage / "data" / "distilled").manifests()["mine"]
    assert (manifest.licence, manifest.source, manifest.whitening) == ("MIT", "a letter", "zca")
    assert (manifest.label_form, manifest.label_temperature) == ("centred", TEMPERATURE)


def test_of_several_runs_one_is_taken_and_noted(crossarch, tmp_path, storage):
    pairs = [list(digits_set(seed=seed)[1:]) for seed in range(3)]
    torch.save({"data": pairs}, tmp_path / "res_DC.pt")
    arguments = ("data", "add", tmp_path / "res_DC.pt", *SAID, "--whitening=channel", "--storage", storage)
    answer = crossarch(*arguments, "--run=1")
    assert answer.status == 0
    assert answer.out.startswith("Note: the file holds 3 runs: number 1 was taken\n")
    assert torch.equal(Store(storage / "data" / "distilled").read(NAME)[1], pairs[1][0])


# Adding without a whitening


@pytest.fixture
def terminal(monkeypatch):
    """A person at a terminal who answers so."""

    def answers(taken):
        def confirm(question):
            assert question == "Take channel?"
            if isinstance(taken, BaseException):
                raise taken
            return taken

        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr(typer, "confirm", confirm)

    return answers


def test_without_a_terminal_it_says_which_whitening_fits(refused, published, storage, probes, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    asked = probes({"channel": 80.0})
    found = refused("data", "add", published, *SAID, "--storage", storage)
    assert found == "whitening = None: channel fits; to confirm it, give --whitening channel"
    assert asked == ["channel"]


def test_a_person_who_agrees_has_it_added(crossarch, published, storage, probes, terminal):
    probes({"channel": 80.0})
    terminal(True)
    answer = crossarch("data", "add", published, *SAID, "--storage", storage)
    assert (answer.status, answer.err) == (0, "")
    assert "channel: 80.0 % of 95 validation images" in answer.out
    assert Store(storage / "data" / "distilled").manifests()[NAME].whitening == "channel"


def test_a_person_who_does_not_has_nothing_added(refused, published, storage, probes, terminal):
    probes({"channel": 80.0})
    terminal(False)
    found = refused("data", "add", published, *SAID, "--storage", storage)
    assert found == "whitening = None: nothing was added; give --whitening"


def test_ctrl_c_at_the_question_is_130(crossarch, listing, published, storage, probes, terminal, tmp_path):
    probes({"channel": 80.0})
    terminal(typer.Abort())
    before = listing(tmp_path)
    answer = crossarch("data", "add", published, *SAID, "--storage", storage)
    assert (answer.status, answer.err) == (130, "")
    assert listing(tmp_path) == before


def test_where_the_trainings_cannot_tell_nothing_is_added(refused, published, storage, probes, monkeypatch):
    monkeypatch.setattr(verification, "candidates", lambda dataset: ("channel", "zca"))
    probes({"channel": 80.0, "zca": 79.0})
    found = refused("data", "add", published, *SAID, "--storage", storage)
    assert found == "whitening = None: the trainings do not tell which it is; give --whitening"


# Listing, showing, verifying


def test_an_empty_store_says_how_to_fill_it(crossarch, listing, tmp_path):
    answer = crossarch("data", "list", "--storage", tmp_path / "storage")
    assert (answer.status, answer.err) == (0, "")
    assert "No distilled sets yet: `crossarch data add" in answer.out
    assert listing(tmp_path) == {}


def test_sets_are_listed_and_damaged_ones_told(crossarch, storage):
    stored(storage, digits_set(), digits_set(form="centred", images_per_class=2), digits_set(name="broken"))
    damage(storage, "broken")
    answer = crossarch("data", "list", "--storage", storage)
    assert (answer.status, answer.err) == (0, "")
    rows = {words[0]: words[1:] for line in answer.out.splitlines() if (words := line.split())}
    assert rows["digits-hard"] == ["digits", "dc", "1", "hard", "channel", "not", "yet"]
    assert rows["digits-centred"] == ["digits", "dc", "2", "centred", "channel", "not", "yet"]
    assert "broken: broken.safetensors is no undamaged distilled set" in answer.out


def test_a_set_is_shown_with_its_pictures(crossarch, storage, tmp_path):
    (manifest,) = stored(storage, digits_set(2))
    answer = crossarch("data", "show", manifest.name, "--out", tmp_path / "pictures", "--storage", storage)
    assert (answer.status, answer.err) == (0, "")
    for known in (manifest.sha256, manifest.source, "channel", manifest.created_at):
        assert known in answer.out
    files = [tmp_path / "pictures" / f"{manifest.name}-{what}.png" for what in ("images", "labels")]
    assert answer.out.splitlines()[-2:] == [str(file) for file in files]
    assert all(file.stat().st_size > 1000 for file in files)


def test_its_images_are_drawn_with_the_whitening_undone(crossarch, storage, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "crossarch.platform.commands.data.write_pictures", lambda *arguments: drawn.append(arguments) or []
    )
    (manifest,) = stored(storage, digits_set(2))
    assert crossarch("data", "show", manifest.name, "--out", tmp_path / "x", "--storage", storage).status == 0
    ((_, images, _, _),) = drawn
    assert float(images.min()) == pytest.approx(0, abs=1e-5)
    assert float(images.max()) == pytest.approx(1, abs=1e-5)


def test_a_whitening_that_fits_is_recorded_and_listed(crossarch, storage, probes):
    stored(storage, digits_set(name=NAME))
    probes({"channel": 80.25})
    answer = crossarch("data", "verify", NAME, "--storage", storage)
    assert (answer.status, answer.err) == (0, "")
    assert f"{NAME}: whitening channel fits" in answer.out
    told = json.loads(Store(storage / "data" / "distilled").manifests()[NAME].verified)
    assert (told["fits"], told["accuracies"]) == ("channel", {"channel": 80.25})
    assert "fits, 80.2 %" in crossarch("data", "list", "--storage", storage).out


@pytest.mark.parametrize(
    ("accuracies", "recorded", "listed"),
    [
        ({"zca": 20.0, "channel": 80.0}, "channel", "no: channel fits"),
        ({"zca": 20.0, "channel": 35.0}, None, "no whitening fits"),
    ],
)
def test_a_whitening_that_does_not_fit_is_exit_status_1(
    crossarch, storage, probes, monkeypatch, accuracies, recorded, listed
):
    monkeypatch.setattr("crossarch.platform.scheduling.verification.expected_accuracy", lambda manifest: 80.0)
    stored(storage, digits_set(name=NAME, whitening="zca"))
    asked = probes(accuracies)
    answer = crossarch("data", "verify", NAME, "--storage", storage)
    assert (answer.status, answer.err, asked) == (1, "", ["zca", "channel"])
    assert json.loads(Store(storage / "data" / "distilled").manifests()[NAME].verified)["fits"] == recorded
    assert listed in crossarch("data", "list", "--storage", storage).out


def test_without_a_command_the_help_is_shown(crossarch):
    answer = crossarch("data")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("Usage:")
