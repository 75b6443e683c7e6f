"""Cells between membranes: honeycombs come out exactly, gaps are closed, seeds decide, laws hold for any map."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label

from worker.heads.membranes import decode_cells


def honeycomb(shape: tuple[int, int] = (200, 230), pitch: int = 32, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A membrane map of hexagons whose walls are `width` pixels wide, and its cells in scan order."""
    rows, columns = np.arange(-pitch, shape[0] + pitch, pitch * 0.866), np.arange(-pitch, shape[1] + pitch, pitch)
    centres = [(y, x + (index % 2) * pitch / 2) for index, y in enumerate(rows) for x in columns]
    y, x = np.mgrid[: shape[0], : shape[1]]
    distances = np.stack([np.hypot(y - cy, x - cx) for cy, cx in centres])
    nearest = np.sort(distances, axis=0)
    membrane = ((nearest[1] - nearest[0]) < width).astype(np.float32)
    return membrane, label(membrane < 0.5, connectivity=1)


def test_a_honeycomb_comes_out_exactly() -> None:
    membrane, cells = honeycomb()
    assert cells.max() > 40
    assert np.array_equal(decode_cells(membrane, seed_height=0.15), cells)


def test_a_soft_noisy_honeycomb_has_the_same_cells() -> None:
    membrane, cells = honeycomb()
    noise = np.random.default_rng(1).normal(0, 0.05, membrane.shape)
    soft = np.clip(ndimage.gaussian_filter(membrane, 1.0) + noise, 0, 1).astype(np.float32)
    found = decode_cells(soft, minimum_area=20)
    for number in range(1, cells.max() + 1):
        there = np.bincount(found[(cells == number) & (found > 0)])
        assert (there > 0).sum() <= 1


def two_rooms(gap: int) -> np.ndarray:
    """Two rooms side by side whose wall lacks `gap` pixels in the middle."""
    membrane = np.zeros((80, 121), np.float32)
    membrane[:, 58:63] = 1
    membrane[40 - gap // 2 : 40 - gap // 2 + gap, 58:63] = 0
    return membrane


def test_a_gap_is_closed_and_a_passage_is_not() -> None:
    assert decode_cells(two_rooms(0)).max() == 2
    closed = decode_cells(two_rooms(3))
    assert closed.max() == 2
    assert closed[40, 20] != closed[40, 100]
    assert decode_cells(two_rooms(30)).max() == 1
    assert decode_cells(two_rooms(3), seed_height=0.9).max() == 1


def test_small_cells_are_joined_across_a_gap_and_dropped_behind_membrane() -> None:
    membrane, membrane[10:16, 100:106] = two_rooms(3), 1
    membrane[11:15, 101:105] = 0
    assert decode_cells(membrane).max() == 3
    assert decode_cells(membrane, minimum_area=17)[12, 102] == 0
    whole = decode_cells(membrane, minimum_area=5000)
    assert whole.max() == 1
    assert whole[40, 60] == 1


def test_seeds_decide_how_many_cells_there_are() -> None:
    membrane = two_rooms(30)
    seeds = np.zeros_like(membrane)
    seeds[20:24, 20:24] = seeds[60:64, 100:104] = 1
    found = decode_cells(membrane, seeds=seeds)
    assert found.max() == 2
    assert found[40, 5] == 1
    assert found[40, 115] == 2
    seeds[60:64, 100:104] = 0
    assert decode_cells(membrane, seeds=seeds).max() == 1
    closed = decode_cells(two_rooms(0), seeds=seeds)
    assert closed.max() == 1
    assert (closed[:, 63:] == 0).all()
    assert decode_cells(membrane, seeds=np.zeros_like(membrane)).max() == 0


def test_all_membrane_and_no_membrane() -> None:
    assert decode_cells(np.ones((30, 40), np.float32)).max() == 0
    assert (decode_cells(np.zeros((30, 40), np.float32)) == 1).all()


maps = st.tuples(st.integers(0, 2**31), st.integers(12, 60), st.integers(12, 60), st.floats(0.5, 4.0))


def random_map(drawn: tuple[int, int, int, float]) -> np.ndarray:
    seed, height, width, scale = drawn
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), scale)
    return (1 / (1 + np.exp(-noise * 6 * scale))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(maps, st.floats(0.1, 0.9), st.floats(0.01, 0.6), st.sampled_from([0.0, 1.0, 2.5]), st.integers(0, 40))
def test_laws_of_cells(
    drawn: tuple[int, int, int, float], threshold: float, height: float, smoothing: float, area: int
) -> None:
    membrane = random_map(drawn)
    chosen = {"threshold": threshold, "seed_height": height, "smoothing": smoothing, "minimum_area": area}
    found = decode_cells(membrane, **chosen)
    assert found.dtype == np.int32
    assert found.shape == membrane.shape
    assert (membrane[found > 0] < threshold).all()
    # Numbered in scan order, each in one piece, none side by side with another: what the pieces of the mask are.
    assert np.array_equal(found, label(found > 0, connectivity=1))
    areas = np.bincount(found.ravel())[1:]
    assert (areas >= max(1, area)).all()
    assert np.array_equal(found, decode_cells(membrane, **chosen))


@settings(max_examples=30, deadline=None)
@given(maps, st.floats(0.01, 0.3))
def test_a_greater_seed_height_never_makes_more_cells(drawn: tuple[int, int, int, float], height: float) -> None:
    membrane = random_map(drawn)
    few, many = (basins_parted(membrane, rise) for rise in (height * 2, height))
    assert few <= many


def basins_parted(membrane: np.ndarray, height: float) -> int:
    """How many groups the flooding makes, before the lines between them may cut off corners."""
    from worker.heads.basins import climb, inside_graph, merge_shallow

    hills = ndimage.gaussian_filter(1 - membrane, 1.0)
    _, heights, neighbours = inside_graph(hills, membrane < 0.5)
    if not heights.size:
        return 0
    basins, summits = climb(heights, neighbours)
    return len(np.unique(merge_shallow(basins, summits, heights, neighbours, height)))


@settings(max_examples=30, deadline=None)
@given(maps, st.integers(1, 6))
def test_every_seed_is_in_a_cell_of_its_own(drawn: tuple[int, int, int, float], count: int) -> None:
    membrane = random_map(drawn)
    rng = np.random.default_rng(drawn[0])
    seeds = np.zeros_like(membrane)
    for _ in range(count):
        y, x = rng.integers(0, membrane.shape[0] - 3), rng.integers(0, membrane.shape[1] - 3)
        seeds[y : y + 3, x : x + 3] = 1
    marks = label((seeds >= 0.5) & (membrane < 0.5), connectivity=1)
    found = decode_cells(membrane, seeds=seeds)
    for number in range(1, found.max() + 1):
        assert len(np.unique(marks[(found == number) & (marks > 0)])) <= 1
