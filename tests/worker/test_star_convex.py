"""Star-convex polygons: exact rays come back as their objects, wherever those lie and however the plane was cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import polygon

from worker.heads.star_convex import KEPT, Polygons, decode_star_convex, polygon_areas, settled

RAYS = 32
Ellipse = tuple[float, float, float, float, float]


def apart(seed: int, count: int, shape: tuple[int, int], margin: float = 2.0) -> list[Ellipse]:
    """Ellipses (y, x, half axes, angle) that do not touch each other."""
    rng = np.random.default_rng(seed)
    found: list[Ellipse] = []
    for _ in range(count * 20):
        long = rng.uniform(5, 14)
        y, x = (rng.uniform(long + margin, side - long - margin) for side in shape)
        if all(np.hypot(y - other[0], x - other[1]) > long + other[2] + 2 for other in found):
            found.append((y, x, long, long * rng.uniform(0.5, 1), rng.uniform(0, np.pi)))
        if len(found) == count:
            break
    return found


def within(ellipse: Ellipse, shape: tuple[int, int]) -> np.ndarray:
    """How far from the middle each pixel is, 1 at the edge."""
    y, x, long, short, angle = ellipse
    dy, dx = np.mgrid[: shape[0], : shape[1]] - np.array([y, x])[:, None, None]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    return np.hypot(along / long, across / short)


def maps_of(ellipses: list[Ellipse], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth labels, probability (1 in the middle, 0 at the edge) and exact rays of ellipses."""
    labels = np.zeros(shape, np.int32)
    probability, rays = np.zeros(shape, np.float32), np.zeros((*shape, RAYS), np.float32)
    for number, ellipse in enumerate(ellipses, start=1):
        distance = within(ellipse, shape)
        own = distance < 1
        labels[own] = number
        probability[own] = (1 - distance)[own]
        rays[own] = to_the_edge(ellipse, np.argwhere(own))
    return labels, probability, rays


def to_the_edge(ellipse: Ellipse, pixels: np.ndarray) -> np.ndarray:
    """Lengths (n, ray) from pixels (n, 2) in an ellipse to its edge, by solving the quadratic equation."""
    y, x, long, short, angle = ellipse
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / [[long], [short]]
    start = (pixels[:, ::-1] - [x, y]) @ turned.T
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    way = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ turned.T
    a, b, c = (way**2).sum(axis=1), start @ way.T, (start**2).sum(axis=1)[:, None] - 1
    return (-b + np.sqrt(b**2 - a * c)) / a


def overlaps(truth: np.ndarray, found: np.ndarray) -> list[float]:
    best = []
    for number in range(1, truth.max() + 1):
        own = truth == number
        match = found == np.bincount(found[own]).argmax()
        best.append((own & match).sum() / (own | match).sum())
    return best


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000))
def test_exact_rays_come_back_as_the_ellipses(seed: int) -> None:
    truth, probability, rays = maps_of(apart(seed, 8, (96, 120)), (96, 120))
    labels, scores = decode_star_convex(probability, rays, threshold=0.4, overlap=0.4)
    assert labels.dtype == np.int32
    assert labels.max() == truth.max() == len(scores)
    assert min(overlaps(truth, labels)) > 0.9
    firsts = [int(np.flatnonzero(labels.ravel() == number)[0]) for number in range(1, labels.max() + 1)]
    assert firsts == sorted(firsts)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 40), st.integers(0, 40))
def test_objects_are_the_same_whatever_tile_they_are_found_in(seed: int, top: int, left: int) -> None:
    _, probability, rays = maps_of(apart(seed, 8, (110, 130)), (110, 130))
    whole, _ = decode_star_convex(probability, rays, threshold=0.4, overlap=0.4)
    part, scores = decode_star_convex(probability[top:, left:], rays[top:, left:], threshold=0.4, overlap=0.4)
    cut = whole[top:, left:]
    # Objects whose middle lies outside the part are not found in it; the others are, to the pixel.
    for number, box in enumerate(ndimage.find_objects(whole), start=1):
        if box[0].start >= top + 1 and box[1].start >= left + 1:
            own = cut == number
            assert len(np.unique(part[own])) == 1
            assert np.array_equal(part == part[own][0], own)
    assert len(scores) == part.max()


def test_a_coarser_grid_finds_the_same_objects() -> None:
    truth, probability, rays = maps_of(apart(5, 8, (96, 120)), (96, 120))
    labels, _ = decode_star_convex(probability[::2, ::2], rays[::2, ::2], threshold=0.4, overlap=0.4, stride=2)
    assert labels.shape == truth.shape
    assert labels.max() == truth.max()
    assert min(overlaps(truth, labels)) > 0.9


def test_the_more_probable_is_on_top_and_the_hidden_left_out() -> None:
    probability, rays = np.zeros((40, 60), np.float32), np.zeros((40, 60, RAYS), np.float32)
    for (y, x), score, radius in (((20, 20), 0.9, 10), ((20, 34), 0.8, 10), ((20, 21), 0.6, 4)):
        probability[y, x], rays[y, x] = score, radius
    labels, scores = decode_star_convex(probability, rays, threshold=0.5, overlap=0.4)
    assert scores.tolist() == pytest.approx([0.9, 0.8])
    assert labels[20, 28] == 1
    assert labels[20, 40] == 2


@pytest.mark.parametrize(("away", "stay"), [(6.0, 1), (12.0, 2)])
def test_overlap_decides_who_stays(away: float, stay: int) -> None:
    centres = np.array([[0.0, 0.0], [0.0, away]])
    radii = np.full((2, RAYS), 10.0)
    shared = 2 * 100 * np.arccos(away / 20) - away / 2 * np.sqrt(400 - away**2)
    exact = shared / (2 * np.pi * 100 - shared)
    found = Polygons(centres.astype(np.int64), centres, radii, np.ones(2, np.float32))
    for overlap, many in ((exact - 0.03, 1), (exact + 0.03, 2), (0.4, stay)):
        assert (settled(found, overlap) == KEPT).sum() == many


@given(st.lists(st.floats(0.5, 20), min_size=5, max_size=12))
def test_areas_are_those_of_the_shoelace(radii: list[float]) -> None:
    angles = np.arange(len(radii)) * 2 * np.pi / len(radii)
    y, x = np.array(radii) * np.sin(angles), np.array(radii) * np.cos(angles)
    shoelace = 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    assert polygon_areas(np.array([radii]))[0] == pytest.approx(shoelace)


def test_nothing_is_found_where_nothing_is() -> None:
    labels, scores = decode_star_convex(
        np.zeros((12, 15), np.float32), np.zeros((12, 15, 8), np.float32), threshold=0.5, overlap=0.4, stride=2
    )
    assert labels.shape == (24, 30)
    assert labels.max() == 0
    assert scores.size == 0
    flat, none = decode_star_convex(
        np.ones((3, 3), np.float32), np.full((3, 3, 8), np.nan, np.float32), threshold=0.5, overlap=0.4
    )
    assert flat.max() == 0
    assert none.size == 0


def test_a_polygon_is_drawn_as_skimage_draws_it() -> None:
    rng = np.random.default_rng(1)
    radii = rng.uniform(4, 12, RAYS)
    probability, rays = np.zeros((40, 40), np.float32), np.zeros((40, 40, RAYS))
    probability[18, 21], rays[18, 21] = 1, radii
    labels, _ = decode_star_convex(probability, rays, threshold=0.5, overlap=0.4)
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    expected = np.zeros((40, 40), np.int32)
    expected[polygon(18 + radii * np.sin(angles), 21 + radii * np.cos(angles), (40, 40))] = 1
    assert (labels != expected).sum() <= 1
