"""Eq. 2 against hand-worked numbers and Hinton's limit."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from settings import PLAIN, STUDENT
from torch import nn

from crossarch.trainables.methods.knowledge_distillation import distillation_loss
from crossarch.trainables.training.loop import objective


def logits(seed: int, samples: int = 6, classes: int = 5) -> torch.Tensor:
    return torch.randn(samples, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


TARGET = torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5, 10.0])
def test_nothing_to_learn_where_logits_match(temperature: float) -> None:
    student = logits(0)
    shifted = student + 3.0  # softmax does not see a constant

    assert float(distillation_loss(student, student.clone(), TARGET, 1.0, temperature)) == pytest.approx(0, abs=1e-12)
    assert float(distillation_loss(student, shifted, TARGET, 1.0, temperature)) == pytest.approx(0, abs=1e-12)
    assert float(distillation_loss(student, logits(1), TARGET, 1.0, temperature)) > 0.01


def test_equals_a_number_worked_by_hand() -> None:
    """tau = 2: the teacher's softmax(2 ln 3 / 2, 0) is (3/4, 1/4), the student's (1/2, 1/2); CE is ln 2."""
    student = torch.zeros(1, 2, dtype=torch.float64)
    teacher = torch.tensor([[2 * math.log(3), 0.0]], dtype=torch.float64)
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)

    loss = distillation_loss(student, teacher, torch.tensor([1]), 0.25, 2.0)

    assert float(loss) == pytest.approx(0.25 * 4 * divergence + 0.75 * math.log(2), rel=1e-12)


def test_is_the_mean_over_the_batch() -> None:
    student, teacher = logits(0), logits(1)
    each = [float(distillation_loss(student[[i]], teacher[[i]], TARGET[[i]], 0.5, 1.5)) for i in range(len(student))]

    assert float(distillation_loss(student, teacher, TARGET, 0.5, 1.5)) == pytest.approx(sum(each) / len(each))


def test_gradient_tends_to_that_of_the_squared_difference_of_centred_logits() -> None:
    """Hinton et al. (2015), Sec. 2.1: thanks to tau^2, alpha/2 times the mean squared difference is the limit."""
    alpha, student, teacher = 0.3, logits(0), logits(1)

    def gradient(temperature: float) -> torch.Tensor:
        z = student.clone().requires_grad_()
        both = distillation_loss(z, teacher, TARGET, alpha, temperature) - (1 - alpha) * F.cross_entropy(z, TARGET)
        return torch.autograd.grad(both, z)[0]

    z = student.clone().requires_grad_()
    centred = (z - z.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    limit = torch.autograd.grad(0.5 * alpha * centred.square().mean(), z)[0]
    errors = [float((gradient(tau) - limit).norm() / limit.norm()) for tau in (1.0, 10.0, 100.0, 1000.0)]

    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3
    assert errors[-1] == pytest.approx(errors[-2] / 10, rel=0.05)  # of first order in 1 / tau


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_alpha_of_nothing_is_cross_entropy(temperature: float) -> None:
    student = logits(0)

    assert float(distillation_loss(student, logits(1), TARGET, 0.0, temperature)) == pytest.approx(
        float(F.cross_entropy(student, TARGET)), rel=1e-12
    )


def soft_labels(temperature: float = 0.3) -> torch.Tensor:
    """Learned labels as FRePo's become probabilities: softmax(y / t) (notes)."""
    return (logits(2) / temperature).softmax(1)


LABELS = {"hard": TARGET, "soft": soft_labels()}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize(("alpha", "temperature"), [(0.0, 1.5), (0.5, 1.5), (1.0, 4.0), (0.8, 0.7)])
def test_is_eq_2_written_out(labels: torch.Tensor, alpha: float, temperature: float) -> None:
    """Sums over classes and samples, without any of torch's losses."""
    student, teacher = logits(0), logits(1)
    expected = 0.0
    for z, taught, label in zip(student, teacher, labels, strict=True):
        p, q = (taught / temperature).softmax(0), (z / temperature).softmax(0)
        divergence = sum(float(a) * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
        log_odds = z - z.exp().sum().log()
        entropy = -float(log_odds[label] if label.dim() == 0 else (label * log_odds).sum())
        expected += (alpha * temperature**2 * divergence + (1 - alpha) * entropy) / len(student)

    assert float(distillation_loss(student, teacher, labels, alpha, temperature)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_gradient_is_the_numerical_one_in_double_precision(labels: torch.Tensor, alpha: float) -> None:
    student, teacher = logits(0).requires_grad_(), logits(1)

    assert torch.autograd.gradcheck(lambda z: distillation_loss(z, teacher, labels, alpha, 1.5), (student,))


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_gradient_is_tau_and_probabilities_worked_by_hand(labels: torch.Tensor) -> None:
    """alpha tau (softmax(z / tau) - softmax(teacher / tau)) + (1 - alpha) (softmax(z) - y), over the batch's size."""
    alpha, tau, student, teacher = 0.3, 2.0, logits(0).requires_grad_(), logits(1)
    distillation_loss(student, teacher, labels, alpha, tau).backward()
    z = student.detach()
    target = labels if labels.dim() == 2 else F.one_hot(labels, 5)

    by_hand = alpha * tau * ((z / tau).softmax(1) - (teacher / tau).softmax(1)) + (1 - alpha) * (z.softmax(1) - target)
    torch.testing.assert_close(student.grad, by_hand / len(z), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_the_loop_s_objective_takes_both_kinds_of_labels(labels: torch.Tensor) -> None:
    taught = logits(1)
    with_teacher = objective(STUDENT, logits(0), labels, nn.Identity(), taught)
    without = objective(PLAIN, logits(0), labels, None, taught)

    assert float(with_teacher) == float(distillation_loss(logits(0), taught, labels, 0.5, 1.5))
    assert float(without) == float(F.cross_entropy(logits(0), labels))


def test_targets_may_be_probabilities() -> None:
    student, teacher = logits(0), logits(1)
    soft = logits(2).softmax(1)
    one_hot = F.one_hot(TARGET, 5).double()

    assert float(distillation_loss(student, teacher, one_hot, 0.4, 1.5)) == pytest.approx(
        float(distillation_loss(student, teacher, TARGET, 0.4, 1.5)), rel=1e-12
    )
    by_hand = -(soft * student.log_softmax(1)).sum(1).mean()
    assert float(distillation_loss(student, teacher, soft, 0.0, 1.5)) == pytest.approx(float(by_hand), rel=1e-12)
