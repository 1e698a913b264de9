"""The loop that drives distillers: reports, evaluations, and going on bit for bit."""

import pytest
import torch
from distilling import TINY, Parts, differing

from crossarch.trainables.distillers import loop as drive
from crossarch.trainables.distillers.frepo import FRePo
from crossarch.trainables.distillers.loop import (
    DistillationDivergedError,
    distill,
    is_evaluated,
    is_reported,
    label_entropy,
)
from crossarch.trainables.training.state import Checkpoints

Stop = type("Stop", (BaseException,), {})


@pytest.fixture
def parts(digits):
    return Parts(digits)


@pytest.fixture
def quick(monkeypatch):
    """Evaluations that take no time but draw random numbers, as real ones do."""
    monkeypatch.setattr(drive, "validation_accuracy", lambda *arguments: 50.0)


def plain(distillation):
    """Where a distillation is, less the time it took."""
    state = distillation.state_dict()
    del state["seconds"]
    for point in state["curve"]:
        del point["seconds"]
    return state


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("after", [1, 3, 6])
def test_it_goes_on_bit_for_bit(parts, tmp_path, monkeypatch, quick, after, precision):
    config = TINY.model_copy(update={"precision": precision})
    undisturbed = distill(config, parts)
    step = FRePo.step

    def stop(self, index):
        if index == after:
            raise Stop
        return step(self, index)

    monkeypatch.setattr(FRePo, "step", stop)
    with pytest.raises(Stop):
        distill(config, parts, checkpoints=Checkpoints(tmp_path, 0))
    monkeypatch.undo()
    monkeypatch.setattr(drive, "validation_accuracy", lambda *arguments: 50.0)
    assert [path.stem for path in sorted(tmp_path.iterdir())][-1] == f"{after:08d}"
    assert len(list(tmp_path.iterdir())) == min(after, 2)
    torch.rand(after)  # another process would be elsewhere, too

    resumed = distill(config, parts, checkpoints=Checkpoints(tmp_path, 1e9))

    assert differing(plain(resumed), plain(undisturbed)) == []
    assert differing(plain(undisturbed), plain(distill(config.model_copy(update={"seed": 1}), parts)))


def test_between_reports_nothing_is_lost(parts, tmp_path, monkeypatch, quick):
    monkeypatch.setattr(drive, "REPORTS", 2)  # reports after steps 4 and 8; stopped after 6
    undisturbed = distill(TINY, parts)
    step = FRePo.step
    monkeypatch.setattr(
        FRePo, "step", lambda self, index: step(self, index) if index != 6 else (_ for _ in ()).throw(Stop)
    )
    with pytest.raises(Stop):
        distill(TINY, parts, checkpoints=Checkpoints(tmp_path, 0))
    monkeypatch.setattr(FRePo, "step", step)

    assert differing(plain(distill(TINY, parts, checkpoints=Checkpoints(tmp_path, 0))), plain(undisturbed)) == []
    assert [point.step for point in undisturbed.curve] == [4, 8]


def test_an_evaluation_changes_nothing_of_what_is_distilled(parts, monkeypatch):
    evaluated = distill(TINY, parts)
    monkeypatch.setattr(drive, "is_evaluated", lambda step, steps: False)
    silent = distill(TINY, parts)

    assert evaluated.curve[-1].validation_accuracy is not None
    assert silent.curve[-1].validation_accuracy is None
    assert differing(evaluated.distiller.state_dict(), silent.distiller.state_dict()) == []
    assert {part for _, _, part in parts.asked} == {"train", "validation"}  # never test


def test_reports_are_at_most_50_and_evaluations_at_most_5_both_at_the_end():
    for steps in (1, 7, 50, 51, 400, 500_000):
        chosen = range(1, steps + 1) if steps < 1000 else range(10_000, steps + 1, 10_000)
        reports = [step for step in chosen if is_reported(step, steps)]
        evaluations = [step for step in chosen if is_evaluated(step, steps)]
        assert len(reports) <= 51
        assert len(evaluations) <= 6
        assert reports[-1] == evaluations[-1] == steps
        assert set(evaluations) <= set(reports)


def test_a_loss_that_is_not_finite_ends_it(parts):
    with pytest.raises(DistillationDivergedError, match=r"the loss is (nan|-inf) after step 1"):
        distill(TINY.model_copy(update={"margin_weight": float("1e308"), "precision": "float32"}), parts)


def test_the_label_entropy_is_that_of_what_networks_are_trained_on():
    uniform, certain = torch.zeros(2, 10), 100 * torch.eye(10)

    assert label_entropy(uniform, 0.3) == pytest.approx(torch.tensor(10.0).log().item())
    assert label_entropy(certain, 0.3) == pytest.approx(0, abs=1e-9)
    assert label_entropy(torch.eye(10), 1.0) > label_entropy(torch.eye(10), 0.3)
    assert label_entropy(torch.arange(10), 0.3) is None
