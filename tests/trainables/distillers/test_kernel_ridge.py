"""Kernel ridge regression is a linear head trained to its end, and its gradient is that of finite differences."""

import pytest
import torch

from crossarch.trainables.distillers.frepo import (
    FeatureNet,
    kernel_ridge_regression,
    label_margin,
    objective,
    squared_error,
)

RIDGE = 0.05


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def trained_head(features, labels, ridge, steps=20_000):
    """Weights (d, C) after gradient descent on |X w - Y|^2 / 2 + lambda |w|^2 / 2."""
    strength = ridge * (features @ features.T).trace() / len(features)
    rate = 1 / (torch.linalg.matrix_norm(features, 2) ** 2 + strength)
    weights = torch.zeros(features.shape[1], labels.shape[1], dtype=features.dtype)
    for _ in range(steps):
        weights -= rate * (features.T @ (features @ weights - labels) + strength * weights)
    return weights


@pytest.mark.parametrize(("images", "size"), [(6, 4), (5, 12)], ids=["more images", "more features"])
def test_it_is_the_limit_of_a_trained_linear_head(images, size):
    features, labels, targets = random(images, size), random(images, 3, seed=1), random(7, size, seed=2)

    predictions = kernel_ridge_regression(features, labels, targets, RIDGE)

    torch.testing.assert_close(predictions, targets @ trained_head(features, labels, RIDGE), rtol=0, atol=1e-9)
    other = targets @ trained_head(features, labels, 2 * RIDGE)
    assert (predictions - other).abs().max() > 1e-3  # the ridge is felt


def test_the_ridge_is_relative_to_the_kernel():
    features, labels, targets = random(5, 8), random(5, 3, seed=1), random(4, 8, seed=2)

    predictions = kernel_ridge_regression(features, labels, targets, RIDGE)

    torch.testing.assert_close(kernel_ridge_regression(10 * features, labels, 10 * targets, RIDGE), predictions)


def test_with_a_small_ridge_the_distilled_images_are_learned_by_heart():
    features, labels = random(5, 20), random(5, 3, seed=1)

    torch.testing.assert_close(kernel_ridge_regression(features, labels, features), labels, rtol=0, atol=1e-4)


@pytest.mark.parametrize("mirror", [False, True])
def test_the_gradient_of_the_loss_equals_finite_differences(mirror):
    torch.manual_seed(0)
    network = FeatureNet(1, 4, 8, width=1 / 32).double().eval()
    images, labels = random(4, 1, 8, 8).requires_grad_(), random(4, 4, seed=1).mul(0.1).requires_grad_()
    targets, target_labels = network.features(random(5, 1, 8, 8, seed=2)).detach(), random(5, 4, seed=3)

    def loss(of_images, of_labels):
        options = {"mirror": mirror, "margin_weight": 1.0, "ridge": 1e-3}
        return objective(network, of_images, of_labels, targets, target_labels, **options)

    assert torch.autograd.gradcheck(loss, (images, labels))


def test_the_squared_error_is_halved_summed_over_classes_and_meaned_over_images():
    predictions, labels = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, 4.0]])

    assert float(squared_error(predictions, labels)) == (0.5 * 5 + 0.5 * 25) / 2


def test_the_label_margin_is_bounded_by_one_over_the_classes():
    labels = torch.tensor([[0.9, -0.1, -0.1, -0.1], [0.30, 0.0, 0.25, -0.2]])

    assert float(label_margin(labels)) == pytest.approx(-(0.25 + 0.05) / 2)


def test_the_label_margin_pushes_only_labels_that_are_nearly_tied():
    labels = torch.tensor([[0.9, -0.1, -0.1, -0.1], [0.30, 0.0, 0.25, -0.2]], requires_grad=True)

    label_margin(labels).backward()

    assert labels.grad.tolist() == [[0, 0, 0, 0], [-0.5, 0, 0.5, 0]]
