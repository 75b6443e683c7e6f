"""CDeep3M2's enhancement: the noise estimate, the total-variation optimum, and the whole."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from worker.enhance import ENHANCEMENTS, denoise_tv, enhance, local_contrast, noise_sigma


def objective(x: np.ndarray, plane: np.ndarray, weight: float) -> float:
    variation = np.abs(np.diff(x, axis=0)).sum() + np.abs(np.diff(x, axis=1)).sum()
    return float(0.5 * ((x - plane) ** 2).sum() + weight * variation)


def exact_tv(plane: np.ndarray, weight: float) -> np.ndarray:
    """The minimiser by a general-purpose solver of the dual box problem: slow, independent."""
    rows, columns = plane.shape
    split = (rows - 1) * columns

    def primal(dual: np.ndarray) -> np.ndarray:
        down, right = dual[:split].reshape(rows - 1, columns), dual[split:].reshape(rows, columns - 1)
        x = plane.astype(float).copy()
        x[:-1] += down
        x[1:] -= down
        x[:, :-1] += right
        x[:, 1:] -= right
        return x

    def value_and_slope(dual: np.ndarray) -> tuple[float, np.ndarray]:
        x = primal(dual)
        slope = np.concatenate([-np.diff(x, axis=0).ravel(), -np.diff(x, axis=1).ravel()])
        return 0.5 * (x**2).sum(), slope

    size = split + rows * (columns - 1)
    bounds = [(-weight, weight)] * size
    options = {"maxiter": 5000, "maxfun": 50000, "ftol": 1e-15, "gtol": 1e-10}
    found = minimize(value_and_slope, np.zeros(size), jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    return primal(found.x)


@pytest.mark.parametrize("weight", [0.02, 0.2])
def test_denoising_reaches_the_optimum_of_an_independent_solver(weight: float) -> None:
    rng = np.random.default_rng(1)
    plane = (np.kron([[0.2, 0.8], [0.6, 0.1]], np.ones((9, 11))) + rng.normal(0, 0.1, (18, 22))).astype(np.float32)
    exact = exact_tv(plane, weight)
    found = denoise_tv(plane, weight)
    assert np.sqrt(np.mean((found - exact) ** 2)) < 2e-4
    assert objective(found, plane, weight) < objective(plane, plane, weight) * 0.95


def test_no_perturbation_of_the_denoised_image_is_better() -> None:
    rng = np.random.default_rng(2)
    plane = rng.random((64, 64)).astype(np.float32)
    found = denoise_tv(plane, 0.1, tolerance=1e-5).astype(float)
    best = objective(found, plane, 0.1)
    for step in (1e-3, 1e-2, 1e-1):
        assert objective(found + rng.normal(0, step, found.shape), plane, 0.1) > best
    assert objective(found.mean() + (found - found.mean()) * 1.01, plane, 0.1) > best


def test_denoising_with_a_huge_weight_is_the_mean_and_without_weight_the_image() -> None:
    plane = np.random.default_rng(3).random((12, 12)).astype(np.float32)
    np.testing.assert_allclose(denoise_tv(plane, 20.0, tolerance=1e-5), plane.mean(), atol=1e-3)
    np.testing.assert_array_equal(denoise_tv(plane, 0.0), plane)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_the_noise_of_a_smooth_image_is_estimated(sigma: float) -> None:
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:201, :300] / 60
    noisy = np.sin(y) * np.cos(x) / 2 + rng.normal(0, sigma, y.shape)
    assert noise_sigma(noisy) == pytest.approx(sigma, rel=0.05)


def test_the_noise_estimate_reads_the_diagonal_details_of_db2() -> None:
    # One bright pixel at an even place meets the filter's second and fourth tap along each axis.
    plane = np.zeros((16, 16))
    plane[8, 8] = 1
    taps = np.array([0.8365163037378079, 0.12940952255092145])
    assert noise_sigma(plane) == pytest.approx(np.median(np.outer(taps, taps)) / 0.6744897502, rel=1e-6)


def test_enhancing_flattens_noise_and_fills_the_grey_range() -> None:
    rng = np.random.default_rng(5)
    clean = np.kron(rng.integers(0, 2, (8, 8)), np.ones((32, 32))) * 300 + 1000
    noisy = clean + rng.normal(0, 60, clean.shape)
    made = enhance(noisy.astype(np.uint16)[..., None])
    assert made.dtype == np.uint8
    assert made.shape == (256, 256, 1)
    assert (made.min(), made.max()) == (0, 255)
    flat = made[2:30, 2:30, 0]
    assert flat.std() < 0.5 * (noisy[2:30, 2:30].std() / 300 * 255)


@pytest.mark.parametrize("pixels", [np.full((5, 7, 2), 9, np.uint8), np.zeros((1, 1, 1), np.float32)])
def test_a_constant_image_becomes_black(pixels: np.ndarray) -> None:
    made = enhance(pixels)
    assert made.shape == pixels.shape
    assert not made.any()


def test_local_contrast_lifts_what_lies_in_the_dark() -> None:
    rng = np.random.default_rng(7)
    light = np.where(np.arange(512) < 256, 1000, 20_000)[None, :] * np.ones((512, 1))
    pixels = (light * (np.kron(rng.integers(0, 2, (64, 64)), np.ones((8, 8))) * 0.2 + 1)).astype(np.uint16)[..., None]
    made = local_contrast(pixels)
    assert (made.dtype, made.shape) == (np.float32, (512, 512, 1))
    assert 0 <= made.min() < 10
    assert 245 < made.max() <= 255
    # Far enough from the bright half: contrast there is what its own blocks give.
    dark = pixels[:, :128].std() / pixels.max() * 255
    assert made[:, :128].std() > 1.5 * dark


def test_local_contrast_does_each_channel_alone_and_no_hot_pixel_takes_it_all() -> None:
    rng = np.random.default_rng(8)
    pixels = rng.integers(100, 200, (140, 150, 2)).astype(np.uint16)
    hot = pixels.copy()
    hot[5, 5, 0] = 60_000
    plain, found = local_contrast(pixels), local_contrast(hot)
    np.testing.assert_array_equal(found[..., 1], plain[..., 1])
    away = (slice(None), slice(None), 0)
    assert np.abs(found[away] - plain[away]).mean() < 3


@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (9, 8)])
def test_local_contrast_of_tiny_and_constant_images(shape: tuple[int, int]) -> None:
    assert not local_contrast(np.full((*shape, 1), 7, np.int16)).any()
    ramp = np.arange(np.prod(shape), dtype=np.float32).reshape(*shape, 1)
    assert np.isfinite(local_contrast(ramp)).all()


def test_every_choice_of_the_setting_but_off_is_there() -> None:
    from zoo.preview_settings import BY_NAME

    assert ["off", *ENHANCEMENTS] == list(BY_NAME["enhancement"].choices)
