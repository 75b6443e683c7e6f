"""Boxes: suppression obeys its laws, and lists of boxes from tiles become those of the plane, each object once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.heads.boxes import Boxes, boxes_from_rows, merge_tiles, nms, overlap_share
from worker.tiles import make_grid


def random_boxes(seed: int, count: int, side: float = 200, levels: int = 12) -> Boxes:
    """Boxes with many equal scores."""
    rng = np.random.default_rng(seed)
    corner, sides = rng.uniform(0, side, (count, 2)), rng.uniform(1, side / 3, (count, 2))
    xyxy = np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
    return Boxes(
        xyxy, (rng.integers(0, levels, count) / levels).astype(np.float32), rng.integers(0, 3, count, np.int32)
    )


def by_hand(boxes: Boxes, overlap: float) -> Boxes:
    """Suppression as the definition reads, every box against every kept one."""
    boxes, kept = boxes.ordered(), []
    for index in range(len(boxes)):
        rivals = [one for one in kept if boxes.kind[one] == boxes.kind[index]]
        if all(overlap_share(boxes.xyxy[one], boxes.xyxy[index]) <= overlap for one in rivals):
            kept.append(index)
    return boxes[np.array(kept, int)]


def same(one: Boxes, other: Boxes) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("xyxy", "score", "kind"))


@given(seed=st.integers(0, 10**6), count=st.integers(0, 120), overlap=st.floats(0, 1))
def test_suppression_is_the_greedy_one_in_any_order_of_the_boxes(seed: int, count: int, overlap: float) -> None:
    boxes = random_boxes(seed, count)
    left = nms(boxes, overlap)
    assert same(left, by_hand(boxes, overlap))
    shuffled = boxes[np.random.default_rng(seed + 1).permutation(count)]
    assert same(nms(shuffled, overlap), left)
    assert same(nms(left, overlap), left)


def test_boxes_of_different_classes_leave_one_another_alone() -> None:
    xyxy = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [1, 0, 11, 10]], np.float32)
    boxes = Boxes(xyxy, np.array([0.5, 0.9, 0.7], np.float32), np.array([0, 1, 1], np.int32))
    assert nms(boxes, 0.5).kind.tolist() == [1, 0]
    assert nms(boxes, 0.9).score.tolist() == pytest.approx([0.9, 0.7, 0.5])


def test_overlap_is_intersection_over_union() -> None:
    one = np.array([0, 0, 2, 2], np.float32)
    others = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [5, 5, 5, 5]], np.float32)
    assert overlap_share(one, others).tolist() == pytest.approx([1, 1 / 3, 0, 0])


def test_clipping_drops_what_lies_outside() -> None:
    boxes = Boxes(np.array([[-5, 2, 5, 9], [20, 0, 30, 5]], np.float32), np.ones(2, np.float32), np.zeros(2, np.int32))
    assert boxes.clipped((8, 16)).xyxy.tolist() == [[0, 2, 5, 8]]


HEAD = {
    "kind": "boxes",
    "columns": ["score", "x_min", "y_min", "x_max", "y_max", "class"],
    "classes": [{"object": "cell"}, {"object": "bead", "threshold": 0.8}],
    "threshold": 0.5,
}


def test_a_list_of_boxes_is_read_by_the_names_of_its_columns() -> None:
    rows = np.array(
        [[0.6, 1, 2, 3, 4, 0], [0.6, 1, 2, 3, 4, 1], [0.9, 1, 2, 3, 5, 1], [-1, 0, 0, 0, 0, 0], [0.9, 3, 3, 3, 9, 0]],
        np.float32,
    )
    found = boxes_from_rows(rows, HEAD)
    assert (found.kind.tolist(), found.xyxy.tolist()) == ([0, 1], [[1, 2, 3, 4], [1, 2, 3, 5]])
    assert len(boxes_from_rows(rows, HEAD, threshold=0.0)) == 3


@given(
    seed=st.integers(0, 10**6), height=st.integers(60, 400), width=st.integers(60, 400), tile=st.integers(24, 200),
    jitter=st.floats(0, 0.9),
)  # fmt: skip
def test_tiles_list_every_object_once(seed: int, height: int, width: int, tile: int, jitter: float) -> None:
    """Objects of up to 16 pixels, seen whole in every window that holds them, a little elsewhere in each."""
    rng = np.random.default_rng(seed)
    grid = make_grid((height, width), tile=tile, stride=8, halo=24)
    # A lattice keeps objects apart; its points fall on seams, too.
    y, x = (part.ravel().astype(float) for part in np.mgrid[0:height:18, 0:width:18])
    centres = np.stack([x, y], axis=1) + rng.uniform(0, 1, (x.size, 2))
    half = rng.uniform(5, 8, centres.shape)
    whole = Boxes(
        np.concatenate([centres - half, centres + half], axis=1).astype(np.float32),
        rng.uniform(0.3, 1, len(centres)).astype(np.float32), np.zeros(len(centres), np.int32),
    )  # fmt: skip
    whole = whole.clipped(grid.shape)
    parts = []
    for one in grid.tiles:
        window = np.array([one.x, one.y, one.x + grid.window[1], one.y + grid.window[0]])
        seen = whole[((whole.xyxy[:, :2] >= window[:2]) & (whole.xyxy[:, 2:] <= window[2:])).all(axis=1)]
        moved = seen.xyxy - window[[0, 1, 0, 1]] + rng.uniform(-jitter, jitter, (len(seen), 1))
        parts.append((one, Boxes(moved.astype(np.float32), seen.score, seen.kind)))
    merged = merge_tiles(parts, grid, 0.5)
    assert len(merged) == len(whole)
    assert np.allclose(merged.score, whole.ordered().score)
    assert np.abs(merged.xyxy - whole.ordered().xyxy).max() <= jitter + 1e-3
