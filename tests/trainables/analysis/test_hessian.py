"""Eigenvalues against the whole Hessian of a small network and power iteration; the plane against its quadric."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import nn

from crossarch.trainables.analysis import loss_landscape as hessian
from crossarch.trainables.analysis.loss_landscape import TrainingLoss, flat, loss_plane, top_eigenpairs

IMAGES, CLASSES, COUNT = 12, 3, 6


@pytest.fixture(params=["hard", "soft"])
def loss(request):
    """A convolutional network with BatchNorm on a few random images, after some steps of training, in float64."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, CLASSES)
    ).double()
    images = torch.randn(IMAGES, 1, 6, 6, dtype=torch.float64)
    labels = torch.arange(IMAGES) % CLASSES
    if request.param == "soft":
        labels = torch.softmax(torch.randn(IMAGES, CLASSES, dtype=torch.float64), 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return TrainingLoss(model, images, labels)


def whole_hessian(loss):
    """The Hessian (parameters, parameters), by torch's own transform of the loss as a function of all parameters."""
    names = [name for name, _ in loss.model.named_parameters()]
    model = copy.deepcopy(loss.model).eval()

    def value(vector):
        given = dict(zip(names, loss.split(vector), strict=True))
        return F.cross_entropy(torch.func.functional_call(model, given, (loss.images,)), loss.labels)

    return torch.func.hessian(value)(flat(loss.parameters).detach()).numpy()


def power_iteration(loss, count, steps=400):
    """The paper's method: the eigenvalues of largest magnitude one by one, each orthogonal to those before."""
    found, values = [], []
    generator, times = torch.Generator().manual_seed(1), loss.hessian()
    for _ in range(count):
        vector = torch.randn(loss.size, generator=generator, dtype=torch.float64)
        for _ in range(steps):
            for earlier in found:
                vector = vector - (vector @ earlier) * earlier
            vector = vector / vector.norm()
            product = times(vector)
            value, vector = float(vector @ product), product
        found.append(vector / vector.norm())
        values.append(value)
    return values


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch.func uses it
def test_the_eigenvalues_are_those_of_the_whole_hessian(loss):
    whole = whole_hessian(loss)
    spectrum = top_eigenpairs(loss, COUNT, tolerance=1e-10)
    assert np.allclose(spectrum.values, np.linalg.eigvalsh(whole)[::-1][:COUNT], rtol=1e-4, atol=0)
    assert np.all(np.diff(spectrum.values) <= 0)
    assert np.allclose(whole @ spectrum.vectors, spectrum.vectors * spectrum.values, atol=1e-6)
    assert np.allclose(spectrum.vectors.T @ spectrum.vectors, np.eye(COUNT))


def test_power_iteration_finds_the_same(loss):
    assert np.allclose(power_iteration(loss, 2), top_eigenpairs(loss, 2).values, rtol=1e-3)


def test_batches_change_nothing(loss, monkeypatch):
    vector = torch.randn(loss.size, dtype=torch.float64)
    value, product = loss.value(), loss.hessian()(vector)
    monkeypatch.setattr(hessian, "BATCH", 5)
    assert loss.value() == pytest.approx(value, rel=1e-12)
    assert torch.allclose(loss.hessian()(vector), product, rtol=1e-10)


@pytest.mark.parametrize("batch", [5, IMAGES])
def test_every_product_is_the_hessian_s_where_the_weights_are(loss, monkeypatch, batch):
    monkeypatch.setattr(hessian, "BATCH", batch)
    vector, other = torch.randn(2, loss.size, dtype=torch.float64)
    times = loss.hessian()
    assert torch.allclose(times(vector) + 2 * times(other), times(vector + 2 * other), rtol=1e-8)
    before = times(vector)
    loss.add(0.1 * other)
    assert not torch.allclose(loss.hessian()(vector), before, rtol=1e-3)


def test_a_gradient_that_was_kept_is_not_used_for_other_weights(loss):
    times = loss.hessian()
    loss.add(torch.full((loss.size,), 0.1, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        times(torch.ones(loss.size, dtype=torch.float64))


def test_single_precision_is_as_accurate_as_was_asked(loss):
    expected = top_eigenpairs(loss, COUNT, tolerance=1e-10).values
    loss.model.float()
    soft = loss.labels.is_floating_point()
    single = TrainingLoss(loss.model, loss.images.float(), loss.labels.float() if soft else loss.labels)
    assert np.allclose(top_eigenpairs(single, COUNT).values, expected, rtol=1e-3)


def test_progress_is_told(loss):
    products, points = [], []
    spectrum = top_eigenpairs(loss, 2, on_product=products.append)
    loss_plane(loss, spectrum.vectors, (-0.5, 0.0, 0.5), points.append)
    assert products == list(range(1, len(products) + 1))
    assert len(products) >= 2
    assert points == list(range(1, 10))


def test_the_plane_is_the_quadric_of_the_eigenvalues_near_its_centre(loss):
    spectrum = top_eigenpairs(loss, 2, tolerance=1e-10)
    near = 1e-3
    losses = loss_plane(loss, spectrum.vectors, (-near, 0.0, near))
    curvature = losses[[0, 2], 1].sum() - 2 * losses[1, 1], losses[1, [0, 2]].sum() - 2 * losses[1, 1]
    assert np.allclose(np.array(curvature) / near**2, spectrum.values, rtol=1e-3)
    assert losses[1, 1] == loss.value()


def test_the_network_is_left_as_it_was(loss):
    loss.model.train()
    before = copy.deepcopy(loss.model.state_dict())
    spectrum = top_eigenpairs(loss, 2)
    loss_plane(loss, spectrum.vectors, (-0.5, 0.5))
    assert loss.model.training
    assert all(torch.equal(value, before[name]) for name, value in loss.model.state_dict().items())


def test_no_more_eigenvalues_than_there_can_be(loss):
    for count in (0, loss.size):
        with pytest.raises(ValueError, match=rf"count = {count} is outside \[1, {loss.size - 1}\]"):
            top_eigenpairs(loss, count)
