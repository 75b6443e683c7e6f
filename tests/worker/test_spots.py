"""Spots by LoG and DoG: all of them and nothing else, whatever the background, and radii that are right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.feature import blob_log

from worker.heads.decoded import Points
from worker.heads.spots import find_spots, scales

SIGMA = 1.8
METHODS = pytest.mark.parametrize("method", ["log", "dog"])


def spotted(seed: int, *, count: int = 40, side: int = 200, snr: float = 15) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian spots of SIGMA in noise of 1, 8 px apart, and their places (n, 2) x, y in pixel corners."""
    rng = np.random.default_rng(seed)
    places: list[np.ndarray] = []
    while len(places) < count:
        place = rng.uniform(6, side - 6, 2)
        if all(np.hypot(*(place - other)) > 8 for other in places):
            places.append(place)
    y, x = np.mgrid[:side, :side] + 0.5
    plane = rng.standard_normal((side, side))
    for place in places:
        plane += snr * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * SIGMA**2))
    return plane.astype(np.float32), np.array(places)


def distances(found: np.ndarray, places: np.ndarray) -> np.ndarray:
    """From each of (n, 2) found to the nearest place."""
    return np.hypot(*(found[:, None] - places[None]).transpose(2, 0, 1)).min(axis=1, initial=np.inf)


def found_and_false(points: Points, places: np.ndarray) -> tuple[int, int]:
    return int((distances(places, points.xy) < 2).sum()), int((distances(points.xy, places) >= 2).sum())


@METHODS
@pytest.mark.parametrize("seed", range(5))
def test_forty_spots_of_forty_and_none_besides(method: str, seed: int) -> None:
    plane, places = spotted(seed)
    points = find_spots(plane, method=method)
    assert found_and_false(points, places) == (40, 0)
    assert np.median(distances(points.xy, places)) < 0.15
    assert np.median(points.radius) == pytest.approx(SIGMA * 2**0.5, rel=0.05)
    assert (points.snr > 10).all()


def test_the_places_are_those_of_scikit_image() -> None:
    plane, _ = spotted(3)
    theirs = blob_log(plane / plane.max(), min_sigma=1, max_sigma=3, num_sigma=10, threshold=0.15)
    ours = find_spots(plane)
    assert len(theirs) == len(ours) == 40
    assert distances(theirs[:, 1::-1] + 0.5, ours.xy).max() < 1


@METHODS
@pytest.mark.parametrize("noise", ["normal", "poisson", "exponential"])
def test_noise_has_next_to_no_spots(method: str, noise: str) -> None:
    rng = np.random.default_rng(4)
    drawn = {
        "normal": lambda: rng.normal(100, 5, (512, 512)),
        "poisson": lambda: rng.poisson(5, (512, 512)),
        "exponential": lambda: ndimage.gaussian_filter(rng.exponential(1, (512, 512)), 1),
    }
    count = sum(len(find_spots(drawn[noise]().astype(np.float32), method=method)) for _ in range(2))
    # 4 in half a million pixels; exponential noise has a long tail of bright pixels, which are spots to some.
    assert count <= (4 if noise != "exponential" else 60)


@METHODS
def test_an_uneven_background_hides_no_spot_and_makes_none(method: str) -> None:
    plane, places = spotted(7, snr=12)
    y, x = np.mgrid[:200, :200]
    background = 300 * np.exp(-((x - 60) ** 2 + (y - 90) ** 2) / (2 * 70**2)) + 0.8 * x
    assert found_and_false(find_spots(plane + background.astype(np.float32), method=method), places) == (40, 0)


@METHODS
def test_edges_ridges_and_hot_pixels_are_no_spots(method: str) -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:200, :300]
    # No lens draws an edge sharper than this.
    disc = ndimage.gaussian_filter(80.0 * (np.hypot(x - 70, y - 90) < 40), 1)
    line = 60 * np.exp(-((x - 180 - 0.3 * y) ** 2) / (2 * SIGMA**2))
    plane = rng.normal(100, 2, (200, 300)) + disc + line
    plane[rng.integers(20, 180, 12), rng.integers(255, 295, 12)] += 150
    points = find_spots(plane.astype(np.float32), method=method)
    assert len(points) <= 1


def test_large_bright_things_are_not_the_spots_looked_for() -> None:
    y, x = np.mgrid[:200, :200]
    plane = np.random.default_rng(0).normal(0, 1, (200, 200))
    for middle in (50, 140):
        plane += 100 * np.exp(-((x - middle) ** 2 + (y - middle) ** 2) / (2 * 15**2))
    assert len(find_spots(plane.astype(np.float32))) == 0
    assert len(find_spots(plane.astype(np.float32), sigma_min=8, sigma_max=20)) == 2


@given(st.floats(0.001, 1000), st.floats(-1000, 1000), st.sampled_from(["log", "dog"]))
def test_brightness_and_exposure_do_not_matter(gain: float, offset: float, method: str) -> None:
    plane, _ = spotted(11, count=10, side=90)
    changed = (plane.astype(np.float64) * gain + offset * gain).astype(np.float32)
    one, other = find_spots(plane, method=method), find_spots(changed, method=method)
    assert len(one) == len(other) == 10
    np.testing.assert_allclose(one.xy, other.xy, atol=0.05)
    np.testing.assert_allclose(one.snr, other.snr, rtol=0.05)


@given(st.integers(0, 3), st.integers(0, 60), st.integers(0, 60))
def test_a_part_of_the_plane_has_the_spots_it_had_in_the_whole(seed: int, top: int, left: int) -> None:
    plane, _ = spotted(seed, count=30, side=200)
    part = find_spots(np.ascontiguousarray(plane[top : top + 130, left : left + 130]))
    whole = find_spots(plane)
    reach = 20
    inner = ((whole.xy - [left, top] >= reach) & (whole.xy - [left, top] < 130 - reach)).all(axis=1)
    again = part.xy[((part.xy >= reach) & (part.xy < 130 - reach)).all(axis=1)] + [left, top]
    np.testing.assert_allclose(again, whole.xy[inner], atol=1e-3)


def test_a_flat_a_tiny_and_a_noiseless_plane() -> None:
    assert len(find_spots(np.full((40, 50), 3, np.float32))) == 0
    assert len(find_spots(np.ones((1, 1), np.float32))) == 0
    y, x = np.mgrid[:60, :60]
    clean = np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / (2 * SIGMA**2)).astype(np.float32)
    points = find_spots(clean)
    assert points.xy.tolist() == [pytest.approx([30.5, 20.5], abs=0.05)]


def test_a_higher_threshold_finds_fewer_and_the_surest() -> None:
    plane, _ = spotted(5, snr=8)
    low, high = find_spots(plane, threshold=0.4), find_spots(plane, threshold=0.7)
    assert len(low) > len(high) > 0
    assert (high.score >= 0.7).all()
    assert {tuple(place) for place in high.xy} <= {tuple(place) for place in low.xy}


def test_scales_reach_from_the_least_to_the_largest_and_one_beyond() -> None:
    sigmas = scales(1.0, 3.0)
    assert sigmas[1] == pytest.approx(1.0)
    assert sigmas[-2] == pytest.approx(3.0)
    assert (sigmas[1:] / sigmas[:-1]).max() <= 1.3 + 1e-9
    assert scales(2.0, 2.0)[1:-1].tolist() == [2.0]
