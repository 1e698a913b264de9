"""Landscapes of a study's runs: of those with weights, each measured once, and anew where the weights are others."""

import pytest

from crossarch.platform.errors import BadInputError
from crossarch.platform.scheduling import landscapes as landscape
from crossarch.platform.scheduling.landscapes import evenly, landscapes
from crossarch.platform.store.ledger import Ledger
from crossarch.search_spaces.single import single_run
from crossarch.trainables.analysis.loss_landscape import Landscape
from crossarch.trainables.config.datasets import DATASETS
from crossarch.trainables.config.identity import run_id
from crossarch.trainables.models.registry import build
from crossarch.trainables.training.execute import Workplace
from crossarch.trainables.training.state import save_weights

STUDY = single_run("baseline", {"model.width": 0.03125})
(PLAN,) = STUDY.expand()


@pytest.fixture
def workplace(tmp_path, result):
    """One finished run with weights, in a ledger."""
    place = Workplace(root=tmp_path)
    Ledger(tmp_path).write(result(PLAN.config, "finished"))
    keep(place, 1.0)
    return place


def keep(workplace, value):
    weights = build(PLAN.config.model, DATASETS["digits"], None).state_dict()
    save_weights({name: tensor * 0 + value for name, tensor in weights.items()}, workplace.weights(PLAN.config))


@pytest.fixture
def measured(monkeypatch):
    """How often a landscape was measured, by a stand-in that takes no time."""
    calls = []

    def stand_in(config, workplace, *, eigenvalues, distances, device, tell):
        tell("3 products")
        calls.append((eigenvalues, distances))
        return Landscape(
            run_id=run_id(config),
            weights_sha256=landscape.file_digest(workplace.weights(config)),
            images=10,
            loss=0.5,
            eigenvalues=(2.0,) * eigenvalues,
            distances=distances,
            losses=((0.5,) * len(distances),) * len(distances),
            seconds=1.0,
            measured_at="2026-01-01T00:00:00+00:00",
            environment={},
        )

    monkeypatch.setattr(landscape, "measure", stand_in)
    return calls


def ask(workplace, eigenvalues=2, distances=(-1.0, 0.0, 1.0)):
    said, told = [], []
    hearing = {"say": said.append, "tell": told.append}
    found = landscapes(STUDY, (0,), workplace, eigenvalues=eigenvalues, distances=distances, device="cpu", **hearing)
    return found, said, told


def test_what_was_measured_is_not_measured_again(workplace, measured):
    first, _, _ = ask(workplace)
    again, said, told = ask(workplace)
    assert len(measured) == 1
    assert first == again
    assert [plan.config for plan, _ in first] == [PLAN.config]
    assert said == ["0 of 1 runs to measure, the others were before"]
    assert not told


def test_it_is_told_how_many_runs_there_are_and_how_far_each_is(workplace, measured):
    _, said, told = ask(workplace)
    assert said[0] == "1 of 1 runs to measure"
    assert told == ["1/1  Baseline · convnet · seed 0", "1/1  Baseline · convnet · seed 0: 3 products"]
    assert said[1:] == ["1/1  Baseline · convnet · seed 0  largest eigenvalue 2  1 s"]


def test_other_weights_points_or_eigenvalues_are_measured_anew(workplace, measured):
    ask(workplace)
    ask(workplace, eigenvalues=3)
    ask(workplace, eigenvalues=3, distances=(-2.0, 0.0, 2.0))
    keep(workplace, 2.0)
    ask(workplace, eigenvalues=3, distances=(-2.0, 0.0, 2.0))
    assert len(measured) == 4


def test_a_file_that_cannot_be_read_is_measured_anew(workplace, measured):
    ask(workplace)
    (file,) = (workplace.root / "landscapes").glob("*.json")
    file.write_text(file.read_text()[:40])
    ask(workplace)
    assert len(measured) == 2


def test_without_weights_the_study_is_refused(workplace, measured):
    workplace.weights(PLAN.config).unlink()
    with pytest.raises(BadInputError, match="has no finished run whose weights were kept"):
        ask(workplace)
    assert not measured


def test_the_points_are_evenly_spaced_around_the_weights():
    assert evenly(1.0, 5) == (-1.0, -0.5, 0.0, 0.5, 1.0)
    for radius in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"radius = .* is outside \(0, inf\)"):
            evenly(radius, 5)
    for points in (1, 4, 1003):
        with pytest.raises(ValueError, match=f"points = {points} is not an odd number"):
            evenly(1.0, points)
