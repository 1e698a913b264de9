"""Whitened images have the covariance that theory says; kornia and another road through the algebra agree."""

import pytest
import scipy.linalg
import torch
from torch import Tensor

from crossarch.trainables.config.datasets import WHITENINGS
from crossarch.trainables.data.whitening import (
    CHUNK,
    FITS,
    MTT_MEAN,
    MTT_STD,
    Whitening,
    channel_statistics,
    fit,
    pixel_statistics,
    threads,
)

SHAPE = (3, 4, 4)
PIXELS = 48


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Correlated images in [0, 1], more than a chunk, their channels unlike."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(PIXELS, PIXELS, generator=generator, dtype=torch.float64)
    rows = torch.randn(CHUNK + 500, PIXELS, generator=generator, dtype=torch.float64) @ mixing
    spread = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64).repeat_interleave(16)
    return torch.sigmoid(rows * spread / 10 + spread / 5).view(-1, *SHAPE)


def rows_of(images: Tensor) -> Tensor:
    return images.double().flatten(1)


def test_each_whitening_of_the_catalog_can_be_fitted(images: Tensor) -> None:
    assert FITS.keys() == WHITENINGS.keys()
    for name in WHITENINGS:
        fitted = fit(name, images)
        whitened = fitted.apply(images)
        assert (fitted.name, whitened.shape, whitened.dtype) == (name, images.shape, torch.float32)
        assert {each.dtype for each in vars(fitted).values() if isinstance(each, Tensor)} == {torch.float64}


@pytest.mark.parametrize("name", WHITENINGS)
def test_inverse_brings_the_images_back(images: Tensor, name: str) -> None:
    fitted = fit(name, images)

    assert not torch.allclose(fitted.apply(images), images.float(), atol=0.1)
    torch.testing.assert_close(fitted.invert(fitted.apply(images)), images.float(), rtol=0, atol=1e-5)


def test_channels_are_standardised(images: Tensor) -> None:
    whitened = fit("channel", images).apply(images)

    torch.testing.assert_close(whitened.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(whitened.std((0, 2, 3)), torch.ones(3), rtol=0, atol=1e-5)


def test_mtt_s_constants_need_no_images() -> None:
    images = torch.rand(2, 3, 4, 4)
    expected = torch.stack([(images[:, c] - MTT_MEAN[c]) / MTT_STD[c] for c in range(3)], dim=1)

    torch.testing.assert_close(fit("channel_mtt", images).apply(images), expected)
    assert torch.equal(fit("channel_mtt", images).mean, fit("channel_mtt", torch.rand(5, 3, 4, 4)).mean)


def test_zca_is_kornia_s(images: Tensor) -> None:
    enhance = pytest.importorskip("kornia").enhance
    theirs = enhance.ZCAWhitening(eps=0.1, compute_inv=True).fit(images)
    ours = fit("zca", images)

    torch.testing.assert_close(ours.apply(images), theirs(images).float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.matrix, theirs.transform_matrix, rtol=0, atol=1e-9)
    torch.testing.assert_close(ours.inverse, theirs.transform_inv, rtol=0, atol=1e-9)


def test_zca_is_the_inverse_square_root(images: Tensor) -> None:
    covariance = torch.cov(rows_of(images).T) + 0.1 * torch.eye(PIXELS, dtype=torch.float64)
    expected = scipy.linalg.inv(scipy.linalg.sqrtm(covariance.numpy()))

    torch.testing.assert_close(fit("zca", images).matrix, torch.from_numpy(expected), rtol=0, atol=1e-9)


def test_covariance_after_zca_is_what_the_ridge_leaves(images: Tensor) -> None:
    """S (S + eps I)^-1: its eigenvalues are s / (s + 0.1)."""
    before = torch.linalg.eigvalsh(torch.cov(rows_of(images).T))
    whitened = rows_of(fit("zca", images).apply(images))

    torch.testing.assert_close(whitened.mean(0), torch.zeros(PIXELS, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.linalg.eigvalsh(torch.cov(whitened.T)), before / (before + 0.1), rtol=0, atol=1e-6)


def test_frepo_s_is_its_code_followed_step_by_step(images: Tensor) -> None:
    """Normalise per channel, subtract the mean image, add 0.1 trace / d, whiten by the inverse root of SVD."""
    mean, std = images.mean((0, 2, 3), keepdim=True), images.std((0, 2, 3), correction=0, keepdim=True)
    rows = rows_of((images - mean) / std)
    centred = rows - rows.mean(0)
    covariance = centred.T @ centred / len(rows)
    ridge = 0.1 * covariance.trace() / PIXELS
    u, s, _ = torch.linalg.svd(covariance + ridge * torch.eye(PIXELS, dtype=torch.float64))
    expected = centred @ (u * s**-0.5) @ u.T

    torch.testing.assert_close(rows_of(fit("frepo", images).apply(images)), expected, rtol=0, atol=1e-6)


def test_frepo_s_does_not_depend_on_units_but_zca_does(images: Tensor) -> None:
    darker = images / 2
    torch.testing.assert_close(
        fit("frepo", darker).apply(darker), fit("frepo", images).apply(images), rtol=0, atol=1e-5
    )
    assert not torch.allclose(fit("zca", darker).apply(darker), fit("zca", images).apply(images), atol=0.1)


def test_test_images_are_whitened_by_the_training_images_fit(images: Tensor) -> None:
    fitted = fit("zca", images)
    torch.testing.assert_close(fitted.apply(images[:7]), fitted.apply(images)[:7], rtol=0, atol=1e-6)
    assert not torch.allclose(fit("zca", images[:7]).apply(images[:7]), fitted.apply(images[:7]), atol=0.01)


@pytest.mark.parametrize("name", ["channel", "zca", "frepo"])
def test_raw_images_are_brought_to_one_chunk_by_chunk(name: str) -> None:
    raw = torch.randint(256, (CHUNK + 100, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    sizes = []

    def prepare(chunk: Tensor) -> Tensor:
        sizes.append(len(chunk))
        return chunk.double() / 255

    fitted, direct = fit(name, raw, prepare), fit(name, raw.double() / 255)
    torch.testing.assert_close(fitted.apply(raw, prepare), direct.apply(raw.double() / 255), rtol=0, atol=0)
    assert max(sizes) == CHUNK


def test_statistics_are_torch_s(images: Tensor) -> None:
    mean, variance, count = channel_statistics(images)
    assert count == len(images) * 16
    torch.testing.assert_close(mean.flatten(), images.mean((0, 2, 3)))
    torch.testing.assert_close(variance.flatten(), images.var((0, 2, 3), correction=0))

    mean, covariance = pixel_statistics(images)
    torch.testing.assert_close(mean, images.mean(0))
    torch.testing.assert_close(covariance, torch.cov(rows_of(images).T, correction=0))


def test_pixels_that_never_change_are_no_trouble() -> None:
    images = torch.rand(50, 1, 3, 3, generator=torch.Generator().manual_seed(2))
    images[:, :, 0] = 0.25
    for name in ("zca", "frepo"):
        whitened = fit(name, images).apply(images)
        assert bool(whitened.isfinite().all())
        torch.testing.assert_close(whitened[:, :, 0], torch.zeros(50, 1, 3), rtol=0, atol=1e-6)


def test_fitting_gives_the_threads_back(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def broken(images: Tensor, prepare: object) -> Whitening:
        seen.append(torch.get_num_threads())
        raise RuntimeError("no")

    monkeypatch.setitem(FITS, "zca", broken)
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="no"):
        fit("zca", images)
    assert seen == [max(2, before)]
    assert torch.get_num_threads() == before
    with threads(3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_what_cannot_be_fitted_is_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match="whitening = 'pca' is not one of channel, zca, frepo, channel_mtt"):
        fit("pca", images)
    with pytest.raises(ValueError, match=r"for images of 3 channels .* not of 1"):
        fit("channel_mtt", images[:, :1])
    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        fit("zca", images[:1])
