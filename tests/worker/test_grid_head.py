"""The grid detector: what was put on the grid comes back as boxes, whatever the tiles, flips and turns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.heads.grid import decode_grid, peaks, undo_variation
from worker.tiles import make_grid, pad_to
from worker.variations import Variation, variations

STRIDE = 8
HEAD = {
    "kind": "grid-detector", "stride": STRIDE, "scores": [0, 1], "offset": [2, 3], "size": [4, 5], "overlap": 0.5,
    "threshold": 0.5, "classes": [{"object": "red cell"}, {"object": "platelet", "threshold": 0.2}],
}  # fmt: skip


def grid_of(boxes: Sequence[tuple[int, float, Sequence[float]]], shape: tuple[int, int]) -> np.ndarray:
    """The maps of a perfect network: a peak in the cell that holds the centre of each (class, score, box)."""
    maps = np.zeros((-(-shape[0] // STRIDE), -(-shape[1] // STRIDE), 6), np.float32)
    for kind, score, (left, top, right, bottom) in boxes:
        x, y = (left + right) / 2 / STRIDE, (top + bottom) / 2 / STRIDE
        cell = maps[int(y), int(x)]
        cell[kind] = score
        cell[2:4] = 2 * (x - int(x) - 0.5), 2 * (y - int(y) - 0.5)
        cell[4:6] = np.log([(right - left) / STRIDE, (bottom - top) / STRIDE])
    return maps


@given(
    x=st.floats(20, 180), y=st.floats(20, 100), width=st.floats(6, 38), height=st.floats(6, 38),
    score=st.floats(0.5, 1, width=32),
)  # fmt: skip
def test_a_box_comes_back_where_it_was(x: float, y: float, width: float, height: float, score: float) -> None:
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    found = decode_grid(grid_of([(0, score, box)], (128, 200)), HEAD)
    assert found.kind.tolist() == [0]
    assert found.score[0] == np.float32(score)
    assert found.xyxy[0] == pytest.approx(box, abs=1e-3)


def test_offsets_point_both_ways() -> None:
    """Centres left of and above the middle of their cell, which a sigmoid could not say."""
    found = decode_grid(grid_of([(0, 0.9, (40, 40, 50, 50)), (0, 0.8, (92, 92, 106, 106))], (128, 128)), HEAD)
    assert found.centres().tolist() == [[45, 45], [99, 99]]


def test_each_class_has_its_own_threshold_which_a_given_one_replaces() -> None:
    maps = grid_of([(0, 0.4, (10, 10, 30, 30)), (1, 0.3, (60, 60, 80, 80))], (96, 96))
    assert decode_grid(maps, HEAD).kind.tolist() == [1]
    assert decode_grid(maps, HEAD, threshold=0.25).kind.tolist() == [0, 1]
    assert len(decode_grid(maps, HEAD, threshold=0.35)) == 1


def test_boxes_end_at_the_plane() -> None:
    found = decode_grid(grid_of([(0, 0.9, (80, 80, 110, 110))], (100, 100)), HEAD, shape=(100, 98))
    assert found.xyxy.tolist() == [[80, 80, 98, 100]]


def test_wild_sizes_stay_finite() -> None:
    maps = grid_of([(0, 0.9, (10, 10, 30, 30))], (64, 64))
    maps[..., 4:6] *= 1e6
    assert decode_grid(maps, HEAD).xyxy.tolist() == [[0, 0, 64, 64]]


@given(seed=st.integers(0, 10**6), levels=st.integers(1, 6))
def test_peaks_are_apart_and_every_top_has_one(seed: int, levels: int) -> None:
    scores = np.random.default_rng(seed).integers(0, levels + 1, (12, 17)).astype(np.float32)
    found = peaks(scores, 1)
    framed = np.pad(found, 1)
    near = sum(framed[dy : dy + 12, dx : dx + 17] for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1))
    assert not near[found].any()
    assert found.ravel()[scores.argmax()] or scores.max() < 1


def moved_box(box: tuple[int, int, int, int], variation: Variation, shape: tuple[int, int]) -> tuple[int, ...]:
    """Where the pixels inside a box are after the variation of the plane."""
    left, top, right, bottom = box
    inside = np.zeros((1, *shape, 1), bool)
    inside[0, top:bottom, left:right] = True
    y, x = np.nonzero(variation.apply(inside)[0, ..., 0])
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


@given(seed=st.integers(0, 10**6), name=st.sampled_from(["8-flips", "cdeep3m2-4"]))
def test_a_flipped_or_turned_plane_has_the_same_boxes(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    shape, boxes = (144, 192), []
    for row, column in np.ndindex(3, 4):
        x, y = rng.integers(column * 48 + 16, column * 48 + 32), rng.integers(row * 48 + 16, row * 48 + 32)
        before, after = rng.integers(2, 14, 2), rng.integers(2, 14, 2)
        box = (int(x - before[0]), int(y - before[1]), int(x + after[0]), int(y + after[1]))
        boxes.append((int(rng.integers(2)), float(rng.uniform(0.5, 1)), box))
    straight = decode_grid(grid_of(boxes, shape), HEAD)
    for variation in variations(name):
        moved = [(kind, score, moved_box(box, variation, shape)) for kind, score, box in boxes]
        maps = grid_of(moved, shape[::-1] if variation.turns % 2 else shape)
        found = decode_grid(undo_variation(maps, HEAD, variation), HEAD)
        assert found.kind.tolist() == straight.kind.tolist()
        assert np.allclose(found.xyxy, straight.xyxy, atol=1e-3)


@pytest.fixture(scope="module")
def network():
    """A small network of the detector's form with random weights: maps at a stride of 8, receptive field known."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(11)
    layers = keras.layers
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu")(x)
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    scores = layers.Conv2D(2, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=12.0))(x)
    scores = layers.Activation("sigmoid")(layers.Rescaling(1.0, offset=-0.5)(scores))
    rest = layers.Conv2D(4, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=3.0))(x)
    net = keras.Model(inputs, layers.Concatenate()([scores, layers.Activation("tanh")(rest)]))
    signature = [tf.TensorSpec([None, None, None, 1], tf.float32)]
    return tf.function(lambda batch: net(batch, training=False), input_signature=signature)


@settings(deadline=None)
@given(height=st.integers(40, 300), width=st.integers(40, 300), tile=st.integers(8, 160), seed=st.integers(0, 999))
def test_boxes_are_the_same_whatever_the_tiles(network, height: int, width: int, tile: int, seed: int) -> None:
    plane = np.random.default_rng(seed).random((height, width, 1), np.float32)
    found = []
    for side in (None, tile):
        grid = make_grid((height, width), tile=side, stride=STRIDE, halo=24)
        padded = pad_to(plane, grid.padded)
        maps = np.full((*grid.map_shape(STRIDE), 6), np.nan, np.float32)
        for one in grid.tiles:
            one.stitch(network(one.cut(padded, grid.window)[None]).numpy()[0], maps, STRIDE)
        found.append(decode_grid(maps, HEAD, shape=(height, width)))
    whole, tiled = found
    assert len(whole) > 0
    assert whole.kind.tolist() == tiled.kind.tolist()
    np.testing.assert_allclose(whole.xyxy, tiled.xyxy, atol=1e-3)
    np.testing.assert_allclose(whole.score, tiled.score, atol=1e-5)
