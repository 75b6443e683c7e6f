"""Cells by intensity: discs on a dark ground, as in the phantoms of the Evans lab's pipeline, and noise without any."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from worker.heads.intensity_cells import cells_by_intensity, two_levels


def phantom(seed: int, radius: float, intensity: float) -> tuple[np.ndarray, np.ndarray]:
    """Thirty discs whose intensities add up, uint8 (1024, 1024), none more than half hidden; (30, 3) x, y, radius."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:1024, :1024]
    plane, discs = np.zeros((1024, 1024)), np.zeros((0, 3))
    while len(discs) < 30:
        r = rng.normal(radius, 5)
        middle = rng.uniform(r, 1024 - r, 2)
        apart = np.hypot(*(discs[:, :2] - middle).T)
        if (apart > 1.3 * np.maximum(discs[:, 2], r)).all():
            discs = np.vstack([discs, [*middle, r]])
            plane += (np.hypot(x - middle[0], y - middle[1]) < r) * rng.normal(intensity, 20)
    return np.clip(plane, 0, 255).astype(np.uint8), discs


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("radius", "intensity"), [(45, 200), (25, 100)])
def test_all_thirty_discs_are_found_where_none_hides_another(seed: int, radius: float, intensity: float) -> None:
    plane, discs = phantom(seed, radius, intensity)
    labels, scores = cells_by_intensity(plane.astype(np.float32), minimum_area=200)
    assert labels.max() == 30
    own = labels[discs[:, 1].astype(int), discs[:, 0].astype(int)]
    assert sorted(own.tolist()) == list(range(1, 31))
    assert scores.min() == 0
    assert scores.max() == 1


@pytest.mark.parametrize("smoothing", [0.0, 2.0])
def test_noise_of_any_kind_and_slopes_have_no_cells(smoothing: float) -> None:
    rng = np.random.default_rng(0)
    for plane in (
        rng.standard_normal((300, 300)),
        rng.random((300, 300)),
        rng.exponential(1, (300, 300)),
        rng.poisson(3, (300, 300)),
        np.add.outer(np.arange(300), np.arange(300)),
        np.full((300, 300), 5),
    ):
        labels, _ = cells_by_intensity(plane.astype(np.float32), smoothing=smoothing, minimum_area=50)
        assert not labels.any()


def test_dim_cells_in_noise_have_their_outlines() -> None:
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:300, :300]
    truth = np.hypot(x % 100 - 50, y % 100 - 50) < 22
    labels, _ = cells_by_intensity((truth * 6 + rng.standard_normal(truth.shape)).astype(np.float32))
    assert labels.max() == 9
    assert ((labels > 0) & truth).sum() / ((labels > 0) | truth).sum() > 0.95


def test_spots_and_holes_do_not_change_a_cell() -> None:
    rng = np.random.default_rng(9)
    y, x = np.mgrid[:200, :200]
    near = np.hypot(x - 100, y - 100)
    plane = 50.0 * (near < 60) * (near > 10) + rng.standard_normal((200, 200))
    spots = np.zeros((200, 200))
    spots[70:130:12, 60:140:12] = 20_000
    labels, _ = cells_by_intensity(
        (plane + ndimage.gaussian_filter(spots, 1.5)).astype(np.float32), minimum_area=100, spot_sigma=2
    )
    assert labels.max() == 1
    assert labels[100, 100] == 1
    assert (labels > 0).sum() == pytest.approx(np.pi * 60**2, rel=0.06)


def test_splitting_parts_at_necks_and_level_moves_the_edge() -> None:
    y, x = np.mgrid[:100, :160]
    plane = ndimage.gaussian_filter(
        np.maximum(np.hypot(x - 55, y - 50) < 30, np.hypot(x - 105, y - 50) < 30).astype(np.float32), 3
    )
    assert cells_by_intensity(plane, splitting=0.1)[0].max() == 2
    assert cells_by_intensity(plane, splitting=0.9)[0].max() == 1
    low, high = (np.count_nonzero(cells_by_intensity(plane, level=level)[0]) for level in (0.2, 0.8))
    assert low > high


def test_two_levels_are_the_means_of_both() -> None:
    plane = np.repeat([[10.0, 10.0, 10.0, 50.0]], 30, axis=0).astype(np.float32)
    assert two_levels(plane) == pytest.approx((10, 50), abs=0.1)
    assert two_levels(np.full((5, 5), 3, np.float32)) == (3, 3)
