"""What a study's runs are trained on: sets looked up in the store, and real images made ready only where needed."""

import pytest
import torch
from digits_sets import TEMPERATURE, digits_set, stored
from distilled_sets import manifest
from small import REAL

from crossarch.platform.errors import BadInputError
from crossarch.platform.scheduling import prepare as preparation
from crossarch.platform.scheduling.data import available, bound
from crossarch.platform.scheduling.prepare import prepare
from crossarch.search_spaces.paper.tables import TABLE2
from crossarch.search_spaces.single import single_run
from crossarch.trainables.config.identity import run_id

FREPO, MTT = "cifar10-frepo-ipc1", "cifar10-mtt-ipc1"


def one(arm="baseline", **changes):
    """A single run on the set `digits-centred`."""
    named = {
        "data.kind": "distilled",
        "data.dataset": "digits",
        "data.images_per_class": 1,
        "data.distilled_set": "digits-centred",
    }
    return single_run(arm, named | {name.replace("__", "."): value for name, value in changes.items()})


def cifar_set(name, distiller, **changes):
    """Noise in the form of a set of CIFAR-10 with one image a class; FRePo's has soft labels."""
    images = torch.randn(10, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(10) if distiller == "mtt" else torch.eye(10) - 0.1
    facts = {"name": name, "distiller": distiller, "images_per_class": 1, "whitening": "zca"}
    if distiller == "frepo":
        facts |= {"whitening": "frepo", "label_form": "centred", "label_temperature": 9.0}
    return manifest(images, labels, **facts | changes), images, labels


def configs(study):
    return [plan.config for plan in study.expand(study.seeds[:1])]


@pytest.mark.parametrize("arm", ["baseline", "full"])
def test_a_run_is_bound_to_what_the_store_has_under_the_sets_name(tmp_path, arm):
    (known,) = stored(tmp_path, digits_set(form="centred", whitening="zca"))
    found = configs(bound(one(arm), tmp_path))
    assert found
    for config in found:
        assert (config.data.sha256, config.data.whitening) == (known.sha256, "zca")
        assert config.data.label_temperature == TEMPERATURE
        assert config.kd is None or config.kd.teacher.data == config.data


def test_a_runs_own_temperature_wins(tmp_path):
    stored(tmp_path, digits_set(form="centred"))
    (config,) = configs(bound(one(data__label_temperature=0.7), tmp_path))
    assert config.data.label_temperature == 0.7


def test_table2_keeps_the_papers_temperature(tmp_path):
    (known,) = stored(tmp_path, cifar_set(FREPO, "frepo"))
    found = [config for config in configs(bound(TABLE2, tmp_path)) if config.data.distilled_set == FREPO]
    assert {(config.data.label_temperature, config.data.whitening) for config in found} == {(0.3, "frepo")}
    assert {config.data.sha256 for config in found} == {known.sha256}


def test_hard_labels_leave_the_temperature_out(tmp_path):
    stored(tmp_path, digits_set())
    (config,) = configs(bound(one(data__distilled_set="digits-hard"), tmp_path))
    assert config.data.label_temperature is None


def test_real_images_and_unknown_sets_are_as_they_were(tmp_path):
    assert configs(bound(REAL, tmp_path)) == configs(REAL)
    assert configs(bound(one(), tmp_path)) == configs(one())


MISMATCHED = {
    "data.images_per_class": (
        {"data__images_per_class": 2},
        "data.images_per_class = 2, but the distilled set digits-centred has 1",
    ),
    "data.dataset": (
        {"data__dataset": "cifar10"},
        "data.dataset = 'cifar10', but the distilled set digits-centred has 'digits'",
    ),
    "data.label_temperature": (
        {"data__distilled_set": "digits-hard", "data__label_temperature": 0.3},
        "data.label_temperature = 0.3, but the labels of digits-hard are hard",
    ),
}


@pytest.mark.parametrize("arm", ["baseline", "full"])
@pytest.mark.parametrize("key", MISMATCHED)
def test_a_run_that_is_not_of_its_set_is_refused(tmp_path, key, arm):
    stored(tmp_path, digits_set(), digits_set(form="centred"))
    changes, sentence = MISMATCHED[key]
    with pytest.raises(ValueError, match=key) as caught:
        bound(one(arm, **changes), tmp_path)
    assert str(caught.value) == sentence


def test_table2_refuses_a_set_of_another_size_under_its_name(tmp_path):
    stored(tmp_path, digits_set(dataset="cifar10", name="cifar10-mtt-ipc10"))
    sentence = "data.images_per_class = 10, but the distilled set cifar10-mtt-ipc10 has 1"
    with pytest.raises(ValueError, match=sentence):
        bound(TABLE2, tmp_path)


def test_runs_without_their_set_are_left_out(tmp_path):
    stored(tmp_path, cifar_set(MTT, "mtt"))
    study = bound(TABLE2, tmp_path)
    found = available(study, (0,), tmp_path)
    assert found == tuple(plan for plan in study.expand((0,)) if plan.config.data.distilled_set == MTT)
    assert found


def test_where_no_set_is_there_all_are_named(tmp_path):
    with pytest.raises(BadInputError, match=r"data\.distilled") as caught:
        available(TABLE2, (0,), tmp_path)
    sentence = str(caught.value)
    assert all(name in sentence for name in (FREPO, "cifar10-frepo-ipc50", MTT, "cifar10-mtt-ipc50"))
    assert f"crossarch data add PATH --name {FREPO}" in sentence
    listed = sentence.removeprefix("data.distilled_set = ").partition(":")[0].split(", ")
    assert len(set(listed)) == len(listed) == 6
    assert "\n" not in sentence


def test_real_images_are_always_available(tmp_path):
    assert available(REAL, (0, 1), tmp_path) == tuple(REAL.expand((0, 1)))


class Asked:
    """Stands in for the library: it says what was asked for, and refuses if it is told to."""

    def __init__(self, error=None):
        self.parts, self.error, self.made = [], error, []

    def __call__(self, root, raw, tell):
        self.made.append((root, raw))
        return self

    def part(self, dataset, whitening, part):
        self.parts.append((dataset, whitening, part))
        if self.error:
            raise self.error


@pytest.fixture
def asked(monkeypatch):
    found = Asked()
    monkeypatch.setattr(preparation, "library", found)
    return found


def on_cifar(distilled=None, whitening="channel"):
    """A run of Table 2, on real images unless a set is named."""
    (config, *_) = configs(TABLE2)
    kind = {"kind": "distilled", "distilled_set": distilled} if distilled else {"kind": "real"}
    return config.replace({"data": {**kind, "dataset": "cifar10", "images_per_class": 1, "whitening": whitening}})


def test_training_images_are_made_ready_only_for_runs_on_real_ones(asked, tmp_path):
    prepare([on_cifar(FREPO, "frepo")], tmp_path, tmp_path / "raw", print)
    assert asked.parts == [("cifar10", "frepo", "validation"), ("cifar10", "frepo", "test")]
    assert asked.made == [(tmp_path, tmp_path / "raw")]
    asked.parts.clear()
    prepare([on_cifar()], tmp_path, None, print)
    assert asked.parts == [("cifar10", "channel", part) for part in ("train", "validation", "test")]


def test_each_whitening_is_made_ready_once(asked, tmp_path):
    runs = [on_cifar(name, whitening) for name, whitening in ((FREPO, "frepo"), (MTT, "zca"), (FREPO, "frepo"))]
    prepare(runs, tmp_path, None, print)
    assert sorted(asked.parts) == [
        ("cifar10", whitening, part) for whitening in ("frepo", "zca") for part in ("test", "validation")
    ]


def test_digits_need_nothing_to_be_made_ready(asked, tmp_path):
    prepare(configs(REAL), tmp_path, None, print)
    prepare(configs(one()), tmp_path, None, print)
    prepare([], tmp_path, None, print)
    assert (asked.made, asked.parts) == ([], [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError("no network"), ValueError("cifar10: of another digest")])
def test_data_that_cannot_be_had_are_bad_input(asked, tmp_path, error):
    asked.error = error
    with pytest.raises(BadInputError) as caught:
        prepare([on_cifar()], tmp_path, None, print)
    assert str(caught.value) == str(error)
    assert len(asked.parts) == 1


def test_runs_on_a_damaged_set_are_not_available_and_told_why(tmp_path):
    (known,) = stored(tmp_path, digits_set(form="centred"))
    path = tmp_path / "data" / "distilled" / f"{known.name}.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    assert configs(bound(one(), tmp_path)) == configs(one())
    with pytest.raises(BadInputError, match=r"digits-centred: .* is no undamaged distilled set"):
        available(bound(one(), tmp_path), (0,), tmp_path)


def test_the_sets_contents_are_part_of_a_runs_identity(tmp_path):
    found = []
    for number in range(2):
        stored(tmp_path / str(number), digits_set(form="centred", seed=number))
        found.append(configs(bound(one(), tmp_path / str(number)))[0])
    first, second = (config.data.model_copy(update={"sha256": None}) for config in found)
    assert first == second
    assert run_id(found[0]) != run_id(found[1])
